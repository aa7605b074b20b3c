"""Loads of one table take turns: what one compares and reads, it reads after the one before it has ended."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dev.environment import ROOT
from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load import session, table, transaction
from sluiceway.load.table import load_table
from sluiceway.run import steps
from sluiceway.sources.hashing import TICK_NS
from sluiceway.sources.locate import hash_ahead
from sluiceway.tables.spec import TableSpec
from tests.waiting import wait_until

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
TOML = """
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", name = "text" }
"""
OLD, NEW = "id,name\n1,old\n2,old\n", "id,name\n1,new\n2,new\n"
SESSIONS = "SELECT pid, state, wait_event FROM pg_stat_activity WHERE application_name = 'sluiceway load city'"


@pytest.fixture
def city(write_spec: WriteSpec) -> TableSpec:
    return write_spec("city", TOML, city__csv=OLD)


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[..., TableRun]:
    """Loads as the named run."""

    def run(spec: TableSpec, run_id: str, **options: Any) -> TableRun:
        return load_table(spec, warehouse_url, run=open_run(run_id), **options)

    return run


def put(spec: TableSpec, text: str) -> None:
    """Another file in the place of the source, as a deploy puts it there."""
    path = Path(str(getattr(spec.source, "uri", "")))
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The first load stops once it has read its source, says so, and goes on when it is told."""
    opened, go_on = threading.Event(), threading.Event()
    real = table.open_source

    @contextmanager
    def open_slowly(*arguments: Any, **options: Any) -> Iterator[Any]:
        with real(*arguments, **options) as extraction:
            if not opened.is_set():
                extraction.batches = iter(list(extraction.batches))
                opened.set()
                assert go_on.wait(30)
            yield extraction

    monkeypatch.setattr(table, "open_source", open_slowly)
    yield opened, go_on
    go_on.set()


@pytest.mark.parametrize("loaded_before", [False, True], ids=["a new table", "a table that was loaded before"])
def test_of_two_loads_at_once_the_one_that_read_the_older_file_does_not_win(
    city: TableSpec,
    load: Callable[..., TableRun],
    query: Query,
    paused: tuple[threading.Event, threading.Event],
    loaded_before: bool,
) -> None:
    opened, go_on = paused
    if loaded_before:
        opened.set()
        put(city, "id,name\n1,first\n2,first\n")
        load(city, "r0")
        put(city, OLD)
        opened.clear()
    with ThreadPoolExecutor(2) as threads:
        older = threads.submit(load, city, "older")
        assert opened.wait(30)
        put(city, NEW)
        newer: Future[TableRun] = threads.submit(load, city, "newer")
        wait_until(lambda: newer.done() or any(row[2] == "advisory" for row in query(SESSIONS)))
        go_on.set()
        assert {older.result().status, newer.result().status} == {"loaded"}
    assert query("SELECT id, name, etl_run_id FROM city ORDER BY id") == [
        (1, "new", "master_etl/newer"),
        (2, "new", "master_etl/newer"),
    ]
    assert load(city, "again").status == "unchanged", "and the ledger knows which file stands in the table"


def test_a_load_that_waited_for_another_of_the_same_file_finds_it_unchanged(
    city: TableSpec, load: Callable[..., TableRun], query: Query, paused: tuple[threading.Event, threading.Event]
) -> None:
    opened, go_on = paused
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(load, city, "first")
        assert opened.wait(30)
        second = threads.submit(load, city, "second")
        wait_until(lambda: any(row[2] == "advisory" for row in query(SESSIONS)))
        go_on.set()
        assert (first.result().status, second.result().status) == ("loaded", "unchanged")


def test_a_load_waits_for_the_transaction_of_a_load_that_broke_off_and_says_so(
    city: TableSpec,
    load: Callable[..., TableRun],
    query: Query,
    warehouse_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.INFO),
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(warehouse_url, application_name="lost") as lost,
    ):
        # its turn went with its worker, and the server works on the transaction
        lost.execute("SELECT pg_advisory_xact_lock(hashtext('sluiceway.write.city'))")
        waiting = thread.submit(load, city, "r1")
        wait_until(lambda: waiting.done() or bool(query(f"{SESSIONS} AND wait_event = 'advisory'")))
        assert len(query(SESSIONS)) == 1, "it has read nothing yet, and does not write"
        lost.rollback()
        assert waiting.result(timeout=30).status == "loaded"
    (line,) = [each for each in caplog.messages if "another load of this table is under way" in each]
    assert line.startswith("city: another load of this table is under way; this one waits for its end (it is held by ")
    assert "'lost'" in line


