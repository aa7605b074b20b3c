"""How often an address may ask for what is public."""

from __future__ import annotations

import pytest

from sluiceway.on_airflow.web.limit import Limit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_so_many_at_once_and_then_one_after_the_other(clock: Clock) -> None:
    limit = Limit(clock=clock)
    assert [limit.wait_s("192.0.2.1", 4) for _ in range(5)] == [0, 0, 0, 0, 15]
    clock.now += 14
    assert limit.wait_s("192.0.2.1", 4) == 1
    clock.now += 1
    assert [limit.wait_s("192.0.2.1", 4) for _ in range(2)] == [0, 15]
    clock.now += 3600
    assert [limit.wait_s("192.0.2.1", 4) for _ in range(5)] == [0, 0, 0, 0, 15], "no more than at first"


def test_who_asks_too_often_takes_nothing_from_others(clock: Clock) -> None:
    limit = Limit(clock=clock)
    assert [limit.wait_s("192.0.2.1", 1) for _ in range(2)] == [0, 60]
    assert limit.wait_s("192.0.2.2", 1) == 0
    assert limit.wait_s(None, 1) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_the_addresses_of_one_network_of_ipv6_are_one(one: str, other: str, is_one: bool, clock: Clock) -> None:
    limit = Limit(clock=clock)
    assert limit.wait_s(one, 1) == 0
    assert (limit.wait_s(other, 1) > 0) == is_one


def test_no_more_addresses_are_remembered_than_so_many(clock: Clock) -> None:
    limit = Limit(addresses=3, clock=clock)
    for number in range(100):
        limit.wait_s(f"192.0.2.{number}", 1)
    assert len(limit._full_at) == 3
    assert limit.wait_s("192.0.2.99", 1) > 0
    assert limit.wait_s("192.0.2.1", 1) == 0, "forgotten"
