"""What the ledger knows of freshness, read from a real one: by whom, by which statements, and in which way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.deploy import stints
from sluiceway.deploy.commit import Sighting
from sluiceway.errors import LedgerMissingError, WarehouseError
from sluiceway.freshness import facts
from sluiceway.freshness.facts import LedgerFacts, read
from sluiceway.ledger.forget import forget_runs
from sluiceway.ledger.store import CLI
from sluiceway.ledger.warehouse import connect
from tests.dev.docs.markdown import every
from tests.freshness.ledgered import TABLES, A, B, ran, scanned

Query = Callable[..., list[tuple[Any, ...]]]
HOUR = timedelta(hours=1)
MOST_STATEMENTS = 4


def ages(found: LedgerFacts, table: str) -> tuple[float | None, float | None]:
    """Hours since a table was looked at, and since its data was loaded."""
    each = found.tables[table]
    hours = [(found.at - at) / HOUR if at is not None else None for at in (each.looked_at, each.data_from)]
    looked, loaded = (round(each, 1) if each is not None else None for each in hours)
    return looked, loaded


def test_an_unchanged_source_renews_the_look_and_not_the_data(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=2 * HOUR, city="unchanged")
    found = read(warehouse_url, ["city"])
    assert ages(found, "city") == (2, 9)
    assert (found.tables["city"].run_id, found.tables["city"].table_rows) == ("r2", 3)


@pytest.mark.parametrize("status", ["failed", "abandoned", "running"])
def test_a_run_that_is_not_green_renews_no_look_though_the_table_holds_its_data(
    warehouse_url: str, status: Any
) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=2 * HOUR, commit=B, status=status, city="loaded", town="failed")
    found = read(warehouse_url, ["city", "town"])
    assert ages(found, "city") == (9, 2)
    city = found.tables["city"]
    assert (city.run_id, city.commit_sha, city.green_commit_sha) == ("r1", B, A)
    assert city.last_try is not None
    assert (city.last_try.run_id, city.last_try.run_status) == ("r2", status)
    assert ages(found, "town") == (None, None)


def test_a_failed_try_renews_nothing_and_says_why(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=2 * HOUR, status="failed", city="failed")
    found = read(warehouse_url, ["city"])
    assert ages(found, "city") == (9, 9)
    last = found.tables["city"].last_try
    assert last is not None
    assert (last.status, last.error) == ("failed", "EmptyExtractionError: the source gave no rows")


def test_a_superseded_run_renews_nothing(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=HOUR, commit=B, status="superseded", deployed=A, note="newer", city="planned")
    found = read(warehouse_url, ["city"])
    assert ages(found, "city") == (9, 9)
    assert (found.tables["city"].commit_sha, found.runs[0].commit, found.runs[0].note) == (A, B, "newer")


def test_a_load_of_the_command_line_renews_the_look_and_names_no_commit(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "cli__1", ago=HOUR, dag_id=CLI, commit=None, city="loaded")
    found = read(warehouse_url, ["city"])
    assert ages(found, "city") == (1, 1)
    assert (found.tables["city"].dag_id, found.tables["city"].commit_sha) == (CLI, A)


def test_the_commit_of_the_data_is_the_one_that_was_deployed_when_the_run_was_let_through(warehouse_url: str) -> None:
    ran(warehouse_url, "scheduled__1", ago=HOUR, dag_id="shop", commit=None, deployed=B, city="loaded")
    found = read(warehouse_url, ["city"])
    assert (found.tables["city"].commit_sha, found.runs[0].commit) == (B, B)


def test_only_a_run_that_goes_on_has_tables_to_load(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=2 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=HOUR, status="running", city="planned", town="loaded")
    found = read(warehouse_url, ["city"])
    assert [(each.run_id, sorted(each.tables)) for each in found.runs] == [("r2", ["city", "town"]), ("r1", [])]


def test_only_the_tables_that_are_asked_for_are_told_and_none_is_no_table(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=HOUR, city="loaded", gone="loaded")
    assert set(read(warehouse_url, ["city", "never"]).tables) == {"city"}
    nothing = read(warehouse_url, [])
    assert (nothing.tables, nothing.at.tzinfo is not None) == ({}, True)


def test_what_is_counted_of_a_table_is_told_when_all_of_its_tries_are_forgotten(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=60 * 24 * HOUR, status="failed", city="failed")
    with connect(warehouse_url) as session:
        assert forget_runs(session, older_than_days=30) == 1
    city = read(warehouse_url, ["city"]).tables["city"]
    assert (city.tally.failures, city.looked_at, city.last_try) == (1, None, None)


def test_since_when_a_commit_is_deployed_is_the_newest_stint(warehouse_url: str) -> None:
    at = datetime(2026, 8, 3, 12, tzinfo=UTC)
    with connect(warehouse_url) as session:
        stints.note(session, "staging", Sighting(commit=A, began_at=at, ended_at=at))
    found = read(warehouse_url, [], "staging").stint
    assert found is not None
    assert (found.commit_sha, found.first_seen_at) == (A, at)
    assert read(warehouse_url, [], "production").stint is None


def test_the_reader_role_may_ask(warehouse_url: str, postgres: Cluster, database: str) -> None:
    ran(warehouse_url, "r1", ago=HOUR, city="loaded")
    assert ages(read(postgres.url("sluiceway_reader", database), ["city"]), "city") == (1, 1)


def test_asking_cannot_write(warehouse_url: str, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(warehouse_url, "r1", ago=HOUR, city="loaded")
    monkeypatch.setattr(facts, "_TABLES", "UPDATE etl.run SET note = 'x' RETURNING {}::text")
    with pytest.raises(WarehouseError, match="read-only transaction"):
        read(warehouse_url, ["city"])
    assert query("SELECT note FROM etl.run") == [(None,)]


def test_a_warehouse_without_a_ledger_says_so(warehouse_url: str, owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        read(warehouse_url, ["city"])


def test_a_thousand_tables_are_asked_for_by_few_statements_and_each_by_an_index(
    filled: str, statements: list[str], query: Query
) -> None:
    found = read(filled, [f"table_{number}" for number in range(1, TABLES + 1)], "staging")
    assert len(found.tables) == TABLES
    assert ages(found, "table_1")[0] == 0.9
    assert len(found.runs[0].tables) == TABLES
    assert len(statements) <= MOST_STATEMENTS
    for statement in statements[1:]:
        plan = query(f"EXPLAIN (FORMAT JSON) {statement}")[0][0]
        assert scanned(plan) & {"table_run", "run"} == set(), statement
    # as a query that must read all of it is planned
    assert "table_run" in scanned(query("EXPLAIN (FORMAT JSON) SELECT max(rejected) FROM etl.table_run")[0][0])


def test_the_view_is_read_by_indexes_too(filled: str, query: Query) -> None:
    assert len(query("SELECT * FROM etl.freshness")) == TABLES
    for question in ("SELECT * FROM etl.freshness", "SELECT * FROM etl.freshness WHERE table_name = 'table_7'"):
        assert "table_run" not in scanned(query(f"EXPLAIN (FORMAT JSON) {question}")[0][0])


def test_a_web_service_reads_the_view_as_the_reader_role(warehouse_url: str, postgres: Cluster, database: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    ran(warehouse_url, "r2", ago=2 * HOUR, city="unchanged", town="failed", status="failed")
    ran(warehouse_url, "r3", ago=HOUR, city="unchanged")
    with psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as reader:
        rows = reader.execute(
            "SELECT table_name, round(extract(epoch FROM now() - looked_at) / 3600), "
            "round(extract(epoch FROM now() - data_from) / 3600), table_rows, commit_sha, green_commit_sha, dag_id, "
            "run_id FROM etl.freshness ORDER BY 1"
        ).fetchall()
        assert rows == [
            ("city", 1, 9, 3, A, A, "master_etl", "r3"),
            ("town", None, None, None, None, None, None, None),
        ]
        with pytest.raises(psycopg.errors.Error):
            reader.execute("DELETE FROM etl.freshness")


def test_the_footer_of_the_page_says_what_the_view_says(warehouse_url: str, postgres: Cluster, database: str) -> None:
    (page,) = [block for block in every("python") if "def footer(" in block.text]
    written: dict[str, Any] = {}
    exec(compile(page.text, page.name, "exec"), written)
    with psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as reader:
        assert written["footer"](reader) == "The data's age is unknown"
        ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded", town="loaded")
        assert written["footer"](reader).endswith(f" UTC, commit {A}")
        ran(warehouse_url, "r2", ago=HOUR, commit=B, city="loaded")
        assert written["footer"](reader).endswith(" UTC, commit mixed")
        ran(warehouse_url, "r3", ago=HOUR, status="failed", third="failed")
        assert written["footer"](reader) == "The data's age is unknown"


def test_before_any_run_the_view_is_empty(query: Query) -> None:
    assert query("SELECT * FROM etl.freshness") == []


def test_the_facts_are_those_of_the_view(warehouse_url: str, query: Query) -> None:
    columns = sql.SQL("SELECT attname FROM pg_attribute WHERE attrelid = 'etl.freshness'::regclass ORDER BY attnum")
    found = [name for (name,) in query(columns.as_string(None))]
    assert found == [
        "table_name",
        *(name for name in facts.TableFacts._fields if name not in {"tally", "last_try"}),
    ]


def test_what_runs_of_other_dags_say_is_left_out_and_how_old_a_table_is_stays(warehouse_url: str) -> None:
    ran(warehouse_url, "good", ago=timedelta(hours=2), t01="loaded")
    ran(warehouse_url, "bad", ago=timedelta(hours=1), dag_id="shop", status="failed", t01="failed")
    ran(warehouse_url, "open", ago=timedelta(minutes=1), dag_id="shop", status="running", t01="planned")
    known = read(warehouse_url, ["t01"])
    assert known.tables["t01"].last_try is not None and len(known.runs) == 3
    told = facts.told_of(known, {"master_etl"})
    assert told.tables["t01"].last_try is None and told.tables["t01"].looked_at == known.tables["t01"].looked_at
    assert [run.run_id for run in told.runs] == ["good"]
    assert facts.told_of(known, {"master_etl", "shop"}) == known
