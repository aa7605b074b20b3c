"""`split` of a table's file: into which parts the load of one big table is cut, and of which sources it can be.

A part is read, checked and sent to the warehouse by a task of its own; what comes of it must be what one load of the
whole gives. So a source must lie still, be known by its content, and be read from the middle on.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from sluiceway.errors import nearest
from sluiceway.tables.origins import patterns_of
from sluiceway.tables.source_spec import Source, VectorSource

BY_ROWS, BY_COLUMN = "rows", "column"
LEAST_ROWS = 1_000
"""Of a part: a task costs more than a second before it reads anything."""
SPLIT_FILES = frozenset({".shp", ".dbf", ".gpkg", ".gdb"})
"""What can be read from the middle on: a shapefile, a .dbf, a GeoPackage, a FileGDB."""
_ARCHIVES = frozenset({".zip", ""})
"""May hold such a file."""
HOW = 'write "rows:250000" for parts of so many rows, or "column:county" for a part per value of a source\'s column'


class Split(NamedTuple):
    """A table's `split`."""

    by: str
    rows: int = 0
    """Of a part, where it is by rows."""
    column: str = ""
    """The source's column, where it is by its values."""


def parse_split(text: str) -> Split:
    """Of `rows:250000` or `column:county`.

    :raises ValueError: it is neither.
    """
    by, colon, rest = text.partition(":")
    if by in {"layer", "file"}:
        raise ValueError(
            f"{text!r}: a table reads one {by} of its source, so there is nothing to split by {by}s; {HOW}"
        )
    if by == BY_COLUMN and rest:
        return Split(by, column=rest)
    if by == BY_ROWS and re.fullmatch(r"[1-9][0-9_]*", rest):
        if (rows := int(rest)) < LEAST_ROWS:
            raise ValueError(f"{text!r}: parts of so few rows take longer than the whole; write {LEAST_ROWS} or more")
        return Split(by, rows=rows)
    hint = nearest(by, (BY_ROWS, BY_COLUMN), listing=False) if colon else ""
    raise ValueError(f"{text!r} says no parts{hint or '; ' + HOW}")


def check_split(split: str, source: Source, *, transform: bool, queue: str | None) -> None:
    """See that a source, and what is done with its rows, can be split so.

    :raises ValueError: it cannot, and why.
    """
    try:
        parse_split(split)
    except ValueError as error:
        raise ValueError(f"split: {error}") from error
    if not isinstance(source, VectorSource):
        raise ValueError(
            f'split: a source of kind "{source.kind}" is not split: its rows cannot be found from the middle on, or '
            'may change between two parts; a shapefile, a GeoPackage and a FileGDB can be (kind = "vector")'
        )
    if patterns := patterns_of(source):
        key, said = next(iter(patterns.items()))
        raise ValueError(
            f"split: cuts one layer of one file, and source.{key} = {said!r} stands for several; remove one of them"
        )
    ending = PurePosixPath(source.member or urlsplit(source.uri).path).suffix.lower()
    if ending not in SPLIT_FILES | _ARCHIVES:
        raise ValueError(
            f"split: a {ending} file must be read from its beginning for each part; make a GeoPackage of it, or remove "
            "split"
        )
    if transform:
        raise ValueError(
            "split: a table with a transform is not split, for that may look at several rows; remove one of them"
        )
    if queue is not None:
        raise ValueError(
            "split: the parts go to all workers of the flow's queue, so the table can name none of its own; remove "
            "queue or split"
        )
