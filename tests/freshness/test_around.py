"""What stands around a verdict, read from a real ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluiceway.errors import LedgerMissingError
from sluiceway.events import Event, Look
from sluiceway.freshness.around import read
from sluiceway.ledger import events, tasks
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect
from tests.freshness.ledgered import TABLES, A, B, ran, scanned

HOUR = timedelta(hours=1)
SHOWN = 12
"""Loads that a trend is drawn of."""
MOST_STATEMENTS = 3
"""Two that say how the transaction is to be, and a question."""


def test_the_newest_try_of_a_table_is_told_with_its_run_its_error_and_its_log(warehouse_url: str) -> None:
    ran(warehouse_url, "r1", ago=9 * HOUR, city="loaded")
    key = ran(warehouse_url, "r2", ago=2 * HOUR, commit=B, status="failed", city="failed", town="loaded")
    with connect(warehouse_url) as session:
        for number, table in enumerate(("city", "town")):
            task = TaskRun(
                **key._asdict(),
                task_id="sub.load_table",
                map_index=number,
                try_number=1,
                table_name=table,
                log_url=f"https://airflow/{table}",
            )
            tasks.begin(session, task)
    found = read(warehouse_url, ["city", "town", "never"]).tables
    assert set(found) == {"city", "town"}
    city = found["city"]
    assert (city.run_id, city.status, city.run_status) == ("r2", "failed", "failed")
    assert (city.error, city.log_url) == ("EmptyExtractionError: the source gave no rows", "https://airflow/city")
    assert city.rows == (3,)
    # what a red run has loaded is no error of the table's, and renews nothing
    assert (found["town"].error, found["town"].has_failed, found["town"].log_url) == (
        None,
        True,
        "https://airflow/town",
    )


def test_the_trend_is_the_rows_after_each_of_the_last_good_loads_the_oldest_first(
    warehouse_url: str, owner_url: str
) -> None:
    for number in range(SHOWN + 3):
        key = ran(warehouse_url, f"r{number}", ago=(100 - number) * HOUR, city="loaded")
        with psycopg.connect(owner_url) as owner:
            owner.execute(
                "UPDATE etl.table_run SET table_rows = %s WHERE run_id = %s AND try_number = 1", [number, key.run_id]
            )
    ran(warehouse_url, "red", ago=HOUR, status="failed", city="failed")
    assert read(warehouse_url, ["city"]).tables["city"].rows == tuple(range(3, SHOWN + 3))


def test_runs_that_go_on_and_those_superseded_within_a_day_are_told(warehouse_url: str) -> None:
    ran(warehouse_url, "old", ago=48 * HOUR, status="superseded", deployed=A, note="long ago", city="planned")
    ran(warehouse_url, "new", ago=2 * HOUR, commit=B, status="superseded", deployed=A, note="newer", city="planned")
    ran(warehouse_url, "green", ago=2 * HOUR, city="loaded")
    ran(warehouse_url, "now", ago=HOUR, status="running", city="planned")
    told = {run.run_id: (run.status, run.commit, run.note) for run in read(warehouse_url, []).runs}
    assert told == {"now": ("running", A, None), "new": ("superseded", B, "newer")}


def test_a_trigger_that_cannot_see_is_told_until_it_can_and_one_whose_events_nobody_takes(
    warehouse_url: str, owner_url: str
) -> None:
    with connect(warehouse_url) as session:
        events.record_error(session, "shop", "blind", "no such host")
        events.record_look(session, events.state(session, "shop", "seeing"), Look((), cursor=1))
        events.record_events(session, "shop", "hook", [Event(key="a", facts={}), Event(key="b", facts={})])
    told = read(warehouse_url, []).failing
    assert [(each.trigger_id, each.error, each.unclaimed) for each in told] == [("blind", "no such host", 0)]
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE etl.trigger_event SET seen_at = seen_at - interval '1 h'")
    with connect(warehouse_url) as session:
        events.record_alive(session, [("shop", "blind")])
    told = read(warehouse_url, []).failing
    assert [(each.trigger_id, each.error, each.unclaimed) for each in told] == [("hook", None, 2)]


def test_dead_letters_are_counted_by_job(warehouse_url: str, owner_url: str) -> None:
    assert read(warehouse_url, []).dead == ()
    with psycopg.connect(owner_url) as owner:
        owner.execute(
            "INSERT INTO etl_jobs.item (job, item, state, last_error) "
            "SELECT 'resolve_taxa', n::text, CASE WHEN n < 3 THEN 'dead' ELSE 'due' END, 'no such taxon' "
            "FROM generate_series(1, 5) n"
        )
    (dead,) = read(warehouse_url, []).dead
    assert (dead.job, dead.count, dead.newest_at.tzinfo is not None) == ("resolve_taxa", 2, True)


def test_a_thousand_tables_are_asked_for_by_one_question_and_by_indexes(
    filled: str, statements: list[str], query: Callable[..., list[tuple[Any, ...]]], owner_url: str
) -> None:
    with psycopg.connect(owner_url) as owner:
        owner.execute(
            "INSERT INTO etl.task_run (dag_id, run_id, task_id, map_index, try_number, table_name, log_url) "
            "SELECT dag_id, run_id, 'sub.load_table', substr(table_name, 7)::int, 1, table_name, 'https://log' "
            "FROM etl.table_run WHERE try_number = 1"
        )
        owner.execute("ANALYZE etl.task_run")
    found = read(filled, [f"table_{number}" for number in range(1, TABLES + 1)])
    assert len(found.tables) == TABLES and len(found.runs) == 1
    assert all(each.log_url == "https://log" for each in found.tables.values())
    assert len(statements) == MOST_STATEMENTS
    for statement in statements[2:]:
        plan = query(f"EXPLAIN (FORMAT JSON) {statement}")[0][0]
        assert scanned(plan) & {"table_run", "run", "task_run"} == set(), statement


def test_a_warehouse_without_a_ledger_says_so(warehouse_url: str, owner_url: str) -> None:
    with psycopg.connect(owner_url) as owner:
        owner.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    with pytest.raises(LedgerMissingError, match="sluiceway ledger migrate"):
        read(warehouse_url, ["city"])
