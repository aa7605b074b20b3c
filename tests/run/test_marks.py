"""Who marked and cleared what, from entries as Airflow 3.3.2 writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.run.marks import Entry, Shown, marks_of

KEY = RunKey("shop", "r1")
ENDED = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)
STATES: dict[str, str | None] = {
    "plan": "success",
    "sub.load_table_0": "failed",
    "sub.load_table_12": "success",
    "final.validate": "failed",
    "final.aggregate": "failed",
}


def entry(
    event: str, *, minutes: int = 3, owner: str | None = "admin", task: str | None = None, **sent: object
) -> Entry:
    dag_id, run_id = sent.pop("dag", KEY.dag_id), sent.pop("run", KEY.run_id)
    return Entry(
        event=event,
        at=ENDED + timedelta(minutes=minutes, seconds=4),
        owner=owner,
        dag_id=dag_id,
        run_id=run_id,
        task_id=task,
        extra=json.dumps(sent),
    )  # type: ignore[arg-type]


SHOWN = Shown("failed", STATES)


def marks(*entries: Entry, shown: Shown = SHOWN) -> tuple[str, ...]:
    return marks_of(entries, KEY, shown, since=ENDED, cleared_since=ENDED)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            entry("patch_task_instance", task="plan", map_index="-1", new_state="success"),
            "plan marked success by admin at 12:03:04 UTC",
        ),
        (
            entry("patch_task_instance", task="sub.load_table", map_index="12", new_state="success"),
            "sub.load_table[12] marked success by admin at 12:03:04 UTC",
        ),
        (
            entry("patch_task_instance", task="sub.load_table", new_state="failed", include_downstream=True),
            "sub.load_table marked failed with what comes after it by admin at 12:03:04 UTC",
        ),
        (
            entry("patch_task_group_instances", group_id="final", new_state="failed"),
            "the group final marked failed by admin at 12:03:04 UTC",
        ),
        (
            entry(
                "bulk_task_instances",
                dag="~",
                run="~",
                actions=[
                    {
                        "action": "update",
                        "entities": [
                            {"dag_id": "shop", "dag_run_id": "r1", "task_id": "plan", "new_state": "success"},
                            {"dag_id": "shop", "dag_run_id": "r2", "task_id": "final.aggregate", "new_state": "failed"},
                        ],
                    }
                ],
            ),
            "plan marked success by admin at 12:03:04 UTC",
        ),
        (
            entry("post_clear_task_instances", task_ids=[["sub.load_table", 0]], owner=None),
            "sub.load_table[0] cleared by somebody at 12:03:04 UTC",
        ),
        (entry("clear_dag_run", only_failed=True), "its failed tasks cleared by admin at 12:03:04 UTC"),
        (
            entry("clear_dag_runs", run=None, dag_runs=[{"dag_run_id": "r1"}], minutes=60 * 24),
            "the run cleared by admin at 2026-08-04 12:00:04 UTC",
        ),
        (entry("patch_dag_run", state="failed"), "the run marked failed by admin at 12:03:04 UTC"),
    ],
)
def test_an_entry_of_the_audit_log_is_a_sentence(made: Entry, sentence: str) -> None:
    assert marks(made) == (sentence,)


@pytest.mark.parametrize(
    "made",
    [
        entry("patch_task_instance", task="plan", new_state="success", run="r2"),
        entry("patch_task_instance", task="plan", new_state="success", dag="other"),
        entry("patch_task_instance", task="plan", note="only a note"),
        entry("patch_task_instance", task="plan", new_state="failed"),
        entry("patch_task_instance", task="sub.load_table", map_index="1", new_state="success"),
        entry("patch_dag_run", state="success"),
        entry("patch_task_instance", task="plan", new_state="success", minutes=-1),
        entry("bulk_task_instances", actions="nonsense"),
        entry("post_clear_task_instances", task_ids=[{"what": 1}]),
    ],
)
def test_what_is_of_another_run_or_had_no_effect_or_is_older_is_no_mark(made: Entry) -> None:
    assert marks(made) == ()


def test_an_entry_that_cannot_be_read_is_no_error() -> None:
    assert marks(Entry(event="patch_dag_run", at=ENDED, owner="x", dag_id="shop", run_id="r1", extra="{not json")) == ()


def test_of_two_marks_of_a_task_the_newer_counts() -> None:
    first = entry("patch_task_instance", task="plan", new_state="success", minutes=1, owner="one")
    second = entry("patch_task_instance", task="plan", new_state="success", minutes=2, owner="two")
    assert marks(second, first) == ("plan marked success by two at 12:02:04 UTC",)


def test_a_request_after_which_nothing_changed_was_refused() -> None:
    made = entry("patch_task_instance", task="plan", new_state="success")
    before, after = ENDED + timedelta(minutes=1), ENDED + timedelta(minutes=4)
    assert marks(made, shown=Shown("failed", STATES, changed_at={"plan": before})) == ()
    assert len(marks(made, shown=Shown("failed", STATES, changed_at={"plan": after}))) == 1


def test_a_task_that_has_run_again_is_no_longer_as_it_was_marked() -> None:
    made = entry("patch_task_instance", task="plan", new_state="success")
    again, before = ENDED + timedelta(minutes=4), ENDED - timedelta(minutes=4)
    assert marks(made, shown=Shown("failed", STATES, began_at={"plan": again})) == ()
    assert len(marks(made, shown=Shown("failed", STATES, began_at={"plan": before}))) == 1