def test_while_a_load_reads_its_lock_is_idle_and_no_clean_up_ends_it(
    city: TableSpec,
    load: Callable[..., TableRun],
    query: Query,
    warehouse_url: str,
    paused: tuple[threading.Event, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, go_on = paused
    monkeypatch.setattr(steps, "STALE_SESSION_HOURS", 0)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load, city, "r1")
        assert opened.wait(30)
        assert [row[1] for row in query(SESSIONS)] == ["idle"]
        assert steps.cleanup_staging(warehouse_url) == 0
        go_on.set()
        assert loading.result().status == "loaded"
    wait_until(lambda: query(SESSIONS) == [])


def test_a_load_that_lost_its_lock_changes_nothing_and_may_be_tried_again(
    city: TableSpec, load: Callable[..., TableRun], query: Query, paused: tuple[threading.Event, threading.Event]
) -> None:
    opened, go_on = paused
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load, city, "r1")
        assert opened.wait(30)
        ((pid, *_),) = query(SESSIONS)
        query("SELECT pg_terminate_backend(%s, 5000)", pid)
        go_on.set()
        with pytest.raises(WarehouseUnavailableError):
            loading.result()
    assert query("SELECT to_regclass('city')") == [(None,)]
    assert load(city, "r1", try_number=2).status == "loaded"


def test_a_load_waits_for_the_transaction_of_another_that_lost_its_turn(
    city: TableSpec, load: Callable[..., TableRun], query: Query, warehouse_url: str
) -> None:
    waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as threads:
        with session.bulk_session(warehouse_url) as writing:
            transaction.prepare(writing, city)
            loading = threads.submit(load, city, "r1")
            wait_until(lambda: bool(query(waits)) or loading.done())
            assert not loading.done()
        assert loading.result().status == "loaded"


def test_while_a_load_writes_its_transaction_has_the_tables_name_and_holds_the_next_one_off(
    city: TableSpec, load: Callable[..., TableRun], query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, go_on, real = threading.Event(), threading.Event(), table.open_source

    @contextmanager
    def open_slowly(*arguments: Any, **options: Any) -> Iterator[Any]:
        def slowly(batches: Iterator[Any]) -> Iterator[Any]:
            reads.set()
            assert go_on.wait(30)
            yield from batches

        with real(*arguments, **options) as extraction:
            extraction.batches = slowly(extraction.batches)
            yield extraction

    monkeypatch.setattr(table, "open_source", open_slowly)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load, city, "r1")
        try:
            assert reads.wait(30)
            assert len(query(SESSIONS)) == 2, "the one that keeps its turn, and the one that writes"
            assert query("SELECT pg_try_advisory_xact_lock(hashtext('sluiceway.write.city'))") == [(False,)]
        finally:
            go_on.set()
        assert loading.result().status == "loaded"
    assert query("SELECT pg_try_advisory_xact_lock(hashtext('sluiceway.write.city'))") == [(True,)]


