"""What many ask for is made once: by one thread, for two seconds, and nobody who waits holds up the others."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterator

import pytest

from sluiceway.errors import LedgerMissingError
from sluiceway.freshness.kept import PACKED_BYTES, Memory, rendered


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> Memory:
    return Memory(seconds=2, threads=4, clock=clock)


@pytest.fixture
def counted() -> Iterator[int]:
    return iter(range(1, 1000))


def test_a_value_is_kept_for_two_seconds_and_then_made_anew(
    memory: Memory, clock: Clock, counted: Iterator[int]
) -> None:
    def ask() -> int:
        return memory.soon("verdict", lambda: next(counted)).result()

    assert ask() == 1
    clock.now = 1.9
    assert ask() == 1
    clock.now = 2.1
    assert ask() == 2


def test_who_wants_a_newer_value_has_it_made_anew_and_no_oftener(
    memory: Memory, clock: Clock, counted: Iterator[int]
) -> None:
    def ask(**options: float) -> int:
        return memory.soon("verdict", lambda: next(counted), **options).result()

    assert (ask(), ask(seconds=0.5)) == (1, 1)
    clock.now = 0.6
    assert (ask(), ask(seconds=0.5), ask(seconds=0.5), ask()) == (1, 2, 2, 2)
    clock.now = 2.5
    assert ask() == 2, "two seconds count from when it was made anew"


def test_two_seconds_count_from_when_a_value_is_there(memory: Memory, clock: Clock, counted: Iterator[int]) -> None:
    def slowly() -> int:
        clock.now += 60
        return next(counted)

    assert memory.soon("verdict", slowly).result() == 1
    clock.now += 1.9
    assert memory.soon("verdict", slowly).result() == 1


def test_a_hundred_who_ask_at_once_are_answered_by_one_making_while_the_loop_goes_on(memory: Memory) -> None:
    may_end, made = threading.Event(), []

    def make() -> str:
        assert may_end.wait(30)
        made.append(1)
        return "in step"

    async def ask_all() -> list[str]:
        asked = [asyncio.create_task(memory.get("verdict", make)) for _ in range(100)]
        await asyncio.sleep(0)
        # the loop goes on while all of them wait, and one who goes away takes the value from nobody
        asked.pop().cancel()
        await asyncio.sleep(0)
        may_end.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(ask_all()) == ["in step"] * 99
    assert made == [1]


def test_no_more_than_four_are_made_at_once(memory: Memory) -> None:
    together, most, lock = [0], [0], threading.Lock()
    four = threading.Barrier(4)

    def make() -> None:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        four.wait(30)
        with lock:
            together[0] -= 1

    for coming in [memory.soon(number, make) for number in range(12)]:
        coming.result(30)
    assert most == [4]


def test_an_error_is_told_to_everybody_and_kept_as_long(memory: Memory, clock: Clock, counted: Iterator[int]) -> None:
    def fail() -> int:
        raise LedgerMissingError(f"{next(counted)}")

    for _ in range(2):
        with pytest.raises(LedgerMissingError, match="1"):
            memory.soon("verdict", fail).result()
    clock.now = 2.1
    with pytest.raises(LedgerMissingError, match="2"):
        memory.soon("verdict", fail).result()


def test_what_nobody_asks_for_any_more_is_let_go_of(memory: Memory, clock: Clock) -> None:
    for number in range(50):
        memory.soon(number, lambda: "x").result()
        clock.now += 0.5
    assert len(memory._made) <= 5


def test_what_is_forgotten_is_made_anew(memory: Memory, counted: Iterator[int]) -> None:
    assert memory.soon("verdict", lambda: next(counted)).result() == 1
    memory.forget()
    assert memory.soon("verdict", lambda: next(counted)).result() == 2


def test_bytes_that_are_worth_it_are_packed_and_the_tag_tells_them_apart() -> None:
    short, long = rendered(b"x"), rendered(b"x" * PACKED_BYTES)
    assert short.packed is None
    assert long.packed is not None and gzip.decompress(long.packed) == long.body
    assert short.etag == rendered(b"x").etag != long.etag
    assert short.etag.startswith('W/"') and short.etag.endswith('"')
