"""What looks write down of an environment, and what the ledger knows of a commit's loads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import sql

from sluiceway.deploy import stints
from sluiceway.deploy.commit import Sighting
from sluiceway.deploy.stints import Stint
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, RunStatus, TableRun, TableStatus
from sluiceway.ledger.warehouse import PsycopgSession, connect

X, N = "a" * 40, "b" * 40
TABLES = ["city", "town"]


@pytest.fixture
def session(warehouse_url: str) -> Iterator[PsycopgSession]:
    with connect(warehouse_url) as open_session:
        yield open_session


def at(minute: float) -> datetime:
    return datetime(2026, 7, 1, 12, tzinfo=UTC) + timedelta(minutes=minute)


def look(session: PsycopgSession, commit: str, minute: float, *, takes: float = 0.1) -> Stint:
    return stints.note(session, "staging", Sighting(commit=commit, began_at=at(minute), ended_at=at(minute + takes)))


def test_a_stint_lasts_until_a_look_sees_another_commit(session: PsycopgSession) -> None:
    first = [look(session, X, minute) for minute in (0, 1, 2)]
    assert len({stint.id for stint in first}) == 1
    assert (first[-1].first_seen_at, first[-1].last_seen_at, first[-1].other_seen_at) == (at(0.1), at(2), None)
    second = look(session, N, 3)
    assert (second.commit_sha, second.other_seen_at, second.first_seen_at) == (N, at(2), at(3.1))
    assert stints.current(session, "staging") == second
    assert stints.current(session, "production") is None


def test_a_commit_that_comes_back_begins_another_stint(session: PsycopgSession) -> None:
    first, between, again = look(session, X, 0), look(session, N, 1), look(session, X, 2)
    assert again.id not in {first.id, between.id}
    assert (again.other_seen_at, again.settled_at) == (at(1), None)
    assert [stints.has_returned(session, stint) for stint in (first, between, again)] == [False, False, True]


def test_a_look_that_was_overtaken_is_dropped(session: PsycopgSession) -> None:
    look(session, X, 0)
    newest = look(session, N, 2)
    assert look(session, X, 1, takes=5) == newest
    assert look(session, N, 1.5).last_seen_at == at(2)


def test_seven_digits_are_the_same_commit_and_all_of_them_are_kept(session: PsycopgSession) -> None:
    first = look(session, X[:7], 0)
    assert look(session, X, 1).id == first.id
    assert look(session, X[:7], 2).commit_sha == X


def test_what_a_stint_needs_is_kept(session: PsycopgSession) -> None:
    stint = look(session, X, 0)
    stints.ask_for_run(session, stint, "deploy__x")
    assert look(session, X, 1).run_id == "deploy__x"
    stints.settle(session, stint)
    assert look(session, X, 2).settled_at is not None


def test_old_stints_are_forgotten_but_for_the_newest_of_each_environment(session: PsycopgSession) -> None:
    for minute, commit in enumerate((X, N, X)):
        stint = look(session, commit, minute)
    session.execute(sql.SQL("UPDATE etl.deployment SET last_seen_at = now() - interval '91 days'"))
    stints.forget(session, older_than_days=90)
    rows = session.execute(sql.SQL("SELECT id FROM etl.deployment"))
    assert rows == [(stint.id,)]


def run(
    session: PsycopgSession,
    run_id: str,
    commit: str,
    tables: dict[str, TableStatus],
    *,
    status: RunStatus = "success",
    dag_id: str = "master_etl",
) -> None:
    """A run that has ended, later than those before it."""
    key = RunKey(dag_id, run_id)
    store.open_run(session, key, commit_sha=commit, trigger_kind="deploy")
    for name, table_status in tables.items():
        is_failed = {"error_type": "E", "error": "e"} if table_status == "failed" else {}
        store.write_table_run(
            session,
            TableRun(dag_id=dag_id, run_id=run_id, table_name=name, status=table_status, table_rows=0, **is_failed),
        )
    if status != "running":
        store.close_run(session, key, status, None)


def is_current(session: PsycopgSession, commit: str) -> bool:
    return stints.loads(session, "master_etl", commit, tables=len(TABLES)).is_current


def test_a_commits_data_are_there_once_a_green_run_loaded_all_tables(session: PsycopgSession) -> None:
    run(session, "partial", X, {"city": "loaded"})
    assert not is_current(session, X)
    run(session, "red", X, {"city": "loaded", "town": "failed"}, status="failed")
    assert not is_current(session, X)
    run(session, "whole", X, {"city": "unchanged", "town": "loaded"})
    assert is_current(session, X)


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_commits_data_are_gone_once_any_run_has_loaded_a_table_for_another(
    session: PsycopgSession, status: RunStatus
) -> None:
    run(session, "x", X, {"city": "loaded", "town": "loaded"})
    run(session, "n", N, {"city": "failed"}, status="failed")
    assert is_current(session, X)
    run(session, "n__2", N, {"city": "loaded", "town": "failed"}, status=status)
    assert not is_current(session, X)
    assert not is_current(session, N)
    run(session, "x__2", X, {"city": "unchanged", "town": "unchanged"})
    assert is_current(session, X)


def test_a_commits_data_will_be_gone_when_a_run_was_let_through_for_another(session: PsycopgSession) -> None:
    run(session, "x", X, {"city": "loaded", "town": "loaded"})
    run(session, "n", N, {}, status="running")
    assert is_current(session, X), "it may be superseded yet"
    store.record_deployed_sha(session, RunKey("master_etl", "n"), N)
    assert not is_current(session, X)
    store.record_outcome(session, RunKey("master_etl", "n"), "superseded", "why", deployed_sha=X)
    assert is_current(session, X)


def test_what_was_deployed_is_what_a_run_loaded_whatever_it_was_asked_for(session: PsycopgSession) -> None:
    run(session, "by hand", N, {"city": "loaded", "town": "loaded"})
    store.record_deployed_sha(session, RunKey("master_etl", "by hand"), X[:7])
    assert is_current(session, X)
    assert not is_current(session, N)


def test_superseded_runs_are_told_of_the_dag_that_is_asked_for(session: PsycopgSession) -> None:
    for dag_id, run_id in (("master_etl", "a"), ("master_etl", "b"), ("other", "c")):
        run(session, run_id, X, {}, dag_id=dag_id)
        store.record_outcome(session, RunKey(dag_id, run_id), "superseded", "why", deployed_sha=N)
    store.record_deployed_sha(session, RunKey("master_etl", "b"), X)
    assert stints.loads(session, "master_etl", X, tables=2).superseded == {"a"}
