"""What a source holds, read once for a draft: its columns, its values and its shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from sluiceway.errors import SchemaDriftError
from sluiceway.infer.asked import (
    ANY_GEOMETRY,
    Source,
    provisional,
)
from sluiceway.infer.geometry import OWN_GEOMETRY, Seen
from sluiceway.infer.objects import alike_objects, opened_by_paths, with_paths
from sluiceway.infer.shapes import Shapes
from sluiceway.infer.sheet import LAST_ROWS
from sluiceway.infer.values import Values, kept_values
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction, family
from sluiceway.sources.place import Place


@contextmanager
def _opened(
    name: str, source: Source, place: Place, connections: Connections
) -> Iterator[tuple[Extraction, str | None]]:
    """The source with all of its columns, and the name of the geometry, where the file has one of its own."""
    uri = str(place.path) if place.path is not None else source.pattern or None
    with ExitStack() as stack:
        if source.keys["kind"] in OWN_GEOMETRY or source.shape is not None:
            spec = provisional(name, source.keys, uri, geometry=True, shape=source.shape, origins=source.origins)
            # a layer, or a Parquet file, may have no geometry
            extraction = None
            with suppress(SchemaDriftError):
                extraction = stack.enter_context(open_source(spec, place, connections))
            if extraction is not None:
                yield extraction, ANY_GEOMETRY
                return
        spec = provisional(name, source.keys | source.reading, uri, geometry=False, origins=source.origins)
        yield stack.enter_context(open_source(spec, place, connections)), None


def columns_of(name: str, source: Source, path: Path, connections: Connections) -> Mapping[str, str]:
    """The columns of one of several files, and of what kind their values are."""
    with _opened(name, source, Place(path.name, path=path), connections) as (extraction, _):
        if source.keys["kind"] == "json":
            # which says its keys as they come
            for _batch in extraction.batches:
                pass
        return dict(extraction.columns)


def read_all(
    name: str, source: Source, place: Place, values: Values, connections: Connections, *, most: int | None = None
) -> Seen:
    """Read a source into `values`.

    :param most: about so many rows are looked at; all of them if None.
    """
    with _opened(name, source, place, connections) as (extraction, geometry):
        return _read(source, values, extraction, geometry, most=most)


def _read(
    source: Source, values: Values, extraction: Extraction, geometry: str | None, *, most: int | None = None
) -> Seen:
    seen = Seen(dict(extraction.columns), extraction.crs, Shapes() if geometry is not None else None)
    seen.primary_key = extraction.primary_key
    for each in extraction.batches:
        batch = source.named(each)
        _take_unreadable(seen, extraction)
        if source.reading:
            seen.last.extend(_texts(batch.slice(max(0, batch.num_rows - LAST_ROWS))))
        if seen.shapes is not None and geometry is not None and geometry in batch.schema.names:
            seen.shapes.add(batch.column(geometry))
            values.add(batch, geometry)
        else:
            _look_for_wkb(seen, batch)
            values.add(batch)
        if most is not None and values.rows >= most:
            seen.is_part = True
            break
    _take_unreadable(seen, extraction)
    # a database says it with its rows
    seen.crs = extraction.crs
    # JSON says its keys as they come
    seen.columns = source.without_values() | dict(extraction.columns)
    seen.columns = {source.called(column): kind for column, kind in seen.columns.items() if column != source.shape}
    seen.notes = extraction.notes
    seen.curves = extraction.straightened["curves"]
    values.expect(list(seen.columns))
    return seen


def by_paths(
    name: str, source: Source, place: Place, stack: ExitStack, values: Values, seen: Seen, connections: Connections
) -> tuple[Values, Seen]:
    """What was read, or the same with the values of objects as columns of their own."""
    objects = alike_objects(values) if source.keys["kind"] == "json" else {}
    if not objects:
        return values, seen
    apart = stack.enter_context(kept_values())
    columns = with_paths(list(values.columns), objects)
    try:
        with opened_by_paths(name, source, place, connections, columns) as extraction:
            return apart, _read(source, apart, extraction, None)
    except SchemaDriftError:
        # texts that hold JSON are no objects
        return values, seen


def _texts(batch: pa.RecordBatch) -> list[list[str]]:
    columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
    return [[value or "" for value in row] for row in zip(*columns, strict=True)]


def _take_unreadable(seen: Seen, extraction: Extraction) -> None:
    while extraction.unreadable:
        found = extraction.unreadable.pop(0)
        seen.unreadable += 1
        seen.first_unreadable = seen.first_unreadable or found


def _look_for_wkb(seen: Seen, batch: pa.RecordBatch) -> None:
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        if family(values.type) != "binary":
            continue
        shapes = seen.binary.setdefault(column, Shapes())
        if not shapes.unreadable:
            shapes.add(values)
