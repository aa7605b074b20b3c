"""Columns of a table that say where a row came from: `source = "$file"`, which no file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sluiceway.tables.patterns import is_pattern, is_uri_pattern
from sluiceway.tables.source_spec import ExcelSource, Frozen, LocatedSource, SqliteSource, VectorSource

if TYPE_CHECKING:
    from sluiceway.tables.column import Column
    from sluiceway.tables.source_spec import Source

FILE, MEMBER, SHEET, LAYER, TABLE = "$file", "$member", "$sheet", "$layer", "$table"
ORIGINS: Mapping[str, str] = {
    FILE: "the file",
    MEMBER: "the file inside the .zip",
    SHEET: "the sheet of the workbook",
    LAYER: "the layer",
    TABLE: "the table of the SQLite file",
}
"""What a column says, by what it names as its source."""


def origin_columns(columns: Mapping[str, Column]) -> dict[str, str]:
    """Column -> which origin it holds."""
    return {name: str(column.source) for name, column in columns.items() if column.source in ORIGINS}


def is_file_itself(column: Column) -> bool:
    """Whether a column holds another value for each file: its name, and not what that was made into."""
    is_name = column.source == FILE and column.sql_type.base in {"text", "varchar"}
    return is_name and not column.is_tidied and not column.null


def inner_key(source: Frozen) -> str | None:
    """The key that names a part of each file: member, sheet, layer or table."""
    match source:
        case ExcelSource():
            return "sheet"
        case VectorSource():
            return "layer"
        case SqliteSource():
            return "table"
        case _:
            return None


def patterns_of(source: Frozen) -> dict[str, str]:
    """The keys of a source that stand for several things, and what they say."""
    if not isinstance(source, LocatedSource):
        return {}
    keys = ["member", *filter(None, [inner_key(source)])]
    said = {key: str(getattr(source, key)) for key in keys if is_pattern(getattr(source, key))}
    return ({"uri": source.uri} if is_uri_pattern(source.uri) else {}) | said


def check_origins(columns: Mapping[str, Column], source: Source, *, geometry: bool) -> None:
    """See that the source can say what its columns are to hold, and that one file alone is described by one checksum.

    :raises ValueError: it cannot, and why.
    """
    found = {name: column for name, column in columns.items() if column.source in ORIGINS}
    computed = sum(column.expression is not None for column in columns.values())
    for name, column in found.items():
        origin, said = str(column.source), f"columns.{name}.source: {column.source!r} is"
        if not isinstance(source, LocatedSource):
            raise ValueError(f'{said} of a file, and a source of kind "{source.kind}" is none')
        key = origin.removeprefix("$")
        if origin != FILE and getattr(source, key, None) is None:
            has = key == "member" or key == inner_key(source)
            raise ValueError(
                f"{said} {ORIGINS[origin]}, which source.{key} names; it may be a pattern, such as *"
                if has
                else f'{said} {ORIGINS[origin]}, and a source of kind "{source.kind}" has none'
            )
    if found and len(found) + computed == len(columns) and not geometry:
        what = "all of them say where a row came from" + (", or are computed of that" if computed else "")
        raise ValueError(f"columns: {what}; name one that the source holds")
    for name, column in columns.items():
        if isinstance(column.source, tuple) and (odd := next((each for each in column.source if each in ORIGINS), "")):
            raise ValueError(f"columns.{name}.source: {odd!r} is always there and stands alone; write {odd!r} only")
    if isinstance(source, LocatedSource) and source.sha256 is not None and is_uri_pattern(source.uri):
        raise ValueError("source.sha256: is of one file, and source.uri stands for several; remove one of them")
