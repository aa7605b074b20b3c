"""For how long tokens are known to a process whose ledger does not answer."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import Request

from sluiceway.errors import FaceRefusedError, WarehouseUnavailableError
from sluiceway.freshness.kept import Memory
from sluiceway.ledger.face_tokens import KnownToken, hash_of
from sluiceway.on_airflow.web.readers import ANEW_S, KNOWN_S, Readers

TOKEN = "slw_one"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        await asyncio.sleep(0)
        # whoever waits beside waits at the same time
        self.now = max(self.now, until)


class Ledger:
    """What the tokens are read from."""

    def __init__(self, clock: Clock) -> None:
        self.is_up, self._clock = True, clock
        self.known, self.asked = {TOKEN}, 0

    def __call__(self) -> tuple[float, tuple[KnownToken, ...]]:
        self.asked += 1
        if not self.is_up:
            raise WarehouseUnavailableError("The warehouse does not answer.")
        made = sorted(self.known)
        return self._clock(), tuple(KnownToken(hash=hash_of(each), faces=frozenset({"badge"})) for each in made)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock)


@pytest.fixture
def readers(clock: Clock, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Readers:
    found = Readers(Memory(clock=clock), clock=clock, sleep=clock.sleep)
    monkeypatch.setattr(found, "_read_tokens", ledger)
    return found


def asked(readers: Readers, token: str = TOKEN) -> int:
    """The status of the answer."""
    return answered(readers, token)[0]


def answered(readers: Readers, token: str = TOKEN) -> tuple[int, dict[str, str]]:
    """The status of the answer, and headers that it must have."""
    return asyncio.run(answer(readers, token))


async def answer(readers: Readers, token: str) -> tuple[int, dict[str, str]]:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    try:
        await readers.check(Request({"type": "http", "headers": headers}), "badge")
    except FaceRefusedError as refused:
        return refused.status, refused.headers
    return 200, {}


def test_a_process_that_never_knew_a_token_says_that_it_cannot_tell(readers: Readers, ledger: Ledger) -> None:
    ledger.is_up = False
    assert asked(readers) == 503
    assert asked(readers, "slw_wrong") == 503
    assert int(answered(readers)[1]["Retry-After"]) > 0


def test_a_token_that_is_made_while_others_are_polled_opens_its_face_at_once(readers: Readers, ledger: Ledger) -> None:
    assert asked(readers) == 200
    ledger.known.add("slw_two")
    assert (asked(readers), ledger.asked) == (200, 1)
    assert (asked(readers, "slw_two"), ledger.asked) == (200, 2)
    assert (asked(readers, "slw_two"), ledger.asked) == (200, 2)


def test_a_hundred_who_guess_at_once_have_the_ledger_asked_once(readers: Readers, ledger: Ledger) -> None:
    async def guess() -> set[int]:
        return {status for status, _ in await asyncio.gather(*(answer(readers, f"slw_{n}") for n in range(100)))}

    assert asked(readers) == 200
    assert asyncio.run(guess()) == {401}
    assert ledger.asked == 2


def test_who_guesses_again_and_again_waits_each_time(readers: Readers, ledger: Ledger, clock: Clock) -> None:
    for number in range(20):
        assert asked(readers, f"slw_{number}") == 401
    assert clock.now == 20 * ANEW_S and ledger.asked <= 21


def test_a_token_that_was_revoked_meanwhile_is_forgotten_by_then(readers: Readers, ledger: Ledger) -> None:
    assert asked(readers) == 200
    ledger.known = {"slw_two"}
    assert asked(readers, "slw_two") == 200
    assert asked(readers) == 401


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
