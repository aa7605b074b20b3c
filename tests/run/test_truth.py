"""What is asked of Airflow and of the ledger about a run, so that what is said of it is true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import PsycopgSession, Statement
from sluiceway.run import steps
from sluiceway.run.reconcile import Seen, Truth, as_written
from sluiceway.run.truth import Span, marks_wanted, named, truths_of
from tests.run.runs import RUN, opening, run_of
from tests.run.test_verdict import AT, GREEN_STATES, LATER, run

ALL_STATES = {**GREEN_STATES, "verdict": "success"}
OTHERWISE = {**ALL_STATES, "plan": "failed"}
JUDGED = {"status": "success", "note": "all good", "finished_at": LATER, "judged": GREEN_STATES}
OPEN = {"status": "running", "judged": None}
AGAIN = {"status": "running", "judged": GREEN_STATES}
"""A run of which a part was cleared: its verdict is taken away, and what it had seen is kept."""
SINCE_VERDICT = Span(LATER, LATER)
SINCE_ENQUEUED = Span(AT, LATER)
NO_VERDICT = Span(AT, None)


def seen(state: str | None = "success", tasks: dict[str, str | None] = ALL_STATES, **values: Any) -> Seen:
    return Seen(state=state, tasks=tasks, **values)


@pytest.mark.parametrize(
    ("of_run", "at", "wanted"),
    [
        pytest.param(JUDGED, seen(), None, id="as its verdict saw it"),
        pytest.param({**JUDGED, "status": "superseded"}, seen(), None, id="superseded, which Airflow shows green"),
        pytest.param({**JUDGED, "status": "failed"}, seen("failed"), None, id="red here and there"),
        pytest.param(JUDGED, seen("running"), SINCE_VERDICT, id="judged, and something of it runs again"),
        pytest.param({**JUDGED, "judged": None}, seen("running"), None, id="about to be judged"),
        pytest.param(OPEN, seen("running"), None, id="it goes on"),
        pytest.param(AGAIN, seen("running"), None, id="a cleared part goes on"),
        pytest.param(JUDGED, seen(tasks=OTHERWISE), SINCE_VERDICT, id="a task is another since"),
        pytest.param(JUDGED, seen("failed"), SINCE_VERDICT, id="the run is another since"),
        pytest.param({**JUDGED, "status": "failed"}, seen(), SINCE_VERDICT, id="red, and marked green"),
        pytest.param({**JUDGED, "remark": "Changed."}, seen(), SINCE_VERDICT, id="a change was noted"),
        pytest.param({**JUDGED, "pending": ["plan"]}, seen(), SINCE_ENQUEUED, id="a part of it was repeated"),
        pytest.param({**JUDGED, "pending": []}, seen(), SINCE_ENQUEUED, id="only its verdict was repeated"),
        pytest.param({**JUDGED, "note": "x. Marked success by hand: plan."}, seen(), SINCE_ENQUEUED, id="by hand"),
        pytest.param(
            {**JUDGED, "note": "Ended before its verdict: timed out."}, seen(), SINCE_ENQUEUED, id="no verdict spoken"
        ),
        pytest.param(OPEN, seen(), NO_VERDICT, id="it has ended and nobody judged it"),
        pytest.param({**OPEN, "note": None}, seen("failed"), NO_VERDICT, id="it was ended and nobody judged it"),
        pytest.param(AGAIN, seen("failed"), NO_VERDICT, id="a cleared part has ended, as red as it runs"),
        pytest.param({**OPEN, "started_at": LATER}, seen(), NO_VERDICT, id="it was enqueued before it began"),
        pytest.param(JUDGED, seen(None, {}), None, id="gone from Airflow"),
        pytest.param(
            {**JUDGED, "remark": "Changed."}, seen(enqueued_at=LATER), None, id="another run has its id since"
        ),
    ],
)
def test_marks_are_asked_for_where_what_is_said_is_about_them(
    of_run: dict[str, Any], at: Seen, wanted: Span | None
) -> None:
    assert marks_wanted(run(**of_run), at) == wanted


def test_of_a_run_of_the_release_before_its_start_is_its_beginning() -> None:
    began = AT - timedelta(hours=1)
    assert marks_wanted(run(**OPEN, started_at=began, enqueued_at=None), seen()) == Span(began, None)


def test_whoever_had_a_hand_in_a_run_is_named_once() -> None:
    marks = ("plan marked success by ann at 12:00:00 UTC", "b cleared by bob at 12:01:00 UTC")
    told = Truth(status="success", sentence=f"It is good ({marks[0]}).", remark="Changed.")
    assert named(told, seen(marks=marks)).remark == f"Changed. By hand: {marks[1]}."
    assert named(told.model_copy(update={"remark": None}), seen(marks=marks)).remark == f"By hand: {marks[1]}."
    assert named(told, seen(marks=marks[:1])) == told
    assert named(told, seen()) == told
    nobody = Truth(status="success", sentence=None)
    assert named(nobody, seen(marks=marks)).text == f"By hand: {'; '.join(marks)}."


class Counting(PsycopgSession):
    """Counts what it is asked."""

    asked = 0

    def execute(self, query: Statement) -> list[tuple[Any, ...]]:
        self.asked += 1
        return super().execute(query)


def put(url: str, key: RunKey, judged: dict[str, str | None] | None) -> store.Run:
    """A run with one planned table that has not reported, judged or open."""
    steps.open_ledger(url, opening(key))
    steps.plan(url, key, only=["a"])
    if judged is not None:
        steps.close_ledger(url, opening(key), judged)
    return run_of(url, key)


@pytest.fixture
def asked(config: object, warehouse_url: str) -> Any:
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        yield Counting(connection)


STATES: dict[str, str | None] = {"opened": "success", "plan": "success"}


def test_runs_that_stand_as_they_are_written_cost_one_question_however_many(
    warehouse_url: str, asked: Counting
) -> None:
    judged = [put(warehouse_url, RunKey("shop", f"r{number}"), STATES) for number in range(3)]
    opened = put(warehouse_url, RUN, None)
    shown = [*((each, Seen(state="failed", tasks=STATES)) for each in judged), (opened, Seen(state="running"))]
    assert truths_of(asked, iter(shown)) == [as_written(each) for each, _ in shown]
    assert asked.asked == 1


@pytest.mark.parametrize(
    ("judged", "at"),
    [
        (STATES, Seen(state="failed", tasks={**STATES, "plan": "failed"})),
        (None, Seen(state="failed", tasks=STATES)),
    ],
    ids=["a task is another since", "ended without a verdict"],
)
def test_a_run_that_is_judged_anew_is_judged_by_what_the_ledger_knows_of_its_tables(
    judged: dict[str, str | None] | None, at: Seen, warehouse_url: str, asked: Counting
) -> None:
    (truth,) = truths_of(asked, [(put(warehouse_url, RUN, judged), at)])
    assert "1 of 1 table never reported: a" in truth.text
    assert truth.judged == at.tasks


def test_a_run_that_was_cleared_and_then_deleted_is_judged_by_its_tables_too(
    warehouse_url: str, asked: Counting
) -> None:
    found = put(warehouse_url, RUN, STATES)
    store.rewrite(asked, RUN, "running", "runs again", found.judged, found.judged_rows, None)
    (truth,) = truths_of(asked, [(run_of(warehouse_url, RUN), Seen(state=None))])
    assert truth.status == "failed" and "1 of 1 table never reported: a" in truth.text


def test_whoever_marked_a_run_is_named_beside_what_is_said_of_it(warehouse_url: str, asked: Counting) -> None:
    found = put(warehouse_url, RUN, STATES)
    (truth,) = truths_of(asked, [(found, Seen(state="failed", tasks=STATES, marks=("plan cleared by ann",)))])
    assert truth.remark == "By hand: plan cleared by ann."
    assert truth.sentence == found.note
