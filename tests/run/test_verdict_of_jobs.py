"""The verdict of a job's run: green when what was asked for is done, waits for a person or comes again by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sluiceway.jobs.lanes import LaneRun
from sluiceway.jobs.requests import Request
from sluiceway.run.facts import Facts
from sluiceway.run.verdict import States, Verdict, judge
from tests.run.test_verdict import AT, LATER, named, run, task

STATES: dict[str, str | None] = {"opened": "success", "enqueue": "success", "work_0": "success", "work_1": "success"}


def asked(items: int = 3) -> Request:
    return Request(action="run", who="schedule", job="airport", items=items)


def lane(number: int = 0, **values: Any) -> LaneRun:
    """A lane that ended a minute after the one before it."""
    ended = AT + timedelta(minutes=number)
    known = {"lane": number, "try_number": 1, "job": "airport", "started_at": AT, "finished_at": ended}
    return LaneRun.model_validate({**known, **values})


def verdict_of(
    *lanes: LaneRun, requests: tuple[Request, ...] = (asked(),), states: States = STATES, marked: str = ""
) -> Verdict:
    """:param marked: a task that never began."""
    good = tuple(
        task(*named(name), finished_at=LATER) for name, state in states.items() if state == "success" and name != marked
    )
    return judge(Facts(run=run(dag_id="job__airport"), asked=requests, lanes=lanes, tasks=good), states)


def red(verdict: Verdict) -> str:
    assert verdict.status == "failed"
    return verdict.sentence


DONE = "3 items became due: 3 done, 0 waiting for a person, 0 dead."


def test_a_job_of_which_every_item_is_done_is_green_though_it_has_no_table_and_publishes_nothing() -> None:
    found = verdict_of(lane(0, done=2), lane(1, done=1))
    assert (found.status, found.sentence) == ("success", DONE)


def test_a_job_that_was_told_to_do_nothing_is_green() -> None:
    states = {"opened": "success", "enqueue": "success"}
    found = verdict_of(requests=(asked(0),), states=states)
    assert (found.status, found.sentence) == ("success", "0 items became due: 0 done, 0 waiting for a person, 0 dead.")


def test_what_waits_or_comes_again_or_was_lost_is_counted_and_is_no_fault() -> None:
    found = verdict_of(
        lane(0, done=1, waiting=1, due=2, back=1), lane(1, lost=1_000, left_due=1), requests=(asked(1), asked(1_234))
    )
    assert (found.status, found.sentence) == (
        "success",
        "1,235 items became due: 1 done, 1 waiting for a person, 0 dead, 2 attempts that failed and come again, "
        "1 put back because the service failed, 1,000 answers that came too late and were thrown away. "
        "1 item is still due.",
    )

    one = verdict_of(lane(due=1, lost=1)).sentence
    assert "1 attempt that failed and comes again, 1 answer that came too late and was thrown away." in one


def test_an_item_that_died_makes_the_run_red_and_says_of_what_and_who_names_it() -> None:
    assert red(verdict_of(lane(0, done=2), lane(1, dead=1, causes={"item": 1}))) == (
        "1 item died (the service cannot take it (1)); `sluiceway dead-letters list` names it. "
        "3 items became due: 2 done, 0 waiting for a person, 1 dead."
    )
    several = red(verdict_of(lane(0, dead=1, causes={"code": 1, "odd": 9}), lane(1, dead=1, causes={"hang": 2})))
    assert several.startswith(
        "2 items died (the job's function does not come back (2); the job's function raises (1)); "
        "`sluiceway dead-letters list` names them."
    )
    assert red(verdict_of(lane(dead=2))).startswith("2 items died; `sluiceway")


def test_what_was_left_because_a_service_failed_is_red_and_only_the_last_lane_says_so() -> None:
    first = lane(0, paused="the service is down", left_due=4)
    assert red(verdict_of(first)).startswith("4 items could not be asked for: the service is down. 3 items became due")
    assert red(verdict_of(first)).endswith(" 4 items are still due.")
    later = lane(1, done=3, left_due=0)
    assert verdict_of(first, later).status == "success"
    assert verdict_of(later, first).status == "success", "the last by its end, and not by where it stands"
    assert verdict_of(lane(paused="its time was over", left_due=0)).status == "success"
    assert verdict_of(lane(left_due=2)).status == "success", "for a later run: nothing kept it from them"
    assert verdict_of(lane(0, left_due=5), lane(1, left_due=2), lane(2)).sentence.endswith(" 2 items are still due.")
    open_ended = lane(0, started_at=LATER, finished_at=None, paused="the service is down", left_due=1)
    assert verdict_of(open_ended, later).status == "failed", "of one without an end its beginning counts"


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"work_1": "failed"}, "work_1 failed: it never began"),
        ({"work_1": "running"}, "not finished: work_1 (running)"),
        ({"work_1": "upstream_failed"}, "did not run: work_1."),
        ({"work_1": "skipped", "work_0": "upstream_failed"}, "did not run: work_0, work_1."),
    ],
)
def test_a_lane_that_has_not_ended_well_is_red(states: dict[str, str | None], told: str) -> None:
    rest = {name: state for name, state in STATES.items() if name not in states}
    sentence = red(verdict_of(lane(done=3), states={**states, **rest}))
    assert sentence.startswith(told) and sentence.endswith(DONE)


def test_a_lane_that_only_followed_a_failed_task_is_not_named_beside_it() -> None:
    states: States = {"opened": "success", "enqueue": "failed", "work": "upstream_failed"}
    said = red(verdict_of(requests=(), states=states))
    assert said.startswith("enqueue failed: it never began") and "did not run" not in said
    assert "set by hand" not in said


def test_an_enqueueing_that_was_marked_and_has_enqueued_nothing_is_red() -> None:
    assert red(verdict_of(requests=(), marked="enqueue")) == (
        "enqueue is success in Airflow, set by hand, and has enqueued nothing. "
        "0 items became due: 0 done, 0 waiting for a person, 0 dead."
    )


def test_a_lane_that_was_marked_by_hand_is_named_in_green() -> None:
    found = verdict_of(lane(done=3), marked="work_1")
    assert (found.status, found.sentence) == ("success", f"{DONE} Marked success by hand: work_1.")


def test_a_run_for_which_items_became_due_is_a_jobs_also_where_airflow_shows_no_enqueueing() -> None:
    found = verdict_of(lane(done=3), states={"opened": "success", "work_0": "success"})
    assert (found.status, found.sentence) == ("success", DONE)
