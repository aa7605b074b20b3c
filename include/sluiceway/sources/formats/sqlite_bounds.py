"""What SQLite may compute for a reader: a view is a program, which may make long values, or never end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sluiceway.amounts import counted
from sluiceway.errors import SourceTooLargeError
from sluiceway.sources.bounds import value_too_long
from sluiceway.tables.spec import TableSpec

PATIENCE_S = 20.0
PATIENCE_BYTES = 4 << 20
"""A view may take a second more for each of them: it may have to look at the whole file first."""
_STEPS = 1_000_000
"""Of SQLite between two looks at the clock: about 20 ms."""
_ROWS_BYTES = 8 << 20
SIZED = frozenset({str, bytes})
"""Types of values that may be long."""


class Bounds:
    """Of one connection. Reading through it raises SourceTooLargeError for what is too long, or takes too long."""

    def __init__(self, spec: TableSpec, connection: sqlite3.Connection, path: Path, table: str, place: str) -> None:
        self._spec, self._place = spec, f"{place}, table {table}"
        self._declared = spec.source.max_seconds
        self._patience = self._declared or PATIENCE_S + path.stat().st_size / PATIENCE_BYTES
        self._until = time.monotonic() + self._patience
        self._rows = 0
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(spec.source.max_value_bytes, 10**9))
        if self._declared is not None or is_computed(connection, table):
            connection.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)

    def rows(self, cursor: sqlite3.Cursor, count: int) -> list[tuple[Any, ...]]:
        """The next rows, at most `count`; fewer where they are long."""
        if self._declared is None:
            self._until = time.monotonic() + self._patience
        rows, size = [], 0
        with self.told():
            for row in islice(cursor, count):
                rows.append(row)
                size += sum([len(value) for value in row if type(value) in SIZED])
                if size > _ROWS_BYTES:
                    break
        self._rows += len(rows)
        return rows

    @contextmanager
    def told(self) -> Iterator[None]:
        """Says what SQLite has ended, and why."""
        try:
            yield
        except sqlite3.DataError as error:
            if "too big" not in str(error):
                raise
            raise value_too_long(self._spec, self._place, f"after row {self._rows:,}, a value or a row") from error
        except sqlite3.OperationalError as error:
            if str(error) != "interrupted":
                raise
            raise self._late() from error

    def _late(self) -> SourceTooLargeError:
        name = self._spec.name
        if self._declared is not None:
            return SourceTooLargeError(
                f"{name}: {self._place} was not read within source.max_seconds = {self._declared:,}, and gave "
                f"{counted(self._rows, 'row')}; raise it if right"
            )
        return SourceTooLargeError(
            f"{name}: {self._place} is computed by the file, and gave nothing in {self._patience:.0f} s after row "
            f"{self._rows:,}; declare source.max_seconds if it takes longer, or make a table of it"
        )


def is_computed(connection: sqlite3.Connection, table: str) -> bool:
    """Whether what it holds is no more than what the file holds: it is no view, and no column of it is generated."""
    view = "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ?"
    generated = "SELECT 1 FROM pragma_table_xinfo(?) WHERE hidden IN (2, 3)"
    return any(connection.execute(query, (table,)).fetchone() for query in (view, generated))
