"""How far a long load is: a bar on a terminal, the log elsewhere; rows, rows/s, the share and the time left."""

from __future__ import annotations

import io
import logging
import re
import time

import pytest
from rich.console import Console

from sluiceway.cli import tables
from sluiceway.cli.progress import load_progress
from sluiceway.cli.progress_log import logged_progress


def shown(total: int | None) -> str:
    stream = io.StringIO()
    with load_progress(Console(file=stream, force_terminal=True, width=120), "us_county") as tell:
        for rows in (1_000, 2_000, 2_500):
            tell(rows, total)
            time.sleep(0.15)
    return stream.getvalue()


def test_a_terminal_sees_rows_speed_and_share() -> None:
    bar = shown(10_000)
    assert "us_county" in bar
    assert "2,500 rows" in bar
    assert " rows/s" in bar
    assert "25%" in bar
    assert re.search(r"\b0:0\d left", bar)


def test_a_source_that_does_not_say_how_many_rows_it_has_shows_no_share() -> None:
    bar = shown(None)
    assert "2,500 rows" in bar
    assert "%" not in bar
    assert "left" not in bar


def test_without_a_terminal_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(tables, "err", Console(file=stream))
    with tables._progress("us_county") as tell:
        tell(1, 2)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (10_000, ["us_county: 1,000 of 10,000 rows (10%), 100 rows/s, 1:30 left"]),
        (400_000, ["us_county: 1,000 of 400,000 rows (0%), 100 rows/s, 1:06:30 left"]),
        (900, ["us_county: 1,000 of 900 rows (100%), 100 rows/s, 0:00 left"]),
        (None, ["us_county: 1,000 rows, 100 rows/s"]),
    ],
)
def test_the_log_tells_it_every_10_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, total: int | None, lines: list[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO)
    tell = logged_progress("us_county")
    for now[0], rows in ((9.9, 900), (10.0, 1_000), (19.9, 2_000)):
        tell(rows, total)
    assert [record.getMessage() for record in caplog.records] == lines
