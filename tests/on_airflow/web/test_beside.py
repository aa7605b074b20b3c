"""Which runs, triggers and dead letters stand beside the tables, for whom."""

from __future__ import annotations

from datetime import UTC, datetime

from sluiceway.freshness.around import Around, DeadLetters, FailingTrigger, NearRun
from sluiceway.ledger.rows import RunStatus
from sluiceway.on_airflow.web.airflow_runs import OpenRun, Queue
from sluiceway.on_airflow.web.pages.beside import beside

AT = datetime(2026, 8, 3, 12, tzinfo=UTC)
NOTHING = Queue(runs=(), paused=frozenset())


def near(dag_id: str, run_id: str, status: RunStatus = "running", note: str | None = None) -> NearRun:
    return NearRun(dag_id=dag_id, run_id=run_id, status=status, commit=None, began_at=AT, note=note)


def opened(run_id: str, *, waits: bool, is_paused: bool = False) -> OpenRun:
    return OpenRun(dag_id="master_etl", run_id=run_id, waits=waits, since=AT, is_paused=is_paused)


def test_a_run_that_both_know_is_told_once_and_each_with_what_it_does() -> None:
    known = Around(runs=(near("master_etl", "r2"), near("master_etl", "r0", "superseded", "newer"), near("cli", "c1")))
    airflow = Queue(
        runs=(opened("r3", waits=True), opened("r4", waits=True, is_paused=True), opened("r2", waits=False)),
        paused=frozenset(),
    )
    told = [
        (run.run_id, run.state, run.in_airflow, run.in_ledger) for run in beside(known, airflow, {"master_etl"}).runs
    ]
    assert told == [
        ("r3", "waits", True, False),
        ("r4", "waits: its DAG is paused", True, False),
        ("r2", "runs", True, True),
        ("r0", "superseded", True, True),
        ("c1", "runs", False, True),
    ]


def test_nothing_is_told_of_dags_that_the_reader_may_not_read() -> None:
    trigger = FailingTrigger(
        flow_id="shop", trigger_id="t", error="secret", error_at=AT, looked_at=None, unclaimed=0, waits_since=None
    )
    known = Around(
        runs=(near("shop", "r1"),), failing=(trigger,), dead=(DeadLetters(job="shop", count=1, newest_at=AT),)
    )
    assert beside(known, NOTHING, {"master_etl"}) == (None, [], [], [])
    assert beside(known, NOTHING, {"shop"})[2:] == ([trigger], list(known.dead))


def test_only_that_the_master_is_paused_is_told_without_a_run_that_waits() -> None:
    assert beside(Around(), Queue(runs=(), paused=frozenset({"shop"})), {"shop"}).paused is None
    assert beside(Around(), Queue(runs=(), paused=frozenset({"master_etl"})), set()).paused == "master_etl"
