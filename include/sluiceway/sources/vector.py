"""Vector files through GDAL (pyogrio), as a stream of Arrow batches: shapefile, GeoPackage, GeoJSON and kin."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyogrio.raw

from sluiceway.errors import SchemaDriftError, SourceMissingError, SourceUnreadableError, nearest
from sluiceway.sources.dbase_texts import DbaseTexts, undecodable
from sluiceway.sources.extraction import Extraction, chosen_columns
from sluiceway.sources.shapefile import check_whole
from sluiceway.sources.vector_files import VectorFile, count_records, laid_out
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
_OFFLINE = {"GML_DOWNLOAD_SCHEMA": "NO", "GML_SKIP_RESOLVE_ELEMS": "ALL"}
"""A GML may name its schema, and parts of itself, by address."""
_REFUSED = (
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.FieldError,
    pyogrio.errors.FeatureError,
    pa.ArrowInvalid,
    UnicodeDecodeError,
)


@contextmanager
def open_vector(spec: TableSpec, source: VectorSource, path: Path) -> Iterator[Extraction]:
    """Open one layer.

    Texts of a shapefile are in the encoding that `source.encoding` says, else its .cpg, else the .dbf's header;
    latin-1 that nobody declared is read as cp1252.

    :raises SourceUnreadableError: it is no such file, it is broken, or its texts are in another encoding.
    :raises SourceMissingError: there is no such layer or member, or several and none is named.
    :raises SchemaDriftError: a declared column does not exist, or the layer has no geometry.
    """
    with ExitStack() as stack:
        file = stack.enter_context(laid_out(spec.name, source, path))
        try:
            layer = _Layer(spec, source, file)
            batches = stack.enter_context(layer.open())
        except _REFUSED as error:
            raise SourceUnreadableError(f"{spec.name}: {file.place} cannot be read: {error}") from error
        yield Extraction(columns=layer.columns, batches=batches, total_rows=layer.expected, crs=layer.info["crs"])


class _Layer:
    """One layer that was looked at and is not yet read."""

    def __init__(self, spec: TableSpec, source: VectorSource, file: VectorFile) -> None:
        self.spec = spec
        self.file = file
        pyogrio.set_gdal_config_options(_OFFLINE)
        if file.path.suffix == ".shp":
            check_whole(file.path)
        self.texts: DbaseTexts | None = None
        self.info = self._describe(source)
        self.name = str(self.info["layer_name"])
        self.place = f"{file.place}, layer {self.name}"
        self._check_driver()
        self._check_geometry(source)
        names = [self.texts.name(str(name)) if self.texts else str(name) for name in self.info["fields"]]
        self.columns = {
            name: "boolean" if subtype == "OFSTBoolean" else _FAMILY_OF_OGR.get(kind, "other")
            for name, kind, subtype in zip(names, self.info["ogr_types"], self.info["ogr_subtypes"], strict=True)
        }
        self.chosen = chosen_columns(spec, self.columns, self.place)
        for name in self.chosen.values():
            if names.count(name) > 1:
                raise SchemaDriftError(f"{spec.name}: {self.place} holds column {name!r} {names.count(name)} times")
        self.gdal_names = dict(zip(names, map(str, self.info["fields"]), strict=True))
        self.expected = self._expected()

    def _describe(self, source: VectorSource) -> Mapping[str, Any]:
        path = self.file.path
        if path.suffix in {".shp", ".dbf"}:
            known = source.encoding or self.file.cpg
            guessed = "" if known else _read_info(path, None, None)["encoding"]
            self.texts = DbaseTexts(self.spec.name, self.file, declared=source.encoding, guessed=guessed)
            info = _read_info(path, None, self.texts.gdal_encoding)
        elif self.file.format.one_layer:
            info = _read_info(path, None, None)
        else:
            return _read_info(path, _layer(source, self.file), None)
        if source.layer not in {None, info["layer_name"]}:
            name = str(info["layer_name"])
            raise SourceMissingError(f"{self.file.place} has no layer {source.layer!r}{nearest(source.layer, [name])}")
        return info

    def _check_driver(self) -> None:
        driver = self.info["driver"]
        if driver not in self.file.format.drivers:
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.file.place} is no {self.file.format.name}: GDAL opens it as {driver}, which "
                f"Sluiceway does not read; convert it to a GeoPackage"
            )

    def _check_geometry(self, source: VectorSource) -> None:
        if self.spec.geometry is None or self.info["geometry_type"] is not None:
            return
        layers = [str(name) for name, kind in np.asarray(pyogrio.list_layers(self.file.path)) if kind is not None]
        others = f"; these have one: {', '.join(layers)}" if layers else ""
        raise SchemaDriftError(
            f"{self.spec.name}: {self.place} has no geometry{others}. Remove [geometry] or name another layer."
        )

    def _expected(self) -> int | None:
        """How many features there must be, where anything says so."""
        if self.info["driver"] == "GeoJSONSeq":
            # GDAL passes over lines that it cannot read
            return count_records(self.file.path)
        return int(self.info["features"]) if self.info["features"] >= 0 else None

    @contextmanager
    def open(self) -> Iterator[Iterator[pa.RecordBatch]]:
        """The layer's batches."""
        with ExitStack() as stack:
            with warnings.catch_warnings():
                # measures do come: only the layer's type is told without
                warnings.filterwarnings("ignore", message="Measured")
                meta, reader = stack.enter_context(
                    pyogrio.raw.open_arrow(
                        self.file.path,
                        layer=self.name,
                        encoding=self.texts.gdal_encoding if self.texts else None,
                        columns=[self.gdal_names[name] for name in dict.fromkeys(self.chosen.values())],
                        read_geometry=self.spec.geometry is not None,
                        batch_size=BATCH_ROWS,
                        use_pyarrow=True,
                    )
                )
            yield self._batches(reader, meta["geometry_name"] or "wkb_geometry")

    def _batches(self, reader: pa.RecordBatchReader, geometry_name: str) -> Iterator[pa.RecordBatch]:
        seen = 0
        for batch in self._read(reader):
            if batch.num_rows == 0:
                continue
            columns = {
                target: self._plain(batch.column(self.gdal_names[name]), name, seen + 1)
                for target, name in self.chosen.items()
            }
            if self.spec.geometry is not None:
                # the last one of that name: a field may be called so as well
                columns[self.spec.geometry.column] = batch.column(batch.schema.get_all_field_indices(geometry_name)[-1])
            seen += batch.num_rows
            chosen_only = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
            rows = max(1, chosen_only.num_rows * SLICE_BYTES // max(SLICE_BYTES, chosen_only.nbytes))
            for start in range(0, chosen_only.num_rows, rows):
                yield chosen_only.slice(start, rows)
        if self.expected is not None and seen != self.expected:
            # GDAL ends a broken .dbf as if it were complete
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.file.place} says it holds {self.expected:,} features and gave {seen:,}; it "
                f"is broken or cut off"
            )
        if self.texts is not None:
            self.texts.check_end()

    def _read(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except (OSError, pa.ArrowException) as error:
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.file.place} cannot be read to its end: {error}"
            ) from error

    def _plain(self, values: pa.Array, column: str, row_number: int) -> pa.Array:
        """The values in a type of Arrow's own, texts as UTF-8."""
        if isinstance(values.type, pa.BaseExtensionType):
            # JSON
            values = values.storage
        if pa.types.is_dictionary(values.type):
            # the codes of a domain, which the rows hold; not what they mean
            values = values.indices
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return values
        if self.texts is not None:
            values = self.texts.decode(values, column, row_number)
        try:
            values.validate(full=True)
        except pa.ArrowInvalid as error:
            raise self._not_utf8(values, column, row_number) from error
        return values

    def _not_utf8(self, values: pa.Array, column: str, row_number: int) -> SourceUnreadableError:
        for index, raw in enumerate(values.cast(pa.large_binary()).to_pylist()):
            try:
                (raw or b"").decode("utf-8")
            except UnicodeDecodeError:
                where = f"row {row_number + index:,}, column {column!r}"
                return undecodable(self.spec.name, self.file.place, where, raw, "UTF-8")
        return SourceUnreadableError(f"{self.spec.name}: {self.place}, column {column!r}: the texts are broken")


def _read_info(path: Path, layer: str | None, encoding: str | None) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Measured")
        info: Mapping[str, Any] = pyogrio.read_info(path, layer=layer, encoding=encoding)
    return info


def _layer(source: VectorSource, file: VectorFile) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Measured")
        layers = [str(name) for name, _ in np.asarray(pyogrio.list_layers(file.path))]
    if source.layer in layers:
        return source.layer
    if source.layer is not None:
        raise SourceMissingError(f"{file.place} has no layer {source.layer!r}{nearest(source.layer, layers)}")
    if len(layers) != 1:
        raise SourceMissingError(
            f"{file.place} holds {len(layers)} layers: {', '.join(layers)}; name one as source.layer"
        )
    return layers[0]
