"""The newest try at a table, which stands beside what is counted of it: always what history says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
import pytest
from alembic import command

from dev.cluster import Cluster
from sluiceway.ledger.migrate import migrate
from tests.ledger.test_migrate import moved
from tests.waiting import wait_until

Query = Callable[..., list[tuple[object, ...]]]
AT = datetime(2026, 11, 30, 20, tzinfo=UTC)
KEPT = """
    SELECT table_name, last_dag_id, last_run_id, last_try, last_status, last_rejected, last_at, loaded_at, loaded_rows,
        trend
    FROM etl.table_tally WHERE last_at IS NOT NULL ORDER BY table_name
"""
SAID = """
    SELECT DISTINCT ON (table_name) table_name, dag_id, run_id, try_number, status, rejected, finished_at,
        (SELECT max(l.finished_at) FROM etl.table_run l WHERE l.table_name = t.table_name AND l.status = 'loaded'),
        (SELECT l.table_rows FROM etl.table_run l WHERE l.table_name = t.table_name AND l.status = 'loaded'
            AND l.finished_at IS NOT NULL ORDER BY l.finished_at DESC LIMIT 1),
        coalesce((SELECT array_agg(g.table_rows ORDER BY g.finished_at) FROM (
            SELECT table_rows, finished_at FROM etl.table_run g WHERE g.table_name = t.table_name
                AND g.finished_at IS NOT NULL AND g.table_rows IS NOT NULL AND g.status <> 'failed'
            ORDER BY g.finished_at DESC LIMIT 12
        ) g), '{}')
    FROM etl.table_run t WHERE finished_at IS NOT NULL ORDER BY table_name, finished_at DESC
"""
WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
TRY = """
    INSERT INTO etl.table_run AS t
        (dag_id, run_id, table_name, try_number, status, extracted, rejected, table_rows, finished_at)
    SELECT 'd', %(run)s, %(table)s, %(number)s, %(status)s, %(rejected)s, %(rejected)s, %(rows)s, %(at)s
    ON CONFLICT (dag_id, run_id, table_name, try_number) DO UPDATE SET
        status = excluded.status, extracted = excluded.extracted, rejected = excluded.rejected,
        table_rows = excluded.table_rows, finished_at = excluded.finished_at
"""


def ended(
    connection: psycopg.Connection[tuple[object, ...]],
    run: str,
    table: str = "a",
    status: str = "loaded",
    *,
    at: datetime | None = AT,
    number: int = 1,
    rejected: int = 0,
    rows: int | None = 3,
) -> None:
    """A try that has come to this."""
    rows = rows if status in {"loaded", "unchanged"} else None
    values = {"run": run, "table": table, "number": number, "status": status, "rejected": rejected, "rows": rows}
    connection.execute(TRY, {**values, "at": at if status != "planned" else None})


def opened(connection: psycopg.Connection[tuple[object, ...]], *run_ids: str) -> None:
    for run_id in run_ids:
        connection.execute(
            "INSERT INTO etl.run (dag_id, run_id, trigger_kind, status) VALUES ('d', %s, 'test', 'running')", [run_id]
        )


def a_change(connection: psycopg.Connection[tuple[object, ...]], pick: random.Random) -> None:
    """Something that becomes of history: a try that is planned, ends or ends anew, a run that is renamed or deleted."""
    run_id, table = f"r{pick.randrange(6)}", pick.choice("ab")
    kind = pick.randrange(10)
    if kind == 0:
        connection.execute("DELETE FROM etl.run WHERE run_id = %s", [run_id])
    elif kind == 1:
        # an earlier name goes to a later run, as where a deleted run's id comes back
        if not connection.execute("SELECT FROM etl.run WHERE run_id = %s", [f"{run_id}_"]).fetchall():
            connection.execute("UPDATE etl.run SET run_id = run_id || '_' WHERE run_id = %s", [run_id])
    else:
        if not connection.execute("SELECT FROM etl.run WHERE run_id = %s", [run_id]).fetchall():
            opened(connection, run_id)
        status = pick.choice(["planned", "loaded", "loaded", "unchanged", "failed"])
        at, rows = AT + timedelta(seconds=pick.randrange(10**6)), pick.choice([None, pick.randrange(100)])
        number, rejected = pick.randrange(3), pick.randrange(5)
        ended(connection, run_id, table, status, at=at, number=number, rejected=rejected, rows=rows)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_is_what_history_says_whatever_becomes_of_it(
    seed: int, owner_url: str, query: Query, warehouse_url: str
) -> None:
    pick = random.Random(seed)
    with psycopg.connect(warehouse_url, autocommit=True) as loader:
        for _ in range(60):
            a_change(loader, pick)
            # a trend keeps the rows of loads that are forgotten, until the next one ends
            assert [row[:-1] for row in query(KEPT)] == [row[:-1] for row in query(SAID)]
        for table in "ab":
            opened(loader, f"last_{table}")
            ended(loader, f"last_{table}", table, at=AT + timedelta(days=100))
    assert query(KEPT) == query(SAID) and len(query(KEPT)) == 2


def waits_for(
    first: psycopg.Connection[tuple[object, ...]],
    second: psycopg.Connection[tuple[object, ...]],
    work: Callable[[], object],
) -> None:
    """The second one's work waits until the first one commits, and is committed after it."""
    waiting = threading.Thread(target=work)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    first.commit()
    waiting.join(30)
    second.commit()


