"""What runs did to a table, and what they did between two of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from sluiceway.ledger import history, store
from sluiceway.ledger.history import TableChange
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect

AT = datetime(2026, 8, 3, 14, tzinfo=UTC)


def ran(url: str, key: RunKey, minute: int, **tables: dict[str, Any]) -> RunKey:
    """A green run of one minute that ended so many minutes after AT, and what it did to each table."""
    ended = AT + timedelta(minutes=minute)
    with connect(url) as session:
        store.open_run(session, key, None, "manual")
        for name, told in tables.items():
            read = sum(told.get(each, 0) for each in ("inserted", "updated", "rejected"))
            did = {"status": "loaded", **key._asdict(), "table_name": name, "extracted": read, **told}
            store.write_table_run(session, TableRun.model_validate(did))
        store.close_run(session, key, "success", None)
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE etl.run SET started_at = %s, finished_at = %s WHERE (dag_id, run_id) = (%s, %s)",
            (ended - timedelta(minutes=1), ended, *key),
        )
        connection.execute("UPDATE etl.table_run SET finished_at = %s WHERE (dag_id, run_id) = (%s, %s)", (ended, *key))
    return key


def changes(url: str, earlier: RunKey, later: RunKey, *dags: str) -> dict[str, TableChange]:
    with connect(url) as session:
        runs = [store.run(session, key) for key in (earlier, later)]
        assert runs[0] is not None and runs[1] is not None
        told = history.changes_between(session, runs[0], runs[1], dags or ("m",), now=AT + timedelta(days=1))
    return {each.table_name: each for each in told}


def test_the_loads_between_two_runs_are_summed_and_those_of_the_first_do_not_count(warehouse_url: str) -> None:
    a = ran(warehouse_url, RunKey("m", "a"), 1, city={"inserted": 100, "table_rows": 100})
    ran(warehouse_url, RunKey("m", "x"), 2, city={"inserted": 5, "deleted": 2, "rejected": 1, "table_rows": 103})
    ran(warehouse_url, RunKey("m", "y"), 3, city={"status": "failed", "error_type": "E", "error": "no", "rejected": 9})
    b = ran(warehouse_url, RunKey("m", "b"), 4, city={"updated": 7, "table_rows": 103})
    ran(warehouse_url, RunKey("m", "z"), 5, city={"inserted": 50, "table_rows": 153})
    told = changes(warehouse_url, a, b)["city"]
    assert (told.loads, told.failed) == (2, 1)
    assert (told.inserted, told.updated, told.deleted, told.rejected) == (5, 7, 2, 1)
    assert (told.rows_before, told.rows_after) == (100, 103)


def test_runs_of_other_dags_are_left_out(warehouse_url: str) -> None:
    a = ran(warehouse_url, RunKey("m", "a"), 1, city={"inserted": 1, "table_rows": 1})
    ran(warehouse_url, RunKey("secret", "s"), 2, city={"inserted": 40, "table_rows": 41}, hidden={"inserted": 1})
    b = ran(warehouse_url, RunKey("m", "b"), 3, city={"inserted": 2, "table_rows": 43})
    told = changes(warehouse_url, a, b)
    assert list(told) == ["city"] and told["city"].inserted == 2
    told = changes(warehouse_url, a, b, "m", "secret")
    assert told["city"].inserted == 42 and told["hidden"].inserted == 1


def test_a_table_that_one_of_the_runs_did_not_touch_is_looked_at_until_its_end(warehouse_url: str) -> None:
    ran(warehouse_url, RunKey("m", "first"), 0, road={"inserted": 9, "table_rows": 9})
    a = ran(warehouse_url, RunKey("m", "a"), 1, city={"table_rows": 1})
    ran(warehouse_url, RunKey("m", "x"), 2, road={"inserted": 1, "table_rows": 10})
    b = ran(warehouse_url, RunKey("m", "b"), 3, city={"table_rows": 1})
    told = changes(warehouse_url, a, b)["road"]
    assert (told.inserted, told.rows_before, told.rows_after) == (1, 9, 10)


@pytest.mark.parametrize("unchanged_last", [False, True])
def test_the_columns_are_those_of_the_newest_loads(warehouse_url: str, unchanged_last: bool) -> None:
    a = ran(warehouse_url, RunKey("m", "a"), 1, city={"source_columns": {"id": "int"}, "spec_hash": "1"})
    b = ran(warehouse_url, RunKey("m", "b"), 2, city={"source_columns": {"id": "int", "x": "text"}, "spec_hash": "2"})
    if unchanged_last:
        b = ran(warehouse_url, RunKey("m", "c"), 3, city={"status": "unchanged"})
    told = changes(warehouse_url, a, b)["city"]
    assert (told.columns_before, told.columns_after) == ({"id": "int"}, {"id": "int", "x": "text"})
    assert (told.spec_before, told.spec_after) == ("1", "2")


def test_the_newest_tries_come_first_with_their_runs(warehouse_url: str) -> None:
    ran(warehouse_url, RunKey("m", "a"), 1, city={"table_rows": 1})
    ran(warehouse_url, RunKey("secret", "s"), 2, city={})
    ran(warehouse_url, RunKey("m", "b"), 3, city={"table_rows": 2})
    with connect(warehouse_url) as session:
        store.plan_tables(session, RunKey("m", "b"), ["city"])
        told = history.newest_tries(session, "city", ["m"], limit=5)
        assert [each.tried.run_id for each in told] == ["b", "a"]
        assert [each.run_status for each in told] == ["success", "success"]
        assert len(history.newest_tries(session, "city", ["m"], limit=1)) == 1
        assert history.newest_tries(session, "city", [], limit=5) == []
        assert history.dags_of(session, "city") == {"m", "secret"}
        assert history.tables_of(session, ["m"]) == {"city"} and history.tables_of(session, []) == set()


def test_the_run_before_is_of_the_same_dag_and_not_superseded(warehouse_url: str) -> None:
    first = ran(warehouse_url, RunKey("m", "a"), 1)
    ran(warehouse_url, RunKey("secret", "s"), 2)
    passed = ran(warehouse_url, RunKey("m", "x"), 3)
    last = ran(warehouse_url, RunKey("m", "b"), 4)
    with connect(warehouse_url) as session:
        store.close_run(session, passed, "superseded", None)
        for key, before in ((last, first), (first, None)):
            run = store.run(session, key)
            assert run is not None and history.run_before(session, run) == before
