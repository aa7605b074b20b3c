"""Parquet files, with the geometry of GeoParquet 1 or of Parquet's own GEOMETRY and GEOGRAPHY types.

Values keep their types. What has no counterpart in PostgreSQL, or none that the casts know, is spelled as text.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SchemaDriftError, SourceUnreadableError, listed, nearest, quoted, said_by
from sluiceway.json_path import parse as parse_json
from sluiceway.json_path import steps_of
from sluiceway.sources.extraction import Extraction, chosen_columns, family, geometry_columns
from sluiceway.sources.formats.nested import of_struct, struct_paths
from sluiceway.sources.formats.parquet_bounds import check_schema, rows_at_once
from sluiceway.sources.formats.texts import not_utf8, text_array
from sluiceway.tables.source_spec import ParquetSource
from sluiceway.tables.spec import Geometry, TableSpec

BATCH_BYTES = 2 << 20
MOST_ROWS = 20_000
"""Of a batch, whatever the file says about its size: a repeated text counts once there."""
BUFFER_BYTES = 1 << 18
"""Read at once of each column; without it, all of a row group is."""

_PACKED = {b"PK\x03\x04": "a .zip", b"\x1f\x8b": "compressed with gzip", b"\x28\xb5\x2f\xfd": "compressed with zstd"}

DEFAULT_CRS = "OGC:CRS84"
"""What both ways to store a geometry mean when they name none."""


@contextmanager
def open_parquet(spec: TableSpec, source: ParquetSource, path: Path) -> Iterator[Extraction]:
    """Open the file; the geometry is its primary one unless `geometry.source` names another column."""
    if source.member is not None:
        raise ConfigError(f"{spec.name}: source.member: Parquet is read unpacked; name the file itself as source.uri")
    _check_unpacked(spec, path)
    with _open(spec, path) as file:
        check_schema(spec, file, path.name)
        schema = file.schema_arrow
        shape = _shape(spec, file, path.name)
        columns = {field.name: family(_read_as(field.type)) for field in schema if field.name != shape.column}
        paths = struct_paths(spec, schema)
        columns |= {path: family(_read_as(field.type)) for path, field in paths.items()}
        chosen = chosen_columns(spec, columns, path.name) | shape.columns
        for name in chosen.values():
            if schema.names.count(name) > 1:
                raise SchemaDriftError(f"{spec.name}: {path.name} holds column {quoted(name)} twice")
        yield Extraction(
            columns=columns,
            batches=_batches(spec, file, chosen, path, paths),
            total_rows=file.metadata.num_rows,
            crs=shape.crs,
        )


def _check_unpacked(spec: TableSpec, path: Path) -> None:
    """Raises SourceUnreadableError for what Arrow would call corrupted: it is packed."""
    with path.open("rb") as opened:
        start = opened.read(4)
    packed = next((what for begin, what in _PACKED.items() if start.startswith(begin)), None)
    if packed is not None:
        raise SourceUnreadableError(f"{spec.name}: {path.name} is {packed}; Parquet is packed in itself: unpack it")


@contextmanager
def _open(spec: TableSpec, path: Path) -> Iterator[pq.ParquetFile]:
    try:
        # not INT96 in nanoseconds, as Arrow has it by default: 9999-12-31, by which Spark and Oracle mean no end, would
        # be 1816-03-30, and PostgreSQL keeps microseconds
        file = pq.ParquetFile(
            path,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit="us",
        )
    except (pa.ArrowException, OSError) as error:
        raise SourceUnreadableError(f"{spec.name}: {path.name} cannot be read: {said_by(error)}") from error
    with file:
        yield file


@dataclass(frozen=True)
class _Shape:
    """Where the geometry is."""

    columns: dict[str, str]
    """Column of a batch -> column of the file."""
    crs: str | None = None
    column: str | None = None
    """The column that is a geometry and nothing else."""


def _shape(spec: TableSpec, file: pq.ParquetFile, place: str) -> _Shape:
    geometry = spec.geometry
    if geometry is None:
        return _Shape({})
    names = file.schema_arrow.names
    named = geometry_columns(spec, [*names, *struct_paths(spec, file.schema_arrow)], place)
    if geometry.x is not None:
        return _Shape(named)
    primary, known = _of_geoparquet(spec, file, place) or _of_parquet(file)
    name = geometry.source or primary
    if name is None:
        raise SchemaDriftError(_no_geometry(spec, geometry, known, names, place))
    if name not in names:
        raise SourceUnreadableError(
            f"{spec.name}: {place} says that column {quoted(name)} is its geometry, and has none"
        )
    if name not in known:
        return _Shape(named, column=name)
    encoding, crs = known[name]
    if encoding != "WKB":
        raise SourceUnreadableError(
            f"{spec.name}: {place} holds its geometry {quoted(name)} in the encoding {quoted(encoding)}; only WKB is "
            f"read: write the file anew with that encoding"
        )
    return _Shape({geometry.column: name}, crs, name)


def _no_geometry(spec: TableSpec, geometry: Geometry, known: Mapping[str, Any], names: list[str], place: str) -> str:
    if known:
        what = f"holds {len(known)} geometries: {listed([*known])}; name one"
    else:
        what = f"says nothing about a geometry; name the column that holds it{nearest(geometry.column, names)}"
    return f"{spec.name}: {place} {what} as geometry.source"


Known = dict[str, tuple[str, str | None]]
"""Column -> encoding and CRS."""


def _of_geoparquet(spec: TableSpec, file: pq.ParquetFile, place: str) -> tuple[str | None, Known] | None:
    """The primary geometry and all, from the file's metadata: https://geoparquet.org/releases/v1.1.0"""
    text = (file.schema_arrow.metadata or {}).get(b"geo")
    if text is None:
        return None
    try:
        document = parse_json(text)
        known = {name: (str(column["encoding"]), _crs(column)) for name, column in document["columns"].items()}
        return str(document["primary_column"]), known
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceUnreadableError(
            f"{spec.name}: {place} holds GeoParquet metadata that is broken: {said_by(error)}"
        ) from error


