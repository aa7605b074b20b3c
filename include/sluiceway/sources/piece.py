"""Piece: the rows of a source that one part of a split table reads."""

from __future__ import annotations

from sluiceway.tables.source_spec import Frozen

MOST_PIECES = 500
"""Of one table: each costs a task, and Airflow maps a task over 1,024 things at most."""


class Piece(Frozen):
    """Rows of a source: so many from one on, or those that have a value in a column."""

    first: int = 0
    """How many records of the source come before it, those that are deleted included."""
    rows: int | None = None
    """How many records it spans; None: it is chosen by a column's value."""
    column: str | None = None
    """A column of the source."""
    value: str | None = None
    """Its value as text; None: null."""

    def __str__(self) -> str:
        if self.column is None:
            return f"rows {self.first + 1:,} to {self.first + (self.rows or 0):,}"
        return f"{self.column} = {self.value}" if self.value is not None else f"no {self.column}"
