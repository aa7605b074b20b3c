"""Which run a row of the ledger is, where Airflow gives the id of a deleted run to a later one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import sleep

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway.ledger import publications, store
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.rejects import Reject, rejects_of, write_rejects
from sluiceway.ledger.store import Run, RunKey, TableRun
from sluiceway.ledger.warehouse import PsycopgSession
from sluiceway.run import steps, watching
from sluiceway.run.opening import Opening, open_row, open_unless_open
from sluiceway.run.reconcile import Seen
from tests.run.runs import run_of

FIRST = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
LATER = FIRST + timedelta(minutes=5)
R1 = RunKey("master_etl", "r1")
STATES = {"plan": "success"}


@pytest.fixture
def session(postgres: Cluster) -> Iterator[PsycopgSession]:
    """One transaction on the empty ledger, open for the whole test and rolled back after it."""
    with psycopg.connect(postgres.url("sluiceway_loader", "warehouse")) as connection:
        yield PsycopgSession(connection)
        connection.rollback()


def opening(enqueued_at: datetime | None = FIRST, *, is_first_try: bool = False) -> Opening:
    return Opening(R1, None, "test", enqueued_at, is_first_try)


def loaded(rows: int, try_number: int = 1) -> TableRun:
    counts = {"extracted": rows, "inserted": rows, "try_number": try_number}
    return TableRun.model_validate({**R1._asdict(), "table_name": "city", "status": "loaded", **counts})


def now_and_former(session: PsycopgSession) -> tuple[Run, Run]:
    now, former = sorted(store.runs(session), key=lambda run: len(run.run_id))
    assert now.key == R1
    return now, former


def test_a_run_that_has_the_id_of_one_deleted_in_airflow_begins_anew_and_the_other_stays_known(
    session: PsycopgSession,
) -> None:
    open_row(session, opening())
    store.write_table_run(session, loaded(1, try_number=2))
    write_rejects(session, R1, "city", 2, [Reject(row_number=1, column_name=None, reason="bad", row={})])
    publications.record(session, R1, [Publication(view_name="map", tables=("city",))])
    store.close_run(session, R1, "failed", "try 2 failed")
    open_row(session, opening(LATER))
    now, former = now_and_former(session)
    assert (now.status, now.published_at, now.note) == ("running", None, None)
    assert (store.table_tries(session, R1), publications.of_run(session, R1)) == ([], [])
    assert (former.run_id, former.status, former.note) == (
        f"r1~{former.started_at.astimezone(UTC):%Y%m%dT%H%M%S%f}",
        *("failed", "try 2 failed"),
    )
    assert former.remark == (
        "It was deleted in Airflow, where a later run has its id, r1; rows that it wrote bear that id still."
    )
    (load,) = store.table_runs(session, former.key)
    assert (load.try_number, len(rejects_of(session, load))) == (2, 1)
    assert [each.view_name for each in publications.of_run(session, former.key)] == ["map"]


@pytest.mark.parametrize("closed", [True, False])
def test_a_later_run_whose_first_task_could_not_write_inherits_nothing(session: PsycopgSession, closed: bool) -> None:
    open_row(session, opening())
    store.write_table_run(session, loaded(3))
    if closed:
        store.close_run(session, R1, "success", "all good")
    open_unless_open(session, opening(LATER))
    now, former = now_and_former(session)
    assert (now.status, now.enqueued_at, store.table_tries(session, R1)) == ("running", LATER, [])
    assert former.status == ("success" if closed else "abandoned")


def test_a_timetables_run_that_is_made_again_begins_anew_each_time(session: PsycopgSession) -> None:
    """It is asked for at the same moment as the deleted one."""
    for number in range(3):
        open_row(session, opening(is_first_try=True))
        store.write_table_run(session, loaded(number))
        open_row(session, opening())
        open_unless_open(session, opening(is_first_try=True))
        assert [each.extracted for each in store.table_tries(session, R1)] == [number]
    newest, *former = store.runs(session)
    assert newest.run_id == "r1"
    assert len({run.run_id for run in former if run.run_id.startswith("r1~")}) == 2


def test_no_task_begins_for_the_first_time_in_a_run_that_is_judged(session: PsycopgSession) -> None:
    """So that is another run, of the same moment, whose first task could not write."""
    open_row(session, opening(is_first_try=True))
    store.close_run(session, R1, "success", "all good")
    open_unless_open(session, opening())
    assert [run.status for run in store.runs(session)] == ["success"], "a later try, or a cleared task: it is this one"
    open_unless_open(session, opening(is_first_try=True))
    now, former = now_and_former(session)
    assert (now.status, former.status) == ("running", "success")


def test_a_run_of_before_goes_on_unless_airflow_has_enqueued_its_id_later(session: PsycopgSession) -> None:
    # the release before wrote no time of enqueueing down
    open_row(session, opening(None))
    (before,) = store.runs(session)
    for opens in (open_row, open_unless_open):
        opens(session, opening(before.started_at - timedelta(seconds=1), is_first_try=True))
        assert [run.run_id for run in store.runs(session)] == ["r1"]
    open_row(session, opening(before.started_at + timedelta(seconds=1)))
    assert sorted(run.run_id for run in store.runs(session)) == ["r1", f"r1~{before.started_at:%Y%m%dT%H%M%S%f}"]


def test_of_two_tasks_that_write_first_under_a_deleted_runs_id_the_second_leaves_the_row_of_the_first(
    warehouse_url: str,
) -> None:
    steps.open_ledger(warehouse_url, opening(is_first_try=True))
    steps.close_ledger(warehouse_url, opening(), {"plan": "success"})
    both = opening(is_first_try=True)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

    def other_task() -> None:
        with psycopg.connect(warehouse_url) as connection:
            open_unless_open(PsycopgSession(connection), both)

    with psycopg.connect(warehouse_url) as first, psycopg.connect(warehouse_url, autocommit=True) as watcher:
        open_unless_open(PsycopgSession(first), both)
        store.write_table_run(PsycopgSession(first), loaded(7))
        with ThreadPoolExecutor(1) as threads:
            second = threads.submit(other_task)
            while not second.done() and watcher.execute(waits).fetchone() != (1,):
                sleep(0.01)
            first.commit()
        second.result()
    with psycopg.connect(warehouse_url) as connection:
        now, former = now_and_former(PsycopgSession(connection))
        assert (now.status, former.status) == ("running", "failed")
        assert [load.extracted for load in store.table_tries(PsycopgSession(connection), R1)] == [7]


def test_a_run_of_one_moment_goes_on_however_often_it_is_opened(session: PsycopgSession) -> None:
    for opens in (open_row, open_unless_open, open_row):
        opens(session, opening())
    assert [run.run_id for run in store.runs(session)] == ["r1"]


def test_a_deleted_run_keeps_the_verdict_that_it_had_before_a_part_of_it_was_cleared(session: PsycopgSession) -> None:
    open_row(session, opening())
    store.record_outcome(session, R1, "idle", "Another run has taken the events.")
    store.close_run(session, R1, "success", "Another run has taken the events.", STATES)
    store.rewrite(session, R1, "running", "A part of the run runs again.", STATES, None, None)
    open_row(session, opening(LATER))
    _, former = now_and_former(session)
    assert (former.status, former.note) == ("success", "Another run has taken the events.")


def test_a_later_run_that_waits_is_not_told_as_the_deleted_one(warehouse_url: str) -> None:
    """It has the deleted one's id, and has not begun."""
    steps.open_ledger(warehouse_url, opening())
    steps.close_ledger(warehouse_url, opening(), {"plan": "failed"})
    before = run_of(warehouse_url, R1)
    waits = Seen(state="queued", tasks={"plan": None}, enqueued_at=LATER)
    assert watching.reconcile_run(warehouse_url, before, waits) is None
    steps.open_ledger(warehouse_url, opening())
    truth = watching.reconcile_run(warehouse_url, run_of(warehouse_url, R1), waits)
    assert truth is not None and (truth.status, truth.text) == (
        "abandoned",
        "Ended before its verdict: Airflow has no such run any more.",
    )


