"""For how long tokens are known to a process whose ledger does not answer."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import Request

from sluiceway.errors import FaceRefusedError, WarehouseUnavailableError
from sluiceway.freshness.kept import Memory
from sluiceway.ledger.face_tokens import KnownToken, hash_of
from sluiceway.on_airflow.web.readers import KNOWN_S, Readers

TOKEN = "slw_one"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Ledger:
    """What the tokens are read from."""

    def __init__(self, clock: Clock) -> None:
        self.is_up, self._clock = True, clock

    def __call__(self) -> tuple[float, tuple[KnownToken, ...]]:
        if not self.is_up:
            raise WarehouseUnavailableError("The warehouse does not answer.")
        return self._clock(), (KnownToken(hash=hash_of(TOKEN), faces=frozenset({"badge"})),)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock)


@pytest.fixture
def readers(clock: Clock, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Readers:
    found = Readers(Memory(clock=clock), clock=clock)
    monkeypatch.setattr(found, "_read_tokens", ledger)
    return found


def asked(readers: Readers, token: str = TOKEN) -> int:
    """The status of the answer."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    try:
        asyncio.run(readers.check(Request({"type": "http", "headers": headers}), "badge"))
    except FaceRefusedError as refused:
        return refused.status
    return 200


def test_a_process_that_never_knew_a_token_says_that_it_cannot_tell(readers: Readers, ledger: Ledger) -> None:
    ledger.is_up = False
    assert asked(readers) == 503
    assert asked(readers, "slw_wrong") == 503


def test_tokens_that_were_known_stay_so_for_a_while_and_wrong_ones_stay_wrong(
    readers: Readers, ledger: Ledger, clock: Clock
) -> None:
    assert asked(readers) == 200
    ledger.is_up = False
    clock.now = KNOWN_S
    assert (asked(readers), asked(readers, "slw_wrong")) == (200, 401)
    clock.now = KNOWN_S + 1
    assert (asked(readers), asked(readers, "slw_wrong")) == (503, 503)
    ledger.is_up = True
    clock.now += 3
    assert asked(readers) == 200