def test_a_load_that_was_committed_stays_loaded_although_its_end_was_not_heard(
    city: TableSpec, load: Callable[..., TableRun], warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = session.bulk_session

    @contextmanager
    def deaf(url: str) -> Iterator[session.BulkSession]:
        with real(url) as bulk:
            yield bulk
        raise WarehouseUnavailableError("server closed the connection unexpectedly")

    monkeypatch.setattr(session, "bulk_session", deaf)
    with pytest.raises(WarehouseUnavailableError):
        load(city, "r1")
    with connect(warehouse_url) as ledger:
        (found,) = store.table_runs(ledger, RunKey("master_etl", "r1"))
    assert (found.status, found.inserted) == ("loaded", 2)
    monkeypatch.undo()
    assert load(city, "r1", try_number=2).status == "unchanged"
    with connect(warehouse_url) as ledger:
        (found,) = store.table_runs(ledger, RunKey("master_etl", "r1"))
    assert (found.status, found.inserted, found.try_number) == ("loaded", 2, 1)


def test_a_file_hashed_ahead_is_hashed_again_when_another_was_put_in_its_place_meanwhile(
    city: TableSpec, load: Callable[..., TableRun], query: Query
) -> None:
    age(city)
    ahead = hash_ahead(city.source)
    assert ahead is not None
    ahead.result()
    put(city, NEW)
    load(city, "newer")
    assert load(city, "waited", hashed=ahead).status == "unchanged"
    put(city, OLD)
    assert load(city, "back").status == "loaded"
    assert query("SELECT DISTINCT name FROM city") == [("old",)]


def age(spec: TableSpec) -> None:
    """Wait until the file's last change is long ago: its times can be set back, but that is a change too."""
    path = Path(str(getattr(spec.source, "uri", "")))
    wait_until(lambda: time.time_ns() - path.stat().st_ctime_ns > TICK_NS)


def test_a_hash_taken_ahead_holds_for_a_settled_file_only(city: TableSpec) -> None:
    path = Path(str(getattr(city.source, "uri", "")))
    ahead = hash_ahead(city.source)
    assert ahead is not None
    assert not ahead.result().holds(path), "it may be written to once more within the same tick"
    age(city)
    ahead = hash_ahead(city.source)
    assert ahead is not None
    assert ahead.result().holds(path)
    before = path.stat()
    path.write_text(OLD.replace("old", "odd"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert not ahead.result().holds(path)


def test_a_file_that_is_written_to_while_it_is_read_is_read_again_by_the_next_load(
    city: TableSpec, load: Callable[..., TableRun], query: Query, paused: tuple[threading.Event, threading.Event]
) -> None:
    opened, go_on = paused
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load, city, "r1")
        assert opened.wait(30)
        put(city, NEW)
        go_on.set()
        assert loading.result().fingerprint is None
    assert load(city, "r2").status == "loaded"
    assert query("SELECT DISTINCT name FROM city") == [("new",)]


CHEAP = """
import sys
from pathlib import Path
import psycopg
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
real, count = psycopg.connect, 0

def counted(*arguments, **options):
    global count
    count += 1
    return real(*arguments, **options)

psycopg.connect = counted
result = load_table(read_spec(Path(sys.argv[1])), sys.argv[2], run=RunKey("master_etl", "again"))
heavy = sorted({"pyarrow", "pandas", "duckdb", "numpy", "adbc_driver_manager"} & set(sys.modules))
print(result.status, count, *heavy)
"""


def test_an_unchanged_table_costs_one_connection_and_no_arrow(
    city: TableSpec,
    load: Callable[..., TableRun],
    open_run: Callable[[str], RunKey],
    warehouse_url: str,
    tmp_path: Path,
) -> None:
    load(city, "r1")
    open_run("again")
    done = subprocess.run(
        [sys.executable, "-c", CHEAP, str(tmp_path / "city.toml"), warehouse_url],
        env={"PYTHONPATH": str(ROOT / "include"), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("unchanged 1\n", "")


def test_a_table_of_another_name_is_loaded_meanwhile(
    city: TableSpec,
    load: Callable[..., TableRun],
    write_spec: WriteSpec,
    paused: tuple[threading.Event, threading.Event],
) -> None:
    opened, go_on = paused
    town = write_spec("town", TOML.replace("city", "town"), town__csv=OLD)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(load, city, "r1")
        assert opened.wait(30)
        assert load(town, "r2").status == "loaded"
        assert not loading.done()
        go_on.set()
        loading.result()


def test_who_waits_holds_no_connection_beside_the_one_it_waits_with(
    city: TableSpec, load: Callable[..., TableRun], query: Query, warehouse_url: str
) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as other, ThreadPoolExecutor(1) as threads:
        other.execute("SELECT pg_advisory_lock(hashtext('sluiceway.load.city'))")
        loading = threads.submit(load, city, "r1")
        wait_until(lambda: any(row[2] == "advisory" for row in query(SESSIONS)))
        assert len(query(SESSIONS)) == 1
        other.execute("SELECT pg_advisory_unlock_all()")
        assert loading.result().status == "loaded"
