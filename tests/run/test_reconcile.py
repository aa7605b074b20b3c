"""What is said of a run that was changed after its verdict, or that has ended without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sluiceway.run.facts import Facts
from sluiceway.run.reconcile import Seen, Truth, as_written, reconcile
from tests.run.test_verdict import AT, GREEN_STATES, LATER, run, table, task

GREEN = {"status": "success", "note": "all good", "finished_at": LATER, "judged": GREEN_STATES, "published_at": LATER}
ALL_STATES = {**GREEN_STATES, "verdict": "success"}


def facts(**of_run: Any) -> Facts:
    return Facts(run=run(**of_run), tables=(table("city"),))


def seen(state: str | None = "success", tasks: dict[str, str | None] = ALL_STATES, **values: Any) -> Seen:
    return Seen(state=state, tasks=tasks, **values)


def unchanged(found: Facts, at: Seen) -> bool:
    return reconcile(found, at) == as_written(found.run)


def test_a_run_that_is_as_its_verdict_saw_it_stays_as_it_is() -> None:
    assert unchanged(facts(**GREEN), seen())


def test_a_run_that_is_about_to_end_is_not_taken_for_one_that_runs_again() -> None:
    assert unchanged(facts(**GREEN), seen("running", {**GREEN_STATES, "verdict": "running"}))


def test_an_open_run_that_goes_on_stays_open() -> None:
    assert unchanged(facts(), seen("running", {"plan": "running"}))


def test_a_cleared_task_reopens_the_run_and_the_verdict_of_before_is_told() -> None:
    truth = reconcile(facts(**GREEN), seen("queued", {**ALL_STATES, "sub.load_table_0": None}))
    assert truth.status == "running"
    assert truth.sentence == "A part of the run runs again. It was judged success before: all good"
    assert truth.judged == GREEN_STATES, "what the verdict saw is compared with the end of what runs again"


def test_who_did_it_is_named_where_it_is_known() -> None:
    at = seen("queued", {**ALL_STATES, "plan": None}, marks=("plan cleared by admin at 12:00:00 UTC",))
    assert "runs again (plan cleared by admin at 12:00:00 UTC)." in (reconcile(facts(**GREEN), at).sentence or "")


def test_a_task_that_ended_badly_after_the_verdict_turns_the_run_red_although_airflow_shows_it_green() -> None:
    truth = reconcile(facts(**GREEN), seen("success", {**ALL_STATES, "final.validate": "failed"}))
    assert truth.status == "failed"
    assert "final.validate failed" in (truth.sentence or "")
    assert truth.remark == (
        "Changed after its verdict: final.validate success -> failed. "
        "Airflow shows the run as success, which no DAG can change once it has ended."
    )


def test_a_run_that_was_reopened_and_ended_as_it_was_is_judged_as_before() -> None:
    truth = reconcile(facts(**{**GREEN, "status": "running", "finished_at": None, "note": "runs again"}), seen())
    assert (truth.status, truth.remark) == ("success", None)
    assert "1 of 1 table loaded" in (truth.sentence or "")


def test_a_person_who_marks_a_run_does_not_change_what_the_warehouse_holds() -> None:
    truth = reconcile(facts(**GREEN), seen("failed", marks=("marked failed by admin",)))
    assert (truth.status, truth.sentence) == ("success", "all good")
    assert truth.remark == (
        "Airflow shows the run as failed, which no DAG can change once it has ended (marked failed by admin)."
    )


def test_a_mark_that_was_taken_back_is_no_longer_told_and_a_change_that_stays_is() -> None:
    remark = "Changed after its verdict: a x -> success. Airflow shows the run as failed, which no DAG can change."
    truth = reconcile(facts(**GREEN, remark=remark), seen())
    assert truth.remark == "Changed after its verdict: a x -> success."


def test_a_superseded_run_is_green_in_airflow() -> None:
    assert unchanged(facts(**{**GREEN, "status": "superseded"}), seen())


def test_a_run_whose_time_was_over_says_so_and_names_what_had_not_ended() -> None:
    states = {**GREEN_STATES, "sub.load_table_0": "skipped", "final.aggregate": "skipped", "verdict": "skipped"}
    at = seen("failed", states, started_at=AT, ended_at=AT + timedelta(hours=6))
    good = tuple(task(name, finished_at=AT) for name, state in states.items() if state == "success")
    found = Facts(run=run(), tables=(table("city", "planned"),), tasks=good)
    truth = reconcile(found, at)
    assert (truth.status, truth.sentence) == (
        "failed",
        "Ended before its verdict: timed out after 360 min. 1 of 1 table never reported: city (its task never began). "
        "not finished: final.aggregate (cut off), sub.load_table_0 (cut off). Nothing was published.",
    )


@pytest.mark.parametrize("verdict", ["failed", "success", "upstream_failed", None])
def test_a_run_whose_verdict_was_never_spoken_is_red(verdict: str | None) -> None:
    truth = reconcile(facts(published_at=LATER), seen("success", {**GREEN_STATES, "verdict": verdict}))
    assert truth.status == "failed"
    assert f"its verdict is {verdict or 'not there'} in Airflow and was never spoken" in (truth.sentence or "")


def test_a_run_that_airflow_has_forgotten_is_abandoned_if_it_was_open() -> None:
    truth = reconcile(facts(), seen(None, {}))
    assert truth == Truth(status="abandoned", sentence="Ended before its verdict: Airflow has no such run any more.")
    assert unchanged(facts(**GREEN), seen(None, {}))


def test_a_run_of_before_tasks_states_were_kept_is_left_alone() -> None:
    assert unchanged(facts(**{**GREEN, "judged": None}), seen("success", {"plan": "failed"}))


def test_what_is_said_once_is_said_again() -> None:
    """run_watch writes what it finds, and finds the same the next time."""
    at = seen("failed", {**ALL_STATES, "final.validate": "failed"})
    truth = reconcile(facts(**GREEN), at)
    written = facts(
        **{**GREEN, "status": truth.status, "note": truth.sentence, "judged": truth.judged, "remark": truth.remark}
    )
    assert unchanged(written, at)


def test_a_run_that_was_cleared_and_deleted_before_that_began_keeps_its_verdict() -> None:
    cleared = facts(**{**GREEN, "status": "running", "finished_at": None, "note": "A part of the run runs again."})
    truth = reconcile(cleared, seen(None, {}))
    assert truth.status == "success" and "1 of 1 table loaded" in (truth.sentence or "")
    assert truth.remark == "A part of it was cleared, and the run deleted in Airflow before that began."
    begun = facts()
    assert reconcile(begun, seen(None, {})).status == "abandoned", "what began again takes away what was judged"


def test_a_run_that_ended_before_its_first_task_says_that_airflow_shows_it_green() -> None:
    truth = reconcile(facts(), seen("success", dict.fromkeys(ALL_STATES, "skipped")))
    assert truth.status == "failed" and "never spoken" in (truth.sentence or "")
    assert truth.remark == "Airflow shows the run as success, which no DAG can change once it has ended."
