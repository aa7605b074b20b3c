"""What every source hands over, and the check that the declared columns are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from sluiceway.errors import SchemaDriftError, nearest
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
    """The spec's columns under their target names, then the geometry column as binary WKB."""
    crs: str | None = None
    """The geometry's CRS as the file says it."""
    unreadable: list[Unreadable] = field(default_factory=list)
    """Filled while `batches` is read; these records are in no batch."""


def declared_columns(spec: TableSpec, available: Mapping[str, str], place: str) -> dict[str, str]:
    """Target column -> source column, for sources whose columns have names.

    :param available: the source's columns; values are not looked at.
    :param place: what to call the source in the message.
    :raises SchemaDriftError: names every missing column and the nearest one.
    """
    chosen = {name: str(spec.source_name(name)) for name in spec.columns}
    problems = [
        f"column {source!r} is missing{nearest(source, available)}"
        for source in chosen.values()
        if source not in available
    ]
    if problems:
        raise SchemaDriftError(f"{spec.name}: adapt [columns] or the source; in {place}, {'; '.join(problems)}")
    return chosen
