"""One table of an SQLite file.

SQLite types values, not columns, so a column can hold anything: values are read one by one and handed over
as what they all are, else as text. Nothing is converted behind the reader's back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluiceway.errors import SchemaDriftError, SourceMissingError, SourceUnreadableError, nearest
from sluiceway.sources.extraction import Extraction, chosen_columns
from sluiceway.tables.source_spec import SqliteSource
from sluiceway.tables.spec import TableSpec

BATCH_ROWS = 5_000
EXACT = 2**53
"""A larger integer among fractions would be rounded: it travels as text."""

# https://www.sqlite.org/datatype3.html, section 3.1: the rules that give a column its affinity, in order
_AFFINITIES = (
    ("INT", "number"),
    ("CHAR", "text"),
    ("CLOB", "text"),
    ("TEXT", "text"),
    ("BLOB", "binary"),
    ("REAL", "number"),
    ("FLOA", "number"),
    ("DOUB", "number"),
)


@contextmanager
def open_sqlite(spec: TableSpec, source: SqliteSource, path: Path) -> Iterator[Extraction]:
    """Open one table, read-only; a WKB geometry comes from the column that `geometry.source` names."""
    try:
        with closing(_connect(path)) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            ]
            if source.table not in tables:
                raise SourceMissingError(f"{path.name} has no table {source.table!r}{nearest(source.table, tables)}")
            described = connection.execute("SELECT name, type FROM pragma_table_info(?)", (source.table,))
            columns = {name: _family(declared) for name, declared in described}
            chosen = chosen_columns(spec, columns, f"{path.name}, table {source.table}")
            if spec.geometry is not None:
                shape = str(spec.geometry.source)
                if shape not in columns:
                    # SQLite would read an unknown name in double quotes as a text
                    raise SchemaDriftError(
                        f"{spec.name}: geometry.source: column {shape!r} is missing{nearest(shape, columns)}"
                    )
                chosen[spec.geometry.column] = shape
            names = ", ".join(_quoted(name) for name in chosen.values())
            cursor = connection.execute(f"SELECT {names} FROM {_quoted(source.table)}")  # noqa: S608
            yield Extraction(columns=columns, batches=_batches(cursor, list(chosen)))
    except sqlite3.DatabaseError as error:
        raise SourceUnreadableError(f"{spec.name}: {path.name} cannot be read: {error}") from error


def _connect(path: Path) -> sqlite3.Connection:
    # read by one thread at a time, which is not always the one that opens it
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _family(declared_type: str) -> str:
    upper = declared_type.upper()
    return next((family for part, family in _AFFINITIES if part in upper), "text")


def _batches(cursor: sqlite3.Cursor, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield pa.RecordBatch.from_arrays([_array(values) for values in zip(*rows, strict=True)], names=names)


def _array(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pa.array(values, type=pa.int64())
    if kinds <= {int, float} and all(abs(value) <= EXACT for value in values if isinstance(value, int)):
        return pa.array(values, type=pa.float64())
    if kinds == {bytes}:
        return pa.array(values, type=pa.binary())
    return pa.array([None if value is None else str(value) for value in values], type=pa.string())
