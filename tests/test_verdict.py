"""The verdict: one colour per outcome, and a sentence that names what is wrong."""

from __future__ import annotations

import pytest

from sluiceway.ledger.store import TableRun
from sluiceway.verdict import judge

GREEN_STATES = {"deploy_gate": "success", "plan": "success", "sub.load_table_0": "success", "final.report": "running"}


def table(name: str, status: str = "loaded", **values: object) -> TableRun:
    return TableRun.model_validate({"run_id": "r1", "table_name": name, "status": status, **values})


FAILED = {"status": "failed", "error_type": "EmptyExtractionError", "error": "town: the source gave no rows"}


def test_loaded_and_unchanged_tables_are_green_with_their_counts() -> None:
    verdict = judge(
        [
            table("city", extracted=1204, inserted=1000, updated=200, rejected=4),
            table("town", extracted=7, unchanged=7),
            table("park", "unchanged", table_rows=5),
        ],
        GREEN_STATES,
    )
    assert verdict.status == "success"
    assert verdict.sentence == (
        "2 of 3 tables loaded, 1 unchanged since their last load: "
        "1,000 rows inserted, 200 updated, 7 unchanged, 4 rejected."
    )


def test_one_failed_table_of_many_is_red_and_named_with_its_reason() -> None:
    verdict = judge([table("city"), table("town", **FAILED)], GREEN_STATES)
    assert verdict.status == "failed"
    assert verdict.sentence == (
        "1 of 2 tables failed: town (EmptyExtractionError: town: the source gave no rows). Nothing was published."
    )


def test_a_table_that_never_reported_is_red() -> None:
    verdict = judge([table("city"), table("town", "planned"), table("a", "planned")], GREEN_STATES)
    assert (verdict.status, verdict.sentence) == (
        "failed",
        "2 of 3 tables never reported: a, town. Nothing was published.",
    )


def test_a_run_without_a_table_is_red() -> None:
    verdict = judge([], GREEN_STATES)
    assert (verdict.status, verdict.sentence) == ("failed", "no table was planned. Nothing was published.")


def test_a_failed_task_is_red_although_every_table_is_good() -> None:
    verdict = judge([table("city")], {**GREEN_STATES, "final.aggregate": "failed"})
    assert (verdict.status, verdict.sentence) == (
        "failed",
        "failed tasks: final.aggregate (failed). Nothing was published.",
    )


def test_tasks_that_only_follow_a_failed_one_are_not_called_a_cause() -> None:
    states = {**GREEN_STATES, "final.validate": "failed", "final.aggregate": "upstream_failed"}
    assert judge([table("city")], states).sentence == "failed tasks: final.validate (failed). Nothing was published."


def test_tasks_that_follow_a_failed_table_are_not_named_beside_it() -> None:
    states = {**GREEN_STATES, "sub.load_table_1": "failed", "final.validate": "upstream_failed"}
    verdict = judge([table("city"), table("town", **FAILED)], states)
    assert "failed tasks" not in verdict.sentence


def test_a_load_task_that_failed_without_a_word_is_red() -> None:
    verdict = judge([table("city")], {**GREEN_STATES, "sub.load_table_0": "failed"})
    assert (verdict.status, verdict.sentence) == (
        "failed",
        "failed tasks: sub.load_table_0. Nothing was published.",
    )


def test_every_problem_stands_in_the_sentence() -> None:
    verdict = judge(
        [table("town", **FAILED), table("city", "planned")],
        {**GREEN_STATES, "pre.check_sources": "failed"},
    )
    assert verdict.sentence == (
        "1 of 2 tables failed: town (EmptyExtractionError: town: the source gave no rows). "
        "1 of 2 tables never reported: city. failed tasks: pre.check_sources (failed). Nothing was published."
    )


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed", "up_for_retry", "restarting"])
def test_any_other_state_of_a_task_is_red(state: str) -> None:
    assert judge([table("city")], {"sub.cleanup_staging": state}).status == "failed"


@pytest.mark.parametrize("state", ["success", "running", "queued", "scheduled", None])
def test_a_task_that_is_still_on_its_way_is_green(state: str | None) -> None:
    assert judge([table("city")], {"sub.cleanup_staging": state}).status == "success"


def test_the_verdict_does_not_depend_on_the_order_of_the_tables() -> None:
    tables = [table("b", "planned"), table("a", **FAILED), table("c")]
    assert judge(tables, {}) == judge(reversed(tables), {})


SKIPPED_STATES = {"deploy_gate": "success", "plan": "skipped", "sub.load_table": "skipped", "final.report": "success"}
NOTE = "Superseded: staging serves the newer commit abc, whose run deploy__abc waits; no table was touched."


def test_a_run_that_the_ledger_calls_superseded_may_skip_everything_and_says_why() -> None:
    verdict = judge([], SKIPPED_STATES, superseded=NOTE)
    assert (verdict.status, verdict.sentence) == ("superseded", NOTE)


def test_the_same_skipped_tasks_are_red_when_the_ledger_does_not_call_the_run_superseded() -> None:
    assert judge([], SKIPPED_STATES).status == "failed"


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"deploy_gate": "failed"}, "deploy_gate (failed)"),
        ({"final.report": "failed"}, "final.report (failed)"),
        ({"sub.load_table_0": "success"}, "sub.load_table_0 (ran)"),
    ],
    ids=["gate", "report", "load"],
)
def test_a_superseded_run_in_which_a_task_failed_or_a_table_was_loaded_is_red(
    states: dict[str, str | None], told: str
) -> None:
    verdict = judge([], {**SKIPPED_STATES, **states}, superseded=NOTE)
    assert verdict.status == "failed" and told in verdict.sentence
