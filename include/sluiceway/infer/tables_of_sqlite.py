"""Which table of an SQLite file is meant."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sluiceway.errors import SourceMissingError, SourceUnreadableError

# of SQLite itself, of SpatiaLite and of GDAL
INTERNAL = re.compile(
    r"sqlite_.*|gpkg_.*|rtree_.*|idx_.*|spatial_ref_sys.*|geometry_columns.*|geom_cols_ref_sys|views_geometry_columns.*"
    r"|virts_geometry_columns.*|spatialite_history|SpatialIndex|ElementaryGeometries|data_licenses|sql_statements_log"
)


def only_table(path: Path) -> str:
    """The table of a file that has one.

    :raises SourceMissingError: it has none, or several, which are listed.
    :raises SourceUnreadableError: it is no SQLite file.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    except sqlite3.DatabaseError as error:
        raise SourceUnreadableError(f"{path.name} cannot be read: {error}") from error
    tables = sorted(name for (name,) in found if not INTERNAL.fullmatch(name))
    if len(tables) == 1:
        return str(tables[0])
    if not tables:
        raise SourceMissingError(f"{path.name} has no table")
    raise SourceMissingError(f"{path.name} holds {len(tables)} tables: {', '.join(tables)}; name one with --table")
