"""The bar of a long load: on a terminal only, and it says rows, rows/s and the share."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from sluiceway.cli import tables
from sluiceway.cli.progress import load_progress


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


def test_a_source_that_does_not_say_how_many_rows_it_has_shows_no_share() -> None:
    bar = shown(None)
    assert "2,500 rows" in bar
    assert "%" not in bar


def test_without_a_terminal_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(tables, "err", Console(file=stream))
    with tables._progress("us_county") as tell:
        assert tell is None
    assert stream.getvalue() == ""
