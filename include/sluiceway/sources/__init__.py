"""Where rows come from: one module per kind of source, each yields Arrow record batches and knows no Airflow.

`open_source` is the way in. A source projects and renames: its batches hold the spec's columns under their
target names, in the spec's order, plus the geometry column as WKB. It does not cast, check or drop rows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from sluiceway.tables.spec import CsvSource, SqliteSource, TableSpec

if TYPE_CHECKING:
    from pathlib import Path

    from sluiceway.sources.extraction import Extraction


def open_source(spec: TableSpec, path: Path) -> AbstractContextManager[Extraction]:
    """Open the source of `spec`, whose data lies at `path` (see locate.py).

    Each kind imports its reader only when used: pyogrio alone costs a second and 80 MB.

    :raises SourceUnreadableError: the file is not what the spec declares.
    :raises SourceMissingError: the layer, member or table does not exist.
    :raises SchemaDriftError: a declared column does not exist.
    """
    if isinstance(spec.source, CsvSource):
        from sluiceway.sources.csv import open_csv

        return open_csv(spec, spec.source, path)
    if isinstance(spec.source, SqliteSource):
        from sluiceway.sources.sqlite import open_sqlite

        return open_sqlite(spec, spec.source, path)
    from sluiceway.sources.vector import open_vector

    return open_vector(spec, spec.source, path)
