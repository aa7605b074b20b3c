"""What every source hands over, and the check that the declared columns are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from sluiceway.errors import SchemaDriftError, nearest
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.sources.selection import Numbers
from sluiceway.tables.origins import ORIGINS
from sluiceway.tables.spec import TableSpec

_FAMILIES = (
    ("text", (pa.types.is_string, pa.types.is_large_string)),
    ("boolean", (pa.types.is_boolean,)),
    ("number", (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)),
    ("time", (pa.types.is_temporal,)),
    ("binary", (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)),
)


def family(arrow_type: pa.DataType) -> str:
    """The family of an Arrow type: text, boolean, number, time, binary or other."""
    return next((name for name, tests in _FAMILIES if any(test(arrow_type) for test in tests)), "other")


@dataclass(frozen=True)
class Unreadable:
    """A record the reader cannot split into columns."""

    row_number: int
    """Among the data rows, from 1."""
    reason: str
    text: str


@dataclass
class Extraction:
    """An open source. Valid inside its `with` only."""

    columns: Mapping[str, str]
    """Every column of the source (also the undeclared ones) with the family of its type; the geometry not."""
    batches: Iterator[pa.RecordBatch]
    """The columns of `chosen_columns` under their target names, then the geometry: its own column as binary WKB or as
    text (WKT, hex WKB, GeoJSON), or `<column>.x` and `<column>.y`."""
    total_rows: int | None = None
    """How many rows there will be, where the source says so beforehand; for the progress only."""
    crs: str | None = None
    """The geometry's CRS as the file says it."""
    unreadable: list[Unreadable] = field(default_factory=list)
    """Filled while `batches` is read; these records are in no batch."""
    watermark: str | None = None
    """Where an incremental source ended; known once all batches were read."""
    row_numbers: Numbers | None = None
    """Of a piece of a source: its rows' numbers among the data rows of the whole."""
    doubts: dict[str, str | None] = field(default_factory=dict)
    """Of a piece of a source, once it was read: what would be an error if no other piece spoke against it, by a word
    for what it is about; None where this one does."""
    notes: dict[str, str] = field(default_factory=dict)
    """What a person should know of rows that are good, by a word for what it is about; complete once all batches were
    read."""
    primary_key: str | None = None
    """The column by which the file itself tells its rows apart."""
    rows_from: RowsFrom | None = None
    """Of several files, or parts of one: which of them a row is of."""
    straightened: Counter[str] = field(default_factory=Counter)
    """Shapes whose `curves` were made straight, as far as batches were read."""


def chosen_columns(
    spec: TableSpec, available: Collection[str], place: str, hints: Collection[str] = ()
) -> dict[str, str]:
    """Column of a batch -> column of the source, for sources whose columns have names. Without the geometry.

    A spec with a transform gets every column under its own name: the declared ones are those of its result.

    :param available: the source's columns.
    :param place: what to call the source in the message.
    :param hints: what else the message may name as the nearest.
    :raises SchemaDriftError: names every missing column and the nearest one.
    """
    if spec.transform is not None:
        taken = set(spec.geometry.source_columns.values()) if spec.geometry is not None else set()
        return {name: name for name in available if name not in taken}
    return declared_columns(spec, available, place, hints)


def declared_columns(
    spec: TableSpec, available: Collection[str], place: str, hints: Collection[str] = ()
) -> dict[str, str]:
    """Target column -> the first of its source columns that exists.

    :raises SchemaDriftError: names every missing column and the nearest one.
    """
    chosen, problems = {}, []
    for column in spec.columns:
        names = [str(name) for name in spec.source_names(column)]
        found = next((name for name in names if name in available), None)
        if found is None:
            known = [*available, *(ORIGINS if names[0].startswith("$") else hints)]
            problems.append(f"column {' or '.join(map(repr, names))} is missing{nearest(names[0], known)}")
        else:
            chosen[column] = found
    if problems:
        raise SchemaDriftError(f"{spec.name}: adapt [columns] or the source; in {place}, {'; '.join(problems)}")
    return chosen


def geometry_columns(spec: TableSpec, available: Collection[str], place: str) -> dict[str, str]:
    """Column of a batch -> column of the source that holds the geometry, or its x and y, where they are plain columns.

    :raises SchemaDriftError: names the missing column and the nearest one.
    """
    chosen = spec.geometry.source_columns if spec.geometry is not None else {}
    for name in chosen.values():
        if name not in available:
            raise SchemaDriftError(
                f"{spec.name}: adapt [geometry] or the source; in {place}, column {name!r} is missing"
                f"{nearest(name, available)}"
            )
    return chosen
