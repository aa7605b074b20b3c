"""What of a column's values is after a database's now: the last that counts, in the kind that the values have."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sluiceway.flows.kinds.moments import Clock, is_after, is_endless

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")
"""Nine hours ahead, so that ten hours before the noon of London is early in the morning there."""
CLOCK = Clock(NOON, TOKYO)


@pytest.mark.parametrize(
    ("said", "zone", "now", "found"),
    [
        (NOON, None, NOON, "UTC"),
        (NOON.astimezone(TOKYO), "Asia/Tokyo", NOON, "Asia/Tokyo"),
        (NOON.replace(tzinfo=None), "UTC", NOON, "UTC"),
        ("2024-05-01 12:00:00", None, NOON, "UTC"),
        ("2024-05-01T21:00:00+09:00", "Etc/Unknown", NOON, "UTC"),
        (NOON, "<+03>-03", NOON, "UTC"),
        (NOON, "../../etc/passwd", NOON, "UTC"),
    ],
)
def test_a_databases_now_is_read_however_it_is_said(said: Any, zone: str | None, now: datetime, found: str) -> None:
    clock = Clock.of(said, zone)
    assert (clock.now, clock.now.tzinfo, str(clock.zone)) == (now, UTC, found)


def test_a_now_without_a_zone_is_in_utc_wherever_this_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite says it."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        try:
            assert Clock.of("2024-05-01 12:00:00", None).now == NOON
        finally:
            patch.undo()
            time.tzset()


@pytest.mark.parametrize("said", [None, 7, "soon"])
def test_where_a_driver_says_no_time_it_is_this_machines(said: object) -> None:
    assert abs(Clock.of(said, None).now - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("value", "kind", "last"),
    [
        (NOON, None, datetime(2024, 4, 30, 23, tzinfo=UTC)),
        (NOON.replace(tzinfo=None), None, datetime(2024, 5, 1, 8)),  # noqa: DTZ001  # as a database has it
        (date(2024, 5, 1), None, date(2024, 5, 1)),
        ("infinity", 1184, datetime(2024, 4, 30, 23, tzinfo=UTC)),
        ("infinity", 1114, datetime(2024, 5, 1, 8)),  # noqa: DTZ001  # as a database has it
        ("infinity", 1082, date(2024, 5, 1)),
        ("2024-05-01T00:00:00", 25, None),
        ("2024-05-01", None, "2024-05-01"),
        ("2024-05-01 00:00:00", None, "2024-05-01 08:00:00"),
        ("2024-05-01T00:00:00.123456", None, "2024-05-01T08:00:00"),
        ("2024-05-01T00:00:00Z", None, "2024-04-30T23:00:00"),
        ("2024-05-01 00:00:00-05:00", None, "2024-04-30 18:00:00"),
        ("2024-05-01T00:00", None, "2024-05-01T08:00:00"),
        ("2024-05-01X00:00", None, None),
        ("2024-13-01", None, None),
        ("2024-05-01T99:00", None, None),
        ("batch 2024-05-01", None, None),
        ("2024-05", None, None),
        (7, None, None),
        (7.5, 701, None),
        (None, 1184, None),
        (b"2024-05-01", None, None),
    ],
)
def test_the_last_that_counts_is_of_the_kind_of_the_value(value: Any, kind: int | None, last: Any) -> None:
    found = CLOCK.last_before(value, kind, 13 * 3600)
    assert found == last
    assert getattr(found, "tzinfo", None) == getattr(last, "tzinfo", None)


def test_the_last_that_counts_may_be_ahead() -> None:
    assert CLOCK.last_before(NOON, None, -60) == NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("value", "last", "after"),
    [
        (NOON, NOON, False),
        (NOON + timedelta(microseconds=1), NOON, True),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON, False),
        ("2024-05-01", "2024-05-01", False),
        ("2024-05-02", "2024-05-01", True),
        ("infinity", NOON, True),
        ("12024-05-01 00:00:00+00", NOON, True),
        ("-infinity", NOON, False),
        ("0044-03-15 BC", date(2024, 5, 1), False),
    ],
)
def test_what_comes_after_the_last_that_counts(value: Any, last: Any, after: bool) -> None:
    assert is_after(value, last) is after


@pytest.mark.parametrize(
    ("value", "endless"),
    [
        (float("nan"), True),
        (float("inf"), True),
        (Decimal("NaN"), True),
        (Decimal("Infinity"), True),
        (float("-inf"), False),
        (Decimal("-Infinity"), False),
        (1e308, False),
        (Decimal("1e400"), False),
        (7, False),
        ("inf", False),
        (None, False),
    ],
)
def test_what_comes_after_every_number(value: Any, endless: bool) -> None:
    assert is_endless(value) is endless
