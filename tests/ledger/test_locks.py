"""Locks that are held for as long as a piece of work lasts: who waits for one says who holds it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from psycopg import sql

from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger import locks
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect, place
from tests.waiting import wait_until

WAITING = "city: another load of this table is under way; this one waits for its end"


@pytest.mark.parametrize("which", ["load", "write"])
def test_a_wait_is_one_line_that_names_the_holder(
    warehouse_url: str, caplog: pytest.LogCaptureFixture, which: str
) -> None:
    lock = locks.of_load("city") if which == "load" else locks.of_writing("city")
    taken = threading.Event()

    def take() -> None:
        with locks.hold(
            warehouse_url,
            locks.of_load("city"),
            after=locks.of_writing("city"),
            application_name="the other",
            waiting=WAITING,
        ):
            taken.set()

    with psycopg.connect(warehouse_url, application_name="sluiceway load city") as holder:
        holder.execute(b"SELECT pg_advisory_xact_lock(" + lock.as_bytes() + b")")
        (pid,) = holder.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        with caplog.at_level(logging.INFO, locks.__name__):
            other = threading.Thread(target=take)
            other.start()
            wait_until(lambda: bool(caplog.messages))
            assert not taken.is_set()
            holder.rollback()
            other.join()
    (line,) = caplog.messages
    assert line.startswith(f"{WAITING} (it is held by 'sluiceway load city' from 127.0.0.1 since 20")
    assert line.endswith(f" UTC, process {pid} of the server)")
    assert taken.is_set()


def test_a_wait_for_a_lock_that_was_let_go_meanwhile_names_nobody(
    warehouse_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_HOLDER", f"{locks._HOLDER} AND false")
    lock = locks.of_load("city")

    def take() -> None:
        with locks.hold(warehouse_url, lock, application_name="the other", waiting=WAITING):
            pass

    with (
        caplog.at_level(logging.INFO, locks.__name__),
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(warehouse_url) as holder,
    ):
        holder.execute(b"SELECT pg_advisory_xact_lock(" + lock.as_bytes() + b")")
        other = thread.submit(take)
        wait_until(lambda: bool(caplog.messages))
        holder.rollback()
        other.result(timeout=20)
    assert caplog.messages == [WAITING]


def test_a_lock_is_the_one_that_a_process_of_another_release_takes() -> None:
    run = RunKey("master_etl", "r1")
    taken = {
        "load.city": locks.of_load("city"),
        "write.city": locks.of_writing("city"),
        "part.master_etl/r1 city 2": locks.of_part(run, "city", 2),
        "write part.master_etl/r1 city 2": locks.of_writing_part(run, "city", 2),
        "run.master_etl/r1": locks.of_run(run),
    }
    assert [lock.as_string() for lock in taken.values()] == [f"hashtext('sluiceway.{key}')" for key in taken]


def test_what_nobody_holds_is_taken_without_a_word(warehouse_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, locks.__name__):
        for _ in range(2):
            with locks.hold(
                warehouse_url, locks.of_load("city"), after=locks.of_writing("city"), application_name="a", waiting="x"
            ) as held:
                held.check_held()
    assert caplog.messages == []


def test_a_lock_keeps_out_its_own_kind_of_work_alone_and_is_let_go_with_its_block(warehouse_url: str) -> None:
    run, other = RunKey("master_etl", "r1"), RunKey("shop", "r1")
    held = [
        locks.of_load("city"),
        locks.of_part(run, "city", 1),
        locks.of_writing_part(run, "city", 1),
        locks.of_run(run),
    ]
    free = [
        locks.of_load("town"),
        locks.of_writing("city"),
        locks.of_part(run, "city", 2),
        locks.of_part(other, "city", 1),
        locks.of_part(run, "town", 1),
        locks.of_writing_part(run, "city", 2),
        locks.of_run(other),
    ]
    with ExitStack() as stack:
        for lock in held:
            stack.enter_context(locks.hold(warehouse_url, lock, application_name="a", after=locks.of_writing("city")))
        assert [_is_free(warehouse_url, lock) for lock in held] == [False] * len(held)
        # what was waited for only, of_writing of city, is nobody's
        assert [_is_free(warehouse_url, lock) for lock in free] == [True] * len(free)
    assert [_is_free(warehouse_url, lock) for lock in held] == [True] * len(held)


def test_a_lock_that_is_found_free_is_the_transactions_until_its_end(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        assert locks.is_free(session, locks.of_load("city"))
        assert not _is_free(warehouse_url, locks.of_load("city"))
    assert _is_free(warehouse_url, locks.of_load("city"))


def test_a_session_that_holds_a_lock_is_found_by_its_name_and_is_not_ended_for_being_idle(warehouse_url: str) -> None:
    impatient = f"{warehouse_url}?options=-c%20idle_session_timeout%3D1h"
    name = "sluiceway load " + "x" * 60
    with locks.hold(impatient, locks.of_load("city"), application_name=name) as held:
        ((kept, shown),) = held.execute(
            sql.SQL("SELECT current_setting('idle_session_timeout'), current_setting('application_name')")
        )
        with psycopg.connect(warehouse_url) as asker:
            state = asker.execute("SELECT state FROM pg_stat_activity WHERE application_name = %s", [name[:63]])
            assert state.fetchall() == [("idle",)], "no transaction is open beside the work"
    assert (kept, shown) == ("0", name[:63])


def test_the_server_asks_whether_the_machine_of_who_holds_a_lock_is_still_there(warehouse_url: str) -> None:
    """One that vanishes closes nothing: its lock would be held for two hours."""
    asked = sql.SQL(", ").join(
        sql.SQL("current_setting({})").format(sql.Literal(f"tcp_keepalives_{name}"))
        for name in ("idle", "interval", "count")
    )
    with locks.hold(warehouse_url, locks.of_load("city"), application_name="a") as held:
        assert held.execute(sql.SQL("SELECT {}").format(asked)) == [("60", "10", "6")]


def test_a_lock_whose_session_the_server_ended_is_no_longer_held(warehouse_url: str) -> None:
    with locks.hold(warehouse_url, locks.of_load("city"), application_name="a") as held:
        held.check_held()
        ((pid,),) = held.execute(sql.SQL("SELECT pg_backend_pid()"))
        with psycopg.connect(warehouse_url) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(WarehouseUnavailableError, match="The warehouse broke off"):
            held.check_held()
        with pytest.raises(
            WarehouseUnavailableError, match=f"^The warehouse at {place(warehouse_url)} does not answer"
        ):
            held.check_held()


def test_work_whose_session_is_gone_says_which_warehouse_does_not_answer(warehouse_url: str) -> None:
    with (
        pytest.raises(WarehouseUnavailableError, match=f"^The warehouse at {place(warehouse_url)} does not answer"),
        locks.hold(warehouse_url, locks.of_load("city"), application_name="a") as held,
    ):
        with pytest.raises(psycopg.errors.AdminShutdown):
            held.execute(sql.SQL("SELECT pg_terminate_backend(pg_backend_pid())"))
        held.execute(sql.SQL("SELECT 1"))


def test_work_whose_session_the_server_ended_may_be_tried_again(warehouse_url: str) -> None:
    with (
        pytest.raises(WarehouseUnavailableError, match="The warehouse broke off"),
        locks.hold(warehouse_url, locks.of_load("city"), application_name="a") as held,
    ):
        held.execute(sql.SQL("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_statements_of_a_transaction_beside_a_lock_are_all_or_none(warehouse_url: str) -> None:
    with locks.hold(warehouse_url, locks.of_load("city"), application_name="a") as held:
        held.execute(sql.SQL("CREATE TEMPORARY TABLE noted (id integer)"))
        with held.transaction() as ledger:
            ledger.execute(sql.SQL("INSERT INTO noted VALUES (1)"))
        with pytest.raises(ZeroDivisionError), held.transaction() as ledger:
            ledger.execute(sql.SQL("INSERT INTO noted VALUES (2)"))
            raise ZeroDivisionError
        assert held.execute(sql.SQL("SELECT id FROM noted")) == [(1,)]
        held.check_held()


def _is_free(url: str, lock: sql.Composed) -> bool:
    with connect(url) as session:
        return locks.is_free(session, lock)