def test_a_run_that_ended_before_any_task_of_it_began_is_taken_in_once(warehouse_url: str) -> None:
    now = datetime.now(UTC)
    ended = {"state": "success", "tasks": {"plan": "skipped", "verdict": "skipped"}, "started_at": now, "ended_at": now}
    asked: list[str] = []

    def ask(run_id: str) -> tuple[Opening, Seen] | None:
        asked.append(run_id)
        at = now - timedelta(days=2) if run_id == "old" else now
        seen = Seen.model_validate({**ended, "enqueued_at": at, "ended_at": at})
        return None if run_id == "gone" else (Opening(RunKey("shop", run_id), "a" * 40, "deploy", at), seen)

    steps.open_ledger(warehouse_url, Opening(RunKey("shop", "known"), None, "test", now))
    assert watching.runs_looked_through(warehouse_url, "shop") is None
    every = ["known", "new", "old", "gone"]
    assert watching.take_in(warehouse_url, "shop", 3, every, ask) == [RunKey("shop", "new")]
    run = run_of(warehouse_url, RunKey("shop", "new"))
    assert (run.status, run.commit_sha, run.trigger_kind, run.enqueued_at) == ("failed", "a" * 40, "deploy", now)
    assert "its verdict is skipped in Airflow and was never spoken" in (run.note or "")
    assert "Airflow shows the run as success" in (run.remark or ""), "green there, and nothing was loaded"
    assert sorted(asked) == ["gone", "new", "old"]
    assert watching.runs_looked_through(warehouse_url, "shop") == 3
    asked.clear()
    assert watching.take_in(warehouse_url, "shop", 4, every, ask) == []
    assert asked == ["gone"], "what ended long ago is not asked for again"
    assert watching.take_in(warehouse_url, "shop", 3, ["known"], ask) == []
    assert watching.take_in(warehouse_url, "shop", 4, ["old"], ask) == []
    assert asked == ["gone", "old"], "what was gone meanwhile is forgotten"