def _crs(column: Mapping[str, Any]) -> str | None:
    crs = column.get("crs", DEFAULT_CRS)
    return crs if crs is None or isinstance(crs, str) else json.dumps(crs)


def _of_parquet(file: pq.ParquetFile) -> tuple[str | None, Known]:
    """The only geometry, if there is one, and all, from the types of the columns."""
    known: Known = {}
    for position in range(len(file.schema)):
        column = file.schema.column(position)
        if column.logical_type.type in {"GEOMETRY", "GEOGRAPHY"}:
            crs = parse_json(column.logical_type.to_json()).get("crs") or DEFAULT_CRS
            known[column.path] = ("WKB", _named_crs(crs if isinstance(crs, str) else json.dumps(crs), file))
    return (next(iter(known)) if len(known) == 1 else None), known


def _named_crs(crs: str, file: pq.ParquetFile) -> str | None:
    kind, _, name = crs.partition(":")
    if kind == "srid":
        return f"EPSG:{name}" if name != "0" else None
    if kind == "projjson":
        found = (file.metadata.metadata or {}).get(name.encode())
        return found.decode() if found is not None else crs
    return crs


def _batches(
    spec: TableSpec, file: pq.ParquetFile, chosen: Mapping[str, str], path: Path, paths: Collection[str]
) -> Generator[pa.RecordBatch, None, None]:
    seen, place = 0, path.name
    sources = list(dict.fromkeys(chosen.values()))
    names = list(dict.fromkeys(steps_of(name)[0] if name in paths else name for name in sources))
    try:
        rows = rows_at_once(spec, file, path, names, most=_rows(file, names))
        for batch in file.iter_batches(batch_size=rows, columns=names, use_threads=False):
            seen += batch.num_rows
            if not batch.num_rows:
                continue
            columns = {name: _plain(_values(batch, name, name in paths)) for name in sources}
            _check_texts(spec, columns, place, seen - batch.num_rows)
            whole = pa.RecordBatch.from_arrays([columns[name] for name in chosen.values()], names=list(chosen))
            rows = max(1, whole.num_rows * BATCH_BYTES // max(BATCH_BYTES, whole.nbytes))
            for start in range(0, whole.num_rows, rows):
                yield whole.slice(start, rows)
    except (pa.ArrowException, OSError) as error:
        raise SourceUnreadableError(
            f"{spec.name}: {place} cannot be read after row {seen:,}: {said_by(error)}"
        ) from error
    if seen != file.metadata.num_rows:
        raise SourceUnreadableError(
            f"{spec.name}: {place} says it holds {counted(file.metadata.num_rows, 'row')} and gave {seen:,}"
        )


def _values(batch: pa.RecordBatch, name: str, is_path: bool) -> pa.Array:
    return of_struct(batch.column(steps_of(name)[0]), name) if is_path else batch.column(name)


def _check_texts(spec: TableSpec, columns: Mapping[str, pa.Array], place: str, before: int) -> None:
    for name, values in columns.items():
        if (wrong := not_utf8(values)) is not None:
            shown = wrong[1][:40].decode("ascii", "backslashreplace")
            raise SourceUnreadableError(
                f"{spec.name}: {place}, row {before + wrong[0] + 1:,}, column {quoted(name)}: {shown!r} is no UTF-8, "
                f"as texts of Parquet are; write the file anew"
            )


def _rows(file: pq.ParquetFile, names: list[str]) -> int:
    """How many rows make a batch."""
    size = 0
    for group in range(file.metadata.num_row_groups):
        for position in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(position)
            if column.path_in_schema.split(".")[0] in names or column.path_in_schema in names:
                size += column.total_uncompressed_size
    rows: int = file.metadata.num_rows * BATCH_BYTES // max(size, 1)
    return max(1, min(MOST_ROWS, rows))


def _read_as(kind: pa.DataType) -> pa.DataType:
    """The type in which a column of type `kind` is handed over."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else _read_as(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _read_as(kind.value_type)
    if pa.types.is_null(kind) or pa.types.is_string_view(kind) or pa.types.is_decimal256(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def _plain(values: pa.Array) -> pa.Array:
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return text_array([None if value is None else str(value) for value in values.to_pylist()])
        return _plain(values.storage)
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    target = _read_as(kind)
    return values if target == kind else values.cast(target)
