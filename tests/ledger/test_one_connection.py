"""What a task does on the warehouse takes one connection, handed on from use to use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql

from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger import locks
from sluiceway.ledger.warehouse import Session, connect, one_connection

Query = Callable[..., list[tuple[Any, ...]]]
LOCK = locks.of_load("shop")


def session_of(session: Session) -> tuple[int, str]:
    pid, name = session.execute(sql.SQL("SELECT pg_backend_pid(), current_setting('application_name')"))[0]
    return pid, name


def used(url: str) -> int:
    with connect(url) as session:
        return session_of(session)[0]


@pytest.fixture
def kept(warehouse_url: str) -> Iterator[str]:
    with one_connection(warehouse_url):
        yield warehouse_url


def test_transactions_and_locks_of_a_block_take_one_connection_in_turn(kept: str) -> None:
    first = used(kept)
    with locks.hold(kept, LOCK, application_name="sluiceway load shop") as lock:
        assert session_of(lock) == (first, "sluiceway load shop")
        assert used(kept) != first, "what is opened beside a lock that is held has a connection of its own"
    with connect(kept) as session:
        assert session_of(session) == (first, "")


def test_without_a_block_each_has_its_own(warehouse_url: str) -> None:
    with connect(warehouse_url) as one, connect(warehouse_url) as other:
        assert session_of(one) != session_of(other)


def test_a_lock_is_let_go_although_its_connection_is_kept(kept: str, warehouse_url: str, query: Query) -> None:
    with pytest.raises(ValueError, match="amid"), locks.hold(kept, LOCK, application_name="x"):
        assert not _is_free(query)
        raise ValueError("amid")
    assert _is_free(query)


def _is_free(query: Query) -> bool:
    return bool(query(f"SELECT pg_try_advisory_xact_lock({LOCK.as_string(None)})")[0][0])


def test_what_failed_is_rolled_back_and_the_next_transaction_works(kept: str, query: Query) -> None:
    with pytest.raises(ValueError, match="amid"), connect(kept) as session:
        session.execute(sql.SQL("CREATE TABLE half (id integer)"))
        raise ValueError("amid")
    with connect(kept) as session:
        session.execute(sql.SQL("CREATE TABLE whole (id integer)"))
    assert query("SELECT to_regclass('half'), to_regclass('whole')::text") == [(None, "whole")]


def test_a_connection_that_broke_off_between_two_uses_is_replaced(kept: str, query: Query) -> None:
    first = used(kept)
    query(f"SELECT pg_terminate_backend({first}, 5000)")
    assert used(kept) != first


def test_one_that_breaks_off_amid_a_use_is_an_error_and_the_next_use_works(kept: str, query: Query) -> None:
    with pytest.raises(WarehouseUnavailableError), connect(kept) as session:
        pid, _ = session_of(session)
        query(f"SELECT pg_terminate_backend({pid}, 5000)")
        session.execute(sql.SQL("SELECT 1"))
    assert used(kept) != pid


def test_nothing_is_left_open_behind_a_block(warehouse_url: str, query: Query) -> None:
    with one_connection(warehouse_url):
        pid = used(warehouse_url)
        assert _is_open(pid, query)
    ends_at = time.monotonic() + 20
    while _is_open(pid, query):
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def _is_open(pid: int, query: Query) -> bool:
    return bool(query(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"))