def test_of_two_tries_that_end_at_once_the_newer_one_is_kept(warehouse_url: str, query: Query) -> None:
    with (
        psycopg.connect(warehouse_url) as first,
        psycopg.connect(warehouse_url) as second,
        psycopg.connect(warehouse_url, autocommit=True) as third,
    ):
        opened(third, "r1", "r2")
        ended(first, "r1", at=AT + timedelta(seconds=1))
        waits_for(first, second, partial(ended, second, "r2", "a", "failed"))
    assert query(KEPT) == query(SAID)
    assert query("SELECT last_run_id, loads, failures FROM etl.table_tally") == [("r1", 1, 1)]


def test_of_two_that_are_deleted_at_once_none_is_kept(warehouse_url: str, query: Query) -> None:
    with (
        psycopg.connect(warehouse_url) as first,
        psycopg.connect(warehouse_url) as second,
        psycopg.connect(warehouse_url, autocommit=True) as third,
    ):
        opened(third, "r1", "r2", "r3")
        for number in (1, 2, 3):
            ended(third, f"r{number}", at=AT + timedelta(seconds=number))
        first.execute("DELETE FROM etl.run WHERE run_id = 'r3'")
        waits_for(first, second, partial(second.execute, "DELETE FROM etl.run WHERE run_id = 'r2'"))
    assert [row[:-1] for row in query(KEPT)] == [row[:-1] for row in query(SAID)]
    assert query("SELECT last_run_id FROM etl.table_tally") == [("r1",)]


@pytest.mark.parametrize("function", ["count_try", "keep_newest", "keep_newest_of_rest"])
@pytest.mark.parametrize("role", ["sluiceway_reader", "sluiceway_jobs", "sluiceway_loader"])
def test_nobody_has_the_ledger_count_a_table_of_his_own(
    role: str, function: str, postgres: Cluster, database: str
) -> None:
    with psycopg.connect(postgres.url(role, database), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE mine (table_name text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"function.*{function}"):
            connection.execute(
                f"CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION etl.{function}()"
            )


def test_a_load_that_ends_while_the_ledger_is_migrated_is_waited_for(blank: str, postgres: Cluster) -> None:
    url = postgres.url("sluiceway_owner", blank)
    moved(url, command.upgrade, "0016")
    with (
        psycopg.connect(url, autocommit=True, options="-c statement_timeout=20s") as other,
        psycopg.connect(url, options="-c statement_timeout=20s") as load,
    ):
        opened(other, "r1")
        ended(load, "r1", status="planned")
        migrating = threading.Thread(target=migrate, args=[url])
        migrating.start()
        wait_until(lambda: bool(other.execute(WAITING).fetchall()))
        assert other.execute("SELECT count(*) FROM etl.table_tally").fetchall() == [(0,)]
        ended(load, "r1")
        load.commit()
        migrating.join(60)
        assert other.execute("SELECT last_run_id FROM etl.table_tally").fetchall() == [("r1",)]


def test_old_history_is_forgotten_while_a_load_ends_and_the_newest_try_is_waited_for(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url, autocommit=True) as cleaning, psycopg.connect(warehouse_url) as loading:
        opened(cleaning, "old", "before", "now")
        for number, run_id in enumerate(("old", "before")):
            ended(cleaning, run_id, at=AT + timedelta(seconds=number))
        ended(loading, "now", at=AT + timedelta(hours=1))
        cleaning.execute("SET lock_timeout = '500ms'")
        cleaning.execute("DELETE FROM etl.run WHERE run_id = 'old'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            cleaning.execute("DELETE FROM etl.run WHERE run_id = 'before'")


def test_a_ledger_with_history_knows_the_newest_tries_at_once(blank: str, postgres: Cluster) -> None:
    url = postgres.url("sluiceway_owner", blank)
    moved(url, command.upgrade, "0016")
    with psycopg.connect(url, autocommit=True) as connection:
        opened(connection, "r1", "r2")
        ended(connection, "r1")
        ended(connection, "r2", status="failed", at=AT + timedelta(hours=1))
        ended(connection, "r1", "b", "planned")
        migrate(url)
        kept = connection.execute(KEPT).fetchall()
        assert kept == connection.execute(SAID).fetchall()
        assert [row[2] for row in kept] == ["r2"]
        moved(url, command.downgrade, "0016")
        assert connection.execute("SELECT loads, failures FROM etl.table_tally").fetchall() == [(1, 1)]
