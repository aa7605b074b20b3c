"""One table of an SQLite file.

SQLite types values, not columns, so a column can hold anything: values are read one by one and handed over
as what they all are, else as text. Nothing is converted behind the reader's back.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from sluiceway.errors import SourceMissingError, SourceUnreadableError, nearest, said_by
from sluiceway.sources.bounds import check_columns
from sluiceway.sources.extraction import Extraction, chosen_columns, geometry_columns
from sluiceway.sources.formats.sqlite_bounds import Bounds
from sluiceway.sources.formats.values import typed_array
from sluiceway.tables.source_spec import SqliteSource
from sluiceway.tables.spec import TableSpec

FIRST_ROWS = 200
"""Of the first batch, which says how long a row is."""
BATCH_ROWS = 5_000
BATCH_BYTES = 2 << 20
ERRORS = (sqlite3.Error, UnicodeError)
"""What Python raises of a broken file: also of a message that quotes a name which is no UTF-8."""

# of SQLite itself, of SpatiaLite and of GDAL
INTERNAL = re.compile(
    r"sqlite_.*|gpkg_.*|rtree_.*|idx_.*|spatial_ref_sys.*|geometry_columns.*|geom_cols_ref_sys|views_geometry_columns.*"
    r"|virts_geometry_columns.*|spatialite_history|SpatialIndex|ElementaryGeometries|data_licenses|sql_statements_log"
)
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
    """Open one table, read-only."""
    try:
        with closing(connect(path)) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            ]
            if source.table not in tables:
                raise SourceMissingError(f"{path.name} has no table {source.table!r}{nearest(source.table, tables)}")
            described = connection.execute(
                "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1", (source.table,)
            )
            columns = {name: _family(declared) for name, declared in described}
            # both know the columns: SQLite would read an unknown name in double quotes as a text
            place = f"{path.name}, table {source.table}"
            chosen = chosen_columns(spec, columns, place) | geometry_columns(spec, columns, place)
            names = ", ".join(quoted(name) for name in chosen.values())
            check_columns(spec, columns, place)
            bounds = Bounds(spec, connection, path, source.table, path.name)
            with bounds.told():
                cursor = connection.execute(f"SELECT {names} FROM {quoted(source.table)}")  # noqa: S608
            yield Extraction(columns=columns, batches=_batches(cursor, bounds, list(chosen)))
    except ERRORS as error:
        raise SourceUnreadableError(f"{spec.name}: {path.name} cannot be read: {why(error)}") from error


def parts_in_sqlite(spec: TableSpec, source: SqliteSource, path: Path) -> list[str]:
    """The names of the tables and views that hold data.

    :raises SourceUnreadableError: it is no SQLite file.
    """
    try:
        return tables_in(path)
    except SourceUnreadableError as error:
        raise SourceUnreadableError(f"{spec.name}: {error}") from error


def tables_in(path: Path) -> list[str]:
    """The same, of a file that no table's file describes yet; in the order of the alphabet."""
    try:
        with closing(connect(path)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    except ERRORS as error:
        raise SourceUnreadableError(f"{path.name} cannot be read: {why(error)}") from error
    return sorted(str(name) for (name,) in found if not INTERNAL.fullmatch(name))


def why(error: sqlite3.Error | UnicodeError) -> str:
    """What SQLite says of a file that it cannot read."""
    return "it holds a name that is no UTF-8" if isinstance(error, UnicodeError) else said_by(error)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file to be read, and leave nothing beside it."""
    mode = "mode=ro"
    if _keeps_a_log(path) and not path.with_name(f"{path.name}-wal").exists():
        # nobody has it open: without this word even a reader would leave a log beside it
        mode = "mode=ro&immutable=1"
    # read by one thread at a time, which is not always the one that opens it
    return sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, check_same_thread=False)


def _keeps_a_log(path: Path) -> bool:
    """Whether the file is in write-ahead mode: https://www.sqlite.org/fileformat.html, section 1.3.3"""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\2\2"


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _family(declared_type: str) -> str:
    upper = declared_type.upper()
    return next((family for part, family in _AFFINITIES if part in upper), "text")


def _batches(cursor: sqlite3.Cursor, bounds: Bounds, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    count = FIRST_ROWS
    while rows := bounds.rows(cursor, count):
        batch = pa.RecordBatch.from_arrays([typed_array(values) for values in zip(*rows, strict=True)], names=names)
        count = max(1, min(BATCH_ROWS, len(rows) * BATCH_BYTES // max(batch.nbytes, 1)))
        yield batch
