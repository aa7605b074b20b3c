"""Runs a table's transform: include/config/transforms/<table>.py, `transform(batch)` on a DataFrame, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas
import pandas as pd
import pyarrow as pa
import shapely

from sluiceway.errors import TransformError
from sluiceway.load.geometry.shapes import parsed
from sluiceway.sources.extraction import Extraction, declared_columns
from sluiceway.tables.spec import Geometry, TableSpec

Transform = Callable[[Any], Any]


def transformed(spec: TableSpec, path: Path, extraction: Extraction) -> Iterator[pa.RecordBatch]:
    """The batches of `extraction` after the transform, with the spec's columns under their target names.

    The transform gets every column of the source under its own name, and the geometry as the geometry of a
    GeoDataFrame; what it returns is what counts as extracted. It sees one batch at a time.

    :raises TransformError: the file has no `transform`, it raised, or it returned no DataFrame.
    :raises SchemaDriftError: a declared column is not in what it returned.
    """
    function = _load(path)
    for batch in extraction.batches:
        frame = _frame(spec, batch, extraction.crs)
        try:
            result = function(frame)
        except Exception as error:
            raise TransformError(f"{spec.name}: {path.name}: {type(error).__name__}: {error}") from error
        if not isinstance(result, pd.DataFrame):
            raise TransformError(
                f"{spec.name}: {path.name}: transform returned {type(result).__name__}; it must return a DataFrame"
            )
        if isinstance(result, geopandas.GeoDataFrame) and result.crs is not None:
            extraction.crs = result.crs.to_wkt()
        if len(result):
            yield _batch(spec, result, path)


def _load(path: Path) -> Transform:
    module = ModuleType(f"sluiceway_transform_{path.stem}")
    module.__file__ = str(path)
    try:
        # not by import: its compiled copy may be that of an edit within the same second, and lies in the config folder
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102  # the project's own code
    except Exception as error:
        raise TransformError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, "transform", None)
    if not callable(function):
        raise TransformError(f"{path}: has no function transform(batch)")
    return function  # type: ignore[no-any-return]  # checked above


def _frame(spec: TableSpec, batch: pa.RecordBatch, crs: str | None) -> Any:
    geometry = spec.geometry
    if geometry is None or geometry.column not in batch.schema.names or not _is_binary(batch, geometry):
        return batch.to_pandas()
    names = [name for name in batch.schema.names if name != geometry.column]
    shapes = parsed(shapely.from_wkb, batch.column(geometry.column).to_numpy(zero_copy_only=False))
    return geopandas.GeoDataFrame(
        batch.select(names).to_pandas(),
        geometry=geopandas.GeoSeries(shapes, name=geometry.column, crs=crs or geometry.source_crs),
    )


def _is_binary(batch: pa.RecordBatch, geometry: Geometry) -> bool:
    kind = batch.schema.field(geometry.column).type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _batch(spec: TableSpec, frame: pd.DataFrame, path: Path) -> pa.RecordBatch:
    chosen = declared_columns(spec, [str(name) for name in frame.columns], f"what {path.name} returned")
    columns = {target: _array(frame[name]) for target, name in chosen.items()}
    if spec.geometry is not None:
        columns |= _geometry(spec.geometry, frame, path)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _geometry(geometry: Geometry, frame: pd.DataFrame, path: Path) -> dict[str, pa.Array]:
    """The active geometry of a GeoDataFrame, else the plain columns that hold it."""
    if isinstance(frame, geopandas.GeoDataFrame) and frame.active_geometry_name is not None:
        return {geometry.column: pa.array(shapely.to_wkb(frame.geometry.to_numpy()), type=pa.binary())}
    found = [name for name in (geometry.column, *geometry.source_columns) if name in frame.columns]
    if not found:
        raise TransformError(f"{path.name}: transform returned no geometry, and no column {geometry.column!r}")
    return {name: _array(frame[name]) for name in found}


def _array(values: pd.Series) -> pa.Array:
    """Arrow of a column; what is of several types travels as text."""
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        array = pa.array([None if pd.isna(value) else str(value) for value in values], type=pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array
