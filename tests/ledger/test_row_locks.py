"""Who may only read holds up nobody who writes; and old code, which takes other locks, is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event
from time import sleep

import psycopg
import pytest
from psycopg import errors

from dev.cluster import Cluster
from sluiceway.deploy import stints
from sluiceway.deploy.commit import Sighting
from sluiceway.events import Signed
from sluiceway.jobs import results
from sluiceway.jobs.definition import Results
from sluiceway.ledger import row_locks, webhooks
from sluiceway.ledger.migrate import migrate
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import LEDGER_REVISION, connect
from sluiceway.run import publishing

LOOKED = datetime(2026, 7, 1, tzinfo=UTC)
HEIGHT = Results(table="height", columns={"metres": "double precision"})
OLD_LOCKS = {
    "hook": "hashtextextended('flow/f/trigger/t', 0)",
    "deployment": "hashtext('sluiceway.deployment'), hashtext('staging')",
    "publish": "hashtext('sluiceway.publish')",
    "results": "hashtext('height')",
    "migrate": "hashtext('sluiceway.ledger.migrate')",
}
WRITERS = {
    "hook": "sluiceway_loader",
    "deployment": "sluiceway_loader",
    "publish": "sluiceway_loader",
    "results": "sluiceway_jobs",
    "migrate": "sluiceway_owner",
}
Url = Callable[[str], str]


@pytest.fixture
def url(postgres: Cluster, database: str) -> Url:
    """The warehouse, as a role."""
    return lambda role: postgres.url(role, database)


def work(what: str, url: str) -> None:
    """What is done under the lock."""
    if what == "migrate":
        assert migrate(url) == LEDGER_REVISION
        return
    if what == "publish":
        publishing.aggregate(url, RunKey("master_etl", "r"))
        return
    with connect(url) as session:
        if what == "hook":
            taken = webhooks.take(session, "f", "t", Signed("k", "d", None), {}, per_minute=1, window_s=1)
            assert isinstance(taken, webhooks.Taken) and taken.is_new
        if what == "deployment":
            stints.note(session, "staging", Sighting(commit="a" * 40, began_at=LOOKED, ended_at=LOOKED))
        if what == "results":
            results.ensure(session, HEIGHT)


@contextmanager
def holding(url: str, statement: str) -> Iterator[psycopg.Connection]:
    """A session that holds what the statement locks."""
    with psycopg.connect(url) as held:
        held.execute(statement.encode())
        yield held


@pytest.mark.parametrize("what", OLD_LOCKS)
def test_another_role_with_an_advisory_lock_holds_up_nobody(
    url: Url, open_run: Callable[[str], RunKey], what: str
) -> None:
    """The reader may take none where its rights were narrowed; on a server of before it may, like these."""
    open_run("r")
    other = "sluiceway_loader" if WRITERS[what] == "sluiceway_jobs" else "sluiceway_jobs"
    statement = f"SELECT pg_advisory_lock({OLD_LOCKS[what]})"
    with ThreadPoolExecutor(1) as thread, holding(url(other), statement):
        thread.submit(work, what, url(WRITERS[what])).result(timeout=20)


@pytest.mark.parametrize("what", ["deployment", "publish", "results"])
def test_old_code_that_holds_its_lock_is_waited_for(
    url: Url, open_run: Callable[[str], RunKey], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_run("r")
    looked = Event()

    def look(seconds: float) -> None:
        looked.set()
        sleep(seconds)

    monkeypatch.setattr(row_locks, "sleep", look)
    writer = url(WRITERS[what])
    with ThreadPoolExecutor(1) as thread:
        with holding(writer, f"SELECT pg_advisory_xact_lock({OLD_LOCKS[what]})"):
            working = thread.submit(work, what, writer)
            assert looked.wait(20)
            assert not working.done()
        working.result(timeout=20)


@pytest.mark.parametrize("what", ["deployment", "results"])
def test_old_code_waits_for_new(url: Url, what: str) -> None:
    writer = url(WRITERS[what])
    trying = f"SELECT pg_try_advisory_xact_lock({OLD_LOCKS[what]})".encode()
    with psycopg.connect(writer, autocommit=True) as old:
        with connect(writer) as session:
            if what == "deployment":
                stints.note(session, "staging", Sighting(commit="a" * 40, began_at=LOOKED, ended_at=LOOKED))
            else:
                results.ensure(session, HEIGHT)
            assert old.execute(trying).fetchone() == (False,)
        assert old.execute(trying).fetchone() == (True,)


@pytest.mark.parametrize("table", ["etl.lock", "etl_jobs.lock"])
def test_a_reader_can_lock_no_row(url: Url, table: str) -> None:
    for statement in (
        f"SELECT FROM {table} FOR UPDATE",
        f"SELECT FROM {table} FOR KEY SHARE",
        f"INSERT INTO {table} VALUES ('publish')",
        f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE",
    ):
        with psycopg.connect(url("sluiceway_reader")) as reader, pytest.raises(errors.InsufficientPrivilege):
            reader.execute(statement.encode())


def test_two_take_a_lock_one_after_the_other_and_nothing_is_written(url: Url) -> None:
    writer = url("sluiceway_loader")
    with connect(writer) as session:
        row_locks.take(session, "publish")
    with psycopg.connect(writer) as asker:
        before = asker.execute("SELECT ctid, xmin FROM etl.lock").fetchall()
        with connect(writer) as session:
            row_locks.take(session, "publish")
            with psycopg.connect(writer) as other, pytest.raises(errors.LockNotAvailable):
                other.execute("SET lock_timeout = '50ms'")
                other.execute("SELECT FROM etl.lock WHERE name = 'publish' FOR UPDATE")
        assert asker.execute("SELECT ctid, xmin FROM etl.lock").fetchall() == before
