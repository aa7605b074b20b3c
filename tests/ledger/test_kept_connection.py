"""A connection that is kept for questions: of one moment each, unable to write, and opened anew when it broke."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import WarehouseError, WarehouseUnavailableError
from sluiceway.ledger.kept import KeptConnection
from sluiceway.ledger.warehouse import Session

PID = sql.SQL("SELECT pg_backend_pid()")


@pytest.fixture
def kept(warehouse_url: str) -> Iterator[KeptConnection]:
    found = KeptConnection(lambda: warehouse_url, is_snapshot=True)
    yield found
    found.close()


def test_it_is_the_same_from_question_to_question(kept: KeptConnection) -> None:
    assert len({kept.ask(lambda session: session.execute(PID)[0][0]) for _ in range(3)}) == 1


def test_a_question_sees_one_moment_and_cannot_write(kept: KeptConnection) -> None:
    isolation = sql.SQL("SELECT current_setting('transaction_isolation')")
    assert kept.ask(lambda session: session.execute(isolation)) == [("repeatable read",)]
    with pytest.raises(WarehouseError, match="read-only transaction"):
        kept.ask(lambda session: session.execute(sql.SQL("DELETE FROM etl.run")))


def test_one_that_broke_while_nobody_asked_is_opened_anew(kept: KeptConnection, postgres: Cluster) -> None:
    first = kept.ask(lambda session: session.execute(PID)[0][0])
    with psycopg.connect(postgres.url("postgres", "postgres")) as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
    assert kept.ask(lambda session: session.execute(PID)[0][0]) != first


def test_a_question_that_waits_for_a_lock_is_ended_once(kept: KeptConnection, postgres: Cluster, database: str) -> None:
    kept.ask(lambda session: session.execute(sql.SQL("SELECT 1")))
    asked = 0

    def ask(session: Session) -> None:
        nonlocal asked
        asked += 1
        session.execute(sql.SQL("SELECT count(*) FROM etl.run"))

    with psycopg.connect(postgres.url("sluiceway_owner", database)) as holder:
        holder.execute("LOCK TABLE etl.run IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(WarehouseUnavailableError, match="lock timeout"):
            kept.ask(ask)
    assert asked == 1
    kept.ask(ask)
    assert asked == 2


def test_times_are_read_where_a_database_writes_them_in_another_style(
    kept: KeptConnection, postgres: Cluster, database: str
) -> None:
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("ALTER DATABASE {} SET DateStyle = 'German'").format(sql.Identifier(database)))
    found = kept.ask(lambda session: session.execute(sql.SQL("SELECT timestamptz '2026-02-01 12:00Z'")))
    assert found == [(datetime(2026, 2, 1, 12, tzinfo=UTC),)]
