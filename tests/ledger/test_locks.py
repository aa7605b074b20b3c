"""Locks that are held for as long as a piece of work lasts: who waits for one says who holds it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from sluiceway.ledger import locks

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
            _until(lambda: bool(caplog.messages))
            assert not taken.is_set()
            holder.rollback()
            other.join()
    (line,) = caplog.messages
    assert line.startswith(f"{WAITING} (it is held by 'sluiceway load city' from 127.0.0.1 since 20")
    assert line.endswith(f" UTC, process {pid} of the server)")
    assert taken.is_set()


def test_what_nobody_holds_is_taken_without_a_word(warehouse_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, locks.__name__):
        for _ in range(2):
            with locks.hold(
                warehouse_url, locks.of_load("city"), after=locks.of_writing("city"), application_name="a", waiting="x"
            ) as held:
                held.check_held()
    assert caplog.messages == []


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
