"""A local file that is still the one that was loaded needs no process of its own; whatever else is asked does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluiceway.errors import SourceMissingError, WarehouseUnavailableError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import one_connection
from sluiceway.load import limited
from sluiceway.load.attempt import Attempt
from sluiceway.load.limited import load_within_memory
from sluiceway.load.unchanged import Look, look
from sluiceway.sources import hashing
from sluiceway.sources.connections import from_environment
from sluiceway.sources.hashing import TICK_NS
from sluiceway.tables.spec import TableSpec

Query = Callable[..., list[tuple[object, ...]]]
CITY = """
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", name = "text" }
"""
SEVERAL = CITY.replace("city.csv", "ci*.csv")


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that loads are given."""
    made: list[int] = []
    real = os.fork

    def fork() -> int:
        if pid := real():
            made.append(pid)
        return pid

    monkeypatch.setattr(limited.os, "fork", fork)
    return made


@pytest.fixture
def city(write_spec: Callable[..., TableSpec]) -> TableSpec:
    return write_spec("city", CITY, city__csv="id,name\n1,a\n2,b\n")


def source(spec: TableSpec) -> Path:
    return Path(str(getattr(spec.source, "uri", "")))


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[..., TableRun]:
    """Loads as the named run, as a task does it."""

    def run(spec: TableSpec, run_id: str, **options: Any) -> TableRun:
        with one_connection(warehouse_url):
            return load_within_memory(spec, warehouse_url, run=open_run(run_id), try_number=1, **options)

    return run


def test_an_unchanged_file_is_told_without_another_process(
    city: TableSpec, load: Callable[..., TableRun], forks: list[int], query: Query
) -> None:
    first = load(city, "first")
    assert (first.status, len(forks)) == ("loaded", 1)
    again = load(city, "again")
    assert (again.status, again.table_rows, again.fingerprint, len(forks)) == ("unchanged", 2, first.fingerprint, 1)
    rows = "SELECT try_number, status, table_rows, fingerprint FROM etl.table_run WHERE run_id = 'again'"
    assert query(rows) == [(1, "unchanged", 2, first.fingerprint)]


@pytest.mark.parametrize("asked", ["force", "another file", "another spec", "emptied by hand", "never loaded"])
def test_whatever_may_have_to_be_loaded_is_given_a_process(
    city: TableSpec,
    write_spec: Callable[..., TableSpec],
    load: Callable[..., TableRun],
    forks: list[int],
    query: Query,
    warehouse_url: str,
    asked: str,
) -> None:
    load(city, "first")
    match asked:
        case "another file":
            source(city).write_text("id,name\n1,z\n2,b\n")
        case "another spec":
            city = write_spec("city", CITY.replace('name = "text"', 'name = { type = "text", upper = true }'))
        case "emptied by hand":
            with psycopg.connect(warehouse_url) as connection:
                connection.execute("DELETE FROM city")
        case "never loaded":
            city = write_spec("town", CITY)
    result = load(city, "again", force=asked == "force")
    assert (result.status, result.extracted, len(forks)) == ("loaded", 2, 2)
    assert query("SELECT status FROM etl.table_run WHERE run_id = 'again'") == [("loaded",)]


def test_a_pattern_is_looked_at_by_its_load(
    write_spec: Callable[..., TableSpec], load: Callable[..., TableRun], forks: list[int]
) -> None:
    spec = write_spec("city", SEVERAL, city__csv="id,name\n1,a\n")
    assert [load(spec, run_id).status for run_id in ("first", "again")] == ["loaded", "unchanged"]
    assert len(forks) == 2


def test_a_changed_file_is_hashed_once(
    city: TableSpec, load: Callable[..., TableRun], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load(city, "first")
    source(city).write_text("id,name\n1,z\n2,b\n")
    # as if it had lain there for long: of one that was just written nobody knows whether it was written again
    monkeypatch.setattr(hashing, "TICK_NS", -10 * TICK_NS)
    seen, real = tmp_path / "hashed", hashing.fingerprint

    def fingerprint(path: Path) -> tuple[str, int]:
        with seen.open("a") as file:
            file.write(f"{path.name}\n")
        return real(path)

    monkeypatch.setattr(hashing, "fingerprint", fingerprint)
    assert load(city, "again").status == "loaded"
    assert seen.read_text().splitlines() == ["city.csv"]


def test_a_file_that_is_gone_fails_the_table_and_the_ledger_says_why(
    city: TableSpec, load: Callable[..., TableRun], forks: list[int], query: Query
) -> None:
    load(city, "first")
    source(city).unlink()
    with pytest.raises(SourceMissingError, match=r"city\.csv: there is no such file"):
        load(city, "again")
    ((status, error_type, error),) = query("SELECT status, error_type, error FROM etl.table_run WHERE run_id = 'again'")
    assert (status, error_type, "there is no such file" in str(error)) == ("failed", "SourceMissingError", True)
    assert len(forks) == 1


def test_a_warehouse_that_does_not_answer_is_said(city: TableSpec) -> None:
    attempt = Attempt(RunKey("master_etl", "r1"), 1)
    with pytest.raises(WarehouseUnavailableError, match="does not answer"):
        look(city, "postgresql://x@127.0.0.1:1/none", attempt, force=False, connections=from_environment)


@pytest.mark.parametrize("held", ["load", "write"])
def test_where_it_is_another_loads_turn_nothing_is_seen_and_nothing_held(
    city: TableSpec, load: Callable[..., TableRun], warehouse_url: str, query: Query, held: str
) -> None:
    run = load(city, "first").key
    with psycopg.connect(warehouse_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"sluiceway.{held}.city"])
        attempt = Attempt(run, 2)
        with one_connection(warehouse_url):
            seen = look(city, warehouse_url, attempt, force=False, connections=from_environment)
            mine = query(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> %s", other.info.backend_pid
            )
    assert (seen, attempt.numbered, mine) == (Look(), None, [(0,)])
