"""Whether GDAL may open a GeoPackage: its views are programs, which GDAL runs as soon as it lists the layers."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.bounds import ROW_BYTES, SMALL_BYTES, check_ratio, check_rows
from sluiceway.sources.formats.sqlite import ERRORS, connect, quoted, why
from sluiceway.sources.formats.sqlite_bounds import SIZED, Bounds, is_computed
from sluiceway.sources.formats.vector.vector_files import VectorFile
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

_AT_ONCE = 1_000
_MOST_FUNCTIONS = 100
_UNKNOWN = re.compile(r"no such function: (\S+)")


def check_computed(spec: TableSpec, source: VectorSource, file: VectorFile) -> None:
    """See that what the file computes has an end and a bounded size; what is broken otherwise is for GDAL to say.

    :raises SourceTooLargeError: a view, or a table with computed columns, makes more than source.max_... allow.
    :raises SourceUnreadableError: a table by which GDAL knows the others is a view.
    """
    try:
        _check(spec, source, file)
    except UnicodeError as error:
        # no view can be left out for its name
        raise SourceUnreadableError(f"{spec.name}: {file.place} cannot be read: {why(error)}") from error


def _check(spec: TableSpec, source: VectorSource, file: VectorFile) -> None:
    with suppress(sqlite3.Error), closing(connect(file.path)) as connection:
        # a text that is no UTF-8 does not end the look
        connection.text_factory = lambda text: text.decode(errors="surrogateescape")
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
        for name in names:
            if name.lower().startswith("gpkg_"):
                raise SourceUnreadableError(
                    f"{spec.name}: {file.place} cannot be read: its {name} is a view, and must be a table; write the "
                    f"file anew"
                )
        for name in names:
            for _ in _rows(spec, connection, file, name, 1):
                break
        tables = connection.execute("SELECT table_name FROM gpkg_contents").fetchall()
        for name in dict.fromkeys([*names, *(name for (name,) in tables)]):
            if source.layer in {None, name} and is_computed(connection, name):
                _check_all(spec, connection, file, name)


def _check_all(spec: TableSpec, connection: sqlite3.Connection, file: VectorFile, name: str) -> None:
    size, became = file.path.stat().st_size, 0
    for count, row in enumerate(_rows(spec, connection, file, name, _AT_ONCE), 1):
        became += ROW_BYTES + sum(len(value) for value in row if type(value) in SIZED)
        if not count % _AT_ONCE or became > SMALL_BYTES:
            check_rows(spec, count, file.place)
            check_ratio(spec, became, size, file.place, f"by row {count:,} of {name}")


def _rows(
    spec: TableSpec, connection: sqlite3.Connection, file: VectorFile, name: str, at_once: int
) -> Iterator[tuple[Any, ...]]:
    """The rows as GDAL would find them, but for what its own functions say."""
    bounds = Bounds(spec, connection, file.path, name, file.place)
    for _ in range(_MOST_FUNCTIONS):
        try:
            with bounds.told():
                cursor = connection.execute(f"SELECT * FROM {quoted(name)}")  # noqa: S608
            break
        except sqlite3.OperationalError as error:
            if (function := _UNKNOWN.match(str(error))) is None:
                return
            connection.create_function(function[1], -1, lambda *_: 1)
    else:
        return
    with closing(cursor), suppress(sqlite3.Error):
        while rows := bounds.rows(cursor, at_once):
            yield from rows


def count_features(file: VectorFile, layer: str) -> int | None:
    """How many features a layer holds; None where that is not to be found."""
    with suppress(*ERRORS), closing(connect(file.path)) as connection:
        if not is_computed(connection, layer):
            return int(connection.execute(f"SELECT count(*) FROM {quoted(layer)}").fetchone()[0])  # noqa: S608
    return None
