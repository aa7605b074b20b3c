"""RowsFrom: which file a row of several came from, by its number among all rows."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import NamedTuple


class Begin(NamedTuple):
    """Where the rows of one thing that is read begin."""

    first: int
    """The number of its first row among those of all, from 1."""
    name: str
    """What to call it."""
    file: str
    """The name of its file."""


class RowsFrom:
    """Learns, while they are read, where the rows of each file begin.

    The thread that reads adds to it, and another one asks of rows that it has got already.
    """

    def __init__(self) -> None:
        self.begins: list[Begin] = []
        self.counts_rows = True
        """Whether a row's number in its file is known: a transform may make several rows of one, or none."""
        self.unreadable = 0
        """Records that no reader could split, so far."""
        self.now: tuple[str, str] | None = None
        """Name and file of what is read at the moment."""

    def begin(self, first: int, name: str, file: str) -> None:
        """The rows from this one on are of that file."""
        self.begins.append(Begin(first, name, file))

    def go_on(self, rows: int) -> None:
        """After so many rows of a transform those of what is read now follow, if they did not before."""
        if self.now is not None and (not self.begins or self.begins[-1][1:] != self.now):
            self.begin(rows + self.unreadable + 1, *self.now)

    def said(self, number: int) -> str:
        """Where the row of that number came from, such as `2024-03.csv, row 17`."""
        at = self.begins[bisect_right(self.begins, number, key=lambda each: each.first) - 1]
        return f"{at.name}, row {number - at.first + 1:,}" if self.counts_rows else at.name

    def rows(self, total: int) -> Counter[str]:
        """How many rows each file gave.

        :param total: of all of them.
        """
        found: Counter[str] = Counter()
        ends = [*(each.first for each in self.begins[1:]), total + 1]
        for each, end in zip(self.begins, ends, strict=True) if self.begins else ():
            found[each.file] += end - each.first
        return found
