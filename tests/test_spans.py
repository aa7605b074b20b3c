"""Spans of time as people write and read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sluiceway.spans import age, check_span, lasting, span


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("45min", 2700), ("26h", 93_600), (" 2d ", 172_800), ("0h", 0)]
)
def test_a_span_is_a_number_with_its_unit(text: str, seconds: int) -> None:
    assert span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "26", "h", "1.5h", "-1h", "1 h", "1w", "1H", "1h30m", "\u0661h", "9999999999s"])
def test_what_is_no_span_is_refused_and_the_sentence_shows_how_it_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="write a number with s, m, h or d, such as 45m, 26h or 2d"):
        span(text)


@pytest.mark.parametrize("text", ["0s", "0d", "3651d", "999999999d"])
def test_a_promise_is_more_than_nothing_and_less_than_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="more than nothing and at most 3650 days"):
        check_span(text)


def test_a_promise_stays_as_it_is_written() -> None:
    assert check_span("45min") == "45min"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (86_400, "1 d")]
)
def test_an_age_is_told_in_the_unit_that_says_most(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=-1), "0 s"),
        (timedelta(seconds=200), "3 min 20 s"),
        (timedelta(minutes=45), "45 min"),
        (timedelta(hours=26), "1 d 2 h"),
        (timedelta(hours=24, minutes=59), "1 d"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_what_is_compared_is_told_in_two_units(length: timedelta, text: str) -> None:
    assert lasting(length) == text
