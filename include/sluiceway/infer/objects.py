"""Objects within records of JSON, drafted as columns by their paths where all of them have the same plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sluiceway.infer.asked import Source, validated
from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.place import Place

MOST_KEYS = 20
"""Of an object that becomes columns; one of more is a document of its own."""
LEAST = 2
"""Objects, for they might differ."""
_IN_A_PATH = re.compile(r"[^.\[\]\"\\\x00-\x1f]*[^.\[\]\"\\\x00-\x20][^.\[\]\"\\\x00-\x1f]*")


def alike_objects(values: Values) -> dict[str, list[str]]:
    """The columns that hold objects alone, at least in half of the rows, all with the same keys and plain values.

    :returns: each with the paths of its values.
    """
    found = {}
    for name, column in values.columns.items():
        keys = _keys(values, column) if _IN_A_PATH.fullmatch(name) else []
        paths = [f"{name}.{key}" for key in keys]
        if paths and not set(paths) & set(values.columns):
            found[name] = paths
    return found


def _keys(values: Values, column: SourceColumn) -> list[str]:
    """The keys of a column's objects; none where it is to stay one column."""
    kind = f"CASE WHEN json_valid({column.sql}) THEN json_type({column.sql}) END"
    keys = f"CASE WHEN {kind} = 'OBJECT' THEN json_keys({column.sql}) END"
    filled, objects = map(_whole, values.ask([f"count({column.sql})", f"count(*) FILTER ({kind} = 'OBJECT')"]))
    if objects != filled or objects < LEAST or 2 * objects < values.rows:
        return []
    different, first = values.ask([f"count(DISTINCT list_sort({keys}))", f"min(CAST(to_json({keys}) AS VARCHAR))"])
    if _whole(different) != 1:
        return []
    found: list[str] = json.loads(str(first))
    if not 0 < len(found) <= MOST_KEYS or not all(map(_IN_A_PATH.fullmatch, found)) or len(set(found)) < len(found):
        return []
    places = [literal(f'$."{key}"') for key in found]
    nested = values.ask(
        [f"count(*) FILTER (json_type({column.sql}, {place}) IN ('OBJECT', 'ARRAY'))" for place in places],
        where=f"{column.sql} IS NOT NULL",
    )
    return [] if any(map(_whole, nested)) else found


def _whole(count: object) -> int:
    return int(str(count))


def with_paths(columns: Sequence[str], objects: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns, and in the place of each that holds objects their paths."""
    return [path for name in columns for path in objects.get(name, [name])]


@contextmanager
def opened_by_paths(
    name: str, source: Source, place: Place, connections: Connections, columns: Sequence[str]
) -> Iterator[Extraction]:
    """The source with these columns alone, as their keys and paths call them.

    :raises SchemaDriftError: as it is read: a path leads nowhere, where texts are JSON and the values no objects.
    """
    spec = validated(
        name,
        {
            "description": "Not known yet",
            "key": "content",
            "source": {"uri": str(place.path), **source.keys},
            "columns": {f"c{number}": {"source": each, "type": "text"} for number, each in enumerate(columns)},
        },
    )
    with open_source(spec, place, connections) as extraction:
        extraction.batches = (batch.rename_columns(list(columns)) for batch in extraction.batches)
        extraction.columns = dict.fromkeys(columns, "text")
        yield extraction
