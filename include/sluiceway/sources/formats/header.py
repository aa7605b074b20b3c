"""Which position of a record holds which declared column, for sources whose records are lists of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sluiceway.amounts import counted
from sluiceway.errors import SchemaDriftError, quoted
from sluiceway.sources.extraction import chosen_columns, geometry_columns
from sluiceway.tables.spec import TableSpec


def column_names(record: Sequence[str], *, header: bool) -> list[str]:
    """The name of each position: what the header says, or its number from 1.

    That is where the header says nothing, says a name twice, or the number of another column that goes by it.
    A transform sees its columns under these names.
    """
    counts = Counter(record)
    names = [name if header and name and counts[name] == 1 else "" for name in record]
    while True:
        numbers = {str(position) for position, name in enumerate(names, 1) if not name}
        # a name that is another column's number goes by its own: of two columns of one name the first would be both
        kept = ["" if name in numbers else name for name in names]
        if kept == names:
            return [name or str(position) for position, name in enumerate(names, 1)]
        names = kept


def declared_positions(spec: TableSpec, record: Sequence[str], place: str, *, header: bool) -> dict[str, int]:
    """Column of a batch -> position in a record from 0, in the order of the spec, then the geometry.

    Positions that are declared may lie beyond `record`: see check_width.

    :param record: the first one of the source; the names if it is a header.
    :raises SchemaDriftError: a declared name is missing, or stands twice.
    """
    names = column_names(record, header=header)
    available = list(record) if header else names
    if spec.transform is not None:
        chosen = chosen_columns(spec, names, place)
        found = {target: names.index(name) for target, name in chosen.items()}
    else:
        by_position = {
            name: column.source - 1 for name, column in spec.columns.items() if isinstance(column.source, int)
        }
        by_name = {name: column for name, column in spec.columns.items() if name not in by_position}
        named = spec.model_copy(update={"columns": by_name})
        positions = {
            target: _only(spec, available, name, place)
            for target, name in chosen_columns(named, available, place).items()
        } | by_position
        found = {target: positions[target] for target in spec.columns}
    geometry = geometry_columns(spec, available, place)
    return found | {target: _only(spec, available, name, place) for target, name in geometry.items()}


def _only(spec: TableSpec, available: Sequence[str], name: str, place: str) -> int:
    if available.count(name) > 1:
        raise SchemaDriftError(
            f"{spec.name}: {place}: the header holds column {quoted(name)} twice; declare its position from 1 as source"
        )
    return available.index(name)


def check_width(spec: TableSpec, positions: dict[str, int], width: int, place: str) -> None:
    """Raises SchemaDriftError when a declared position lies beyond `width`, the columns of the widest record."""
    for target, position in positions.items():
        if position >= width:
            raise SchemaDriftError(
                f"{spec.name}: {place}: column {target!r} is declared at position {position + 1}, "
                f"the file has {counted(width, 'column')}"
            )
