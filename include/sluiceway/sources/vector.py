"""Vector files through GDAL (pyogrio), as a stream of Arrow batches: shapefile, GeoJSON and kin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyogrio.raw

from sluiceway.errors import SourceMissingError, SourceUnreadableError, nearest
from sluiceway.sources.extraction import Extraction, chosen_columns
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

BATCH_ROWS = 2_000
"""Features read at once: 2,000 fields of 30 vertices are 1 MB."""
SLICE_BYTES = 1 << 20
"""Handed over at once: what follows holds each geometry three times (WKB, parsed, cleaned)."""

_FAMILY_OF_OGR = {
    "OFTInteger": "number",
    "OFTInteger64": "number",
    "OFTReal": "number",
    "OFTString": "text",
    "OFTDate": "time",
    "OFTTime": "time",
    "OFTDateTime": "time",
    "OFTBinary": "binary",
}


@contextmanager
def open_vector(spec: TableSpec, source: VectorSource, path: Path) -> Iterator[Extraction]:
    """Open one layer. A shapefile without .cpg and without `encoding` is read as GDAL guesses (latin-1)."""
    try:
        layer = _layer(source, path)
        info = pyogrio.read_info(path, layer=layer, encoding=source.encoding)
        columns = {
            str(name): "boolean" if subtype == "OFSTBoolean" else _FAMILY_OF_OGR.get(kind, "other")
            for name, kind, subtype in zip(info["fields"], info["ogr_types"], info["ogr_subtypes"], strict=True)
        }
        chosen = chosen_columns(spec, columns, f"{path.name}, layer {layer}")
        with pyogrio.raw.open_arrow(
            path,
            layer=layer,
            # GDAL's guess has to be named, or the bytes come as they are; "UTF-8" says that GDAL has recoded already
            encoding=source.encoding or (None if info["encoding"] == "UTF-8" else info["encoding"]),
            columns=list(dict.fromkeys(chosen.values())),
            read_geometry=spec.geometry is not None,
            batch_size=BATCH_ROWS,
            use_pyarrow=True,
        ) as (meta, reader):
            geometry_name = (meta["geometry_name"] or "wkb_geometry") if spec.geometry else None
            yield Extraction(
                columns=columns,
                batches=_batches(spec, reader, chosen, geometry_name, path.name, int(info["features"])),
                crs=info["crs"],
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowInvalid) as error:
        raise SourceUnreadableError(f"{spec.name}: {path.name} cannot be read: {error}") from error


def _layer(source: VectorSource, path: Path) -> str:
    layers = [str(name) for name, _ in np.asarray(pyogrio.list_layers(path))]
    if source.layer in layers:
        return source.layer
    if source.layer is not None:
        raise SourceMissingError(f"{path.name} has no layer {source.layer!r}{nearest(source.layer, layers)}")
    if len(layers) != 1:
        raise SourceMissingError(
            f"{path.name} holds {len(layers)} layers: {', '.join(layers)}; name one as source.layer"
        )
    return layers[0]


def _batches(
    spec: TableSpec,
    reader: pa.RecordBatchReader,
    chosen: dict[str, str],
    geometry_name: str | None,
    place: str,
    expected: int,
) -> Iterator[pa.RecordBatch]:
    seen = 0
    for batch in _read(spec, reader, place):
        seen += batch.num_rows
        if batch.num_rows == 0:
            continue
        columns = {target: batch.column(name) for target, name in chosen.items()}
        if spec.geometry is not None and geometry_name is not None:
            columns[spec.geometry.column] = batch.column(geometry_name)
        chosen_only = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        rows = max(1, chosen_only.num_rows * SLICE_BYTES // max(SLICE_BYTES, chosen_only.nbytes))
        for start in range(0, chosen_only.num_rows, rows):
            yield chosen_only.slice(start, rows)
    if expected >= 0 and seen != expected:
        # GDAL ends a broken .dbf as if it were complete
        raise SourceUnreadableError(f"{spec.name}: {place} says it holds {expected:,} features and gave {seen:,}")


def _read(spec: TableSpec, reader: pa.RecordBatchReader, place: str) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read to its end: {error}") from error
