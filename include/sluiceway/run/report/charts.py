"""Draws a table's loads as columns, the oldest first: inline SVG without a script, in a box that takes any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sluiceway.ledger.history import PastTry
from sluiceway.run.report.html import duration, size, thousands

HEIGHT = 40.0
"""Of the box, whose width is 100."""
LEAST = 1.2
"""What is there is never invisible, and a try that failed has a stump."""
SLOTS = 12
"""So many columns have room at least: two loads do not fill the box."""


class Column(NamedTuple):
    """One try's column."""

    kind: str
    """`failed`, or `told`."""
    x: float
    y: float
    width: float
    height: float
    title: str


class Chart(NamedTuple):
    """One figure of every try."""

    name: str
    summary: str
    """What it shows, for who does not see it."""
    columns: tuple[Column, ...]


_FIGURES: tuple[tuple[str, Callable[[PastTry], float | None], Callable[[float | None], str]], ...] = (
    ("Rows in the table", lambda each: each.tried.table_rows, lambda number: thousands(_whole(number))),
    ("Seconds", lambda each: each.tried.seconds, duration),
    ("Peak memory", lambda each: each.tried.peak_rss_bytes, lambda number: size(_whole(number))),
    ("Rejected rows", lambda each: each.tried.rejected, lambda number: thousands(_whole(number))),
)


def charts(tries: Sequence[PastTry]) -> list[Chart]:
    """A chart per figure, of tries at one table, each of which has ended.

    :param tries: the newest first.
    """
    return [_chart(name, [(each, of(each)) for each in reversed(tries)], shown) for name, of, shown in _FIGURES]


def _chart(name: str, values: Sequence[tuple[PastTry, float | None]], shown: Callable[[float | None], str]) -> Chart:
    known = [value for _, value in values if value is not None]
    if not known:
        return Chart(name, "not told by any of them", ())
    step = 100 / max(len(values), SLOTS)
    columns = []
    for index, (each, value) in enumerate(values):
        failed = each.tried.status == "failed"
        height = HEIGHT * (value or 0) / (max(known) or 1)
        if value or failed:
            height = max(height, LEAST)
        if height:
            columns.append(
                Column(
                    kind="failed" if failed else "told",
                    x=round(index * step + step * 0.1, 2),
                    y=round(HEIGHT - height, 2),
                    width=round(step * 0.8, 2),
                    height=round(height, 2),
                    title=f"{each.tried.finished_at:%Y-%m-%d %H:%M} UTC, {each.tried.status}: {shown(value)}",
                )
            )
    summary = f"{shown(min(known))} to {shown(max(known))}, last {shown(values[-1][1])}"
    return Chart(name, summary, tuple(columns))


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
