"""Columns of nested objects, by their paths: source = "meta.color", or "tags[0].name".

A key that is spelled as a path is, is no path: in a record that has it, its value is the column's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.json_path import NOTHING, steps_of, value_at
from sluiceway.tables.spec import TableSpec

MOST_HINTS = 200


def declared_paths(spec: TableSpec) -> dict[str, tuple[str, ...]]:
    """The sources of the spec's columns, and of its geometry, that can be paths, each with its steps.

    A transform gets what stands at the top, and takes its values itself.
    """
    names = (
        [] if spec.transform is not None else [name for column in spec.columns for name in spec.source_names(column)]
    )
    if spec.geometry is not None:
        names += spec.geometry.source_columns.values()
    found = {name: steps_of(name) for name in names if isinstance(name, str)}
    return {name: steps for name, steps in found.items() if len(steps) > 1 and all(steps)}


class Nested:
    """The declared paths of records that come one by one."""

    def __init__(self, spec: TableSpec) -> None:
        self._steps = declared_paths(spec)
        self._unseen = set(self._steps)
        self.known: list[str] = []
        """The paths of the first record that has some, where some are declared; for messages."""

    def found_in(self, record: Mapping[str, Any]) -> Iterator[str]:
        """The paths that lead somewhere in this record, and did in none before."""
        if self._unseen and not self.known:
            self.known = [path for path in islice(_paths(record, ""), MOST_HINTS) if "." in path]
        for name in [*self._unseen]:
            if value_at(record, self._steps[name]) is not NOTHING:
                self._unseen.discard(name)
                yield name

    def value(self, record: Mapping[str, Any], name: str) -> Any:
        """The value of a key, or at a path; None where there is none."""
        if name in record or name not in self._steps:
            return record.get(name)
        found = value_at(record, self._steps[name])
        return None if found is NOTHING else found


def _paths(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield path
        return
    for key, each in value.items():
        yield from _paths(each, f"{path}.{key}" if path else key)


def struct_paths(spec: TableSpec, schema: pa.Schema) -> dict[str, pa.Field]:
    """The declared paths that lead into columns of structs, each with the field where it ends."""
    found = {}
    for name, (first, *rest) in declared_paths(spec).items():
        if name in schema.names or schema.names.count(first) != 1:
            continue
        field = schema.field(first)
        for step in rest:
            kind = field.type
            place = kind.get_field_index(step) if pa.types.is_struct(kind) else -1
            if place < 0:
                break
            field = kind.field(place)
        else:
            found[name] = field
    return found


def of_struct(values: pa.Array, path: str) -> pa.Array:
    """What stands at a path of a column of structs; null where one on the way is null."""
    for step in steps_of(path)[1:]:
        values = pc.struct_field(values, step)
    return values
