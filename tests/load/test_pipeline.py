"""The threads of a load: order, bounds, and whose error is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sluiceway.load.pipeline import WAITING, hand_over, read_ahead


def numbers(count: int, made: list[int] | None = None) -> Iterator[int]:
    for number in range(count):
        if made is not None:
            made.append(number)
        yield number


def broken(after: int) -> Iterator[int]:
    yield from range(after)
    raise ValueError(f"broken after {after}")


def total(items: Iterator[int]) -> int:
    return sum(items)


def test_what_is_read_ahead_comes_in_order() -> None:
    with read_ahead(numbers(1000)) as items:
        assert list(items) == list(range(1000))


def test_no_more_is_read_ahead_than_the_queue_holds() -> None:
    made: list[int] = []
    with read_ahead(numbers(1000, made)) as items:
        assert next(items) == 0
        threading.Event().wait(0.3)
        assert len(made) <= WAITING + 2


def test_an_error_while_reading_comes_after_what_was_read_before_it() -> None:
    seen = []
    with read_ahead(broken(3)) as items, pytest.raises(ValueError, match="broken after 3"):
        for item in items:
            seen.append(item)  # noqa: PERF402  # what came before the error counts
    assert seen == [0, 1, 2]


def test_reading_ends_when_nobody_wants_more() -> None:
    made: list[int] = []
    with pytest.raises(KeyError), read_ahead(numbers(10**9, made)) as items:
        next(items)
        raise KeyError
    count = len(made)
    threading.Event().wait(0.2)
    assert len(made) == count
    assert "read ahead" not in {thread.name for thread in threading.enumerate()}


def test_what_is_handed_over_comes_in_order_and_its_result_back() -> None:
    seen: list[int] = []

    def consume(items: Iterator[int]) -> int:
        seen.extend(items)
        return len(seen)

    assert hand_over(numbers(1000), consume) == 1000
    assert seen == list(range(1000))


def test_an_error_of_the_items_is_raised_and_ends_the_consumer() -> None:
    with pytest.raises(ValueError, match="broken after 5"):
        hand_over(broken(5), total)
    assert "hand over" not in {thread.name for thread in threading.enumerate()}


def test_an_error_of_the_consumer_is_raised_and_ends_the_items() -> None:
    made: list[int] = []

    def consume(items: Iterator[int]) -> int:
        next(items)
        raise OSError("the warehouse broke off")

    with pytest.raises(OSError, match="the warehouse broke off"):
        hand_over(numbers(10**9, made), consume)
    assert len(made) < 100


def test_a_consumer_that_ends_before_the_items_do_is_its_own_result() -> None:
    assert hand_over(numbers(10**9), lambda items: next(items) + 7) == 7
