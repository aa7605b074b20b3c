"""One layer of a vector file: its columns and its CRS, and its features, or some of them, as Arrow batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from sluiceway.amounts import counted
from sluiceway.errors import (
    SchemaDriftError,
    SourceMissingError,
    SourceUnreadableError,
    SplitError,
    listed,
    nearest,
    quoted,
    said_by,
    shortened,
)
from sluiceway.sources.bounds import check_columns, value_too_long
from sluiceway.sources.extraction import chosen_columns
from sluiceway.sources.formats.texts import not_utf8
from sluiceway.sources.formats.vector import gdal, geojson
from sluiceway.sources.formats.vector.curves import Straightener, TooManyPointsError
from sluiceway.sources.formats.vector.dbase import DbaseTable
from sluiceway.sources.formats.vector.dbase_texts import undecodable
from sluiceway.sources.formats.vector.families import families
from sluiceway.sources.formats.vector.geopackage import count_features
from sluiceway.sources.formats.vector.layers import layer_of, read_info, shapes_in
from sluiceway.sources.formats.vector.moments import is_naive, moments
from sluiceway.sources.formats.vector.pieces import of_records, of_value, selected
from sluiceway.sources.formats.vector.shapefile import check_dbase, check_whole, deleted_rows, longest_batch
from sluiceway.sources.formats.vector.vector_files import VectorFile, count_records
from sluiceway.sources.piece import Piece
from sluiceway.sources.selection import Numbers, Selection
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

BATCH_ROWS = 4_000
"""Features read at once, at most: 4,000 fields of 30 vertices are 3 MB."""
BATCH_BYTES = 4 << 20
"""Read at once, about; GDAL takes several times as much meanwhile."""
SLICE_BYTES = 4 << 20
"""Handed over at once: what follows holds each geometry three times (WKB, parsed, cleaned). A batch of whatever size
takes Python 9 ms besides: quarters of these made a load a fifth longer."""

_UNEVEN = 4
"""By this factor a batch may be larger than the mean one."""
_POINT_BYTES = 16
"""Of a point in WKB, at least."""
_OFFLINE = {
    "GML_DOWNLOAD_SCHEMA": "NO",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "GDAL_HTTP_PROXY": "http://127.0.0.1:9",
    "GDAL_HTTP_MAX_RETRY": "0",
}
"""A GML may name its schema, and parts of itself, by address. What asks for an address all the same meets a proxy that
is none: files are read here, and fetched elsewhere."""
_UNKNOWN_CRS = ("Undefined Cartesian SRS", "Undefined geographic SRS", "Undefined SRS", "Unknown engineering CRS")
"""How GeoPackages spell that they do not know their CRS (srs_id -1 and 0)."""
_JSON_DRIVERS = frozenset({"GeoJSON", "ESRIJSON"})
_OWN_CRS = frozenset({"GeoJSON", "GeoJSONSeq"})
_BARE_DRIVERS = frozenset({"GeoJSON", "GeoJSONSeq", "TopoJSON"})
_WITHOUT_ZONES = frozenset({"ESRI Shapefile", "OpenFileGDB"})
"""Their moments name no zone."""
_EACH_BYTE_A_LETTER = "ISO8859-1"
_EXTENSION, _SHAPES = b"ARROW:extension:name", {b"ogc.wkb", b"geoarrow.wkb"}


class Layer:
    """One layer that was looked at and is not yet read."""

    def __init__(
        self, spec: TableSpec, source: VectorSource, file: VectorFile, selection: Selection | None = None
    ) -> None:
        self.spec = spec
        self.file = file
        self.selected = selection
        self.doubts: dict[str, str | None] = {}
        self.notes = dict(file.notes)
        self.curves = Straightener(source.curve_tolerance, source.max_value_bytes // _POINT_BYTES)
        gdal.core.set_gdal_config_options(_OFFLINE)
        if file.path.suffix == ".shp":
            check_whole(file.path)
        elif file.path.suffix == ".dbf":
            check_dbase(file.path)
        self.dbase: DbaseTable | None = None
        self.info = self._describe(source)
        self.name = str(self.info["layer_name"])
        self.place = f"{file.place}, layer {shortened(self.name)}"
        check_columns(spec, self.info["fields"], self.place)
        self._check_driver()
        self.crs = self._crs()
        # a file without a schema says its columns by its features alone
        self.is_bare = self.info["driver"] in _BARE_DRIVERS and self.info["features"] == 0
        self._check_geometry()
        self.columns = dict(self.dbase.columns) if self.dbase is not None else families(self.info)
        names = list(self.columns if self.dbase is not None else map(str, self.info["fields"]))
        self.columns |= dict.fromkeys(file.digits & set(names), "number")
        self.fid = self._declared_fid()
        if self.fid is not None:
            self.columns[self.fid] = "number"
        self.chosen = {} if self.is_bare else self._chosen()
        for name in self.chosen.values():
            if names.count(name) > 1:
                several = f"column {quoted(name)} {names.count(name)} times"
                raise SchemaDriftError(f"{spec.name}: {self.place} holds {several}")
        self.gdal_names = dict(zip(names, names, strict=True))
        self.expected = self._expected()
        self.shapes_seen = self.measured = False

    def _describe(self, source: VectorSource) -> Mapping[str, Any]:
        path = self.file.path
        if path.suffix in {".shp", ".dbf"}:
            if (dbf := path.with_suffix(".dbf")).exists():
                self.dbase = DbaseTable(self.spec, source, self.file, dbf)
            info = read_info(path, None, _EACH_BYTE_A_LETTER)
        elif self.file.format.one_layer:
            try:
                info = read_info(path, None, None)
            except IndexError as error:
                # pyogrio asks for the first layer without a look whether there is one
                raise SourceUnreadableError(
                    f"{self.spec.name}: {self.file.place} cannot be read: GDAL finds no layer in it"
                ) from error
        else:
            return read_info(path, layer_of(self.spec.name, source, self.file), None)
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

    def _crs(self) -> str | None:
        crs: str | None = self.info["crs"]
        if self.info["driver"] in _JSON_DRIVERS:
            geojson.check_page(self.spec.name, self.file.place, self.file.path)
        if self.info["driver"] in _OWN_CRS and crs == "EPSG:4326":
            return geojson.own_crs(self.spec.name, self.file.place, self.file.path, crs)
        return None if crs is not None and any(f'"{name}' in crs for name in _UNKNOWN_CRS) else crs

    def _declared_fid(self) -> str | None:
        """The primary key, which GDAL keeps beside the columns, where the spec declares it, or takes all columns."""
        name = str(self.info["fid_column"] or "")
        if not name or name in self.columns:
            return None
        if self.spec.transform is not None:
            return name
        declared = {source for column in self.spec.columns for source in self.spec.source_names(column)}
        return name if name in declared else None

    def _chosen(self) -> dict[str, str]:
        if self.file.path.suffix == ".shp" and not self.file.path.with_suffix(".dbf").exists():
            missing = next(iter(self.spec.columns))
            raise SchemaDriftError(
                f"{self.spec.name}: {self.place}: column {missing!r} is missing, like all others: there is no .dbf "
                f"beside it, which holds them; a shapefile is .shp, .shx and .dbf"
            )
        return chosen_columns(self.spec, self.columns, self.place)

    def _check_geometry(self) -> None:
        if self.spec.geometry is None or self.info["geometry_type"] is not None or self.is_bare:
            return
        others = f"; these have one: {listed(layers)}" if (layers := shapes_in(self.file)) else ""
        raise SchemaDriftError(
            f"{self.spec.name}: {self.place} has no geometry{others}. Remove [geometry] or name another layer."
        )

    def _expected(self) -> int | None:
        """How many features there must be, where anything says so."""
        if self.selected is not None:
            return len(self.selected.numbers)
        if self.info["driver"] == "GeoJSONSeq":
            # GDAL passes over lines that it cannot read
            return count_records(self.file.path)
        return int(self.info["features"]) if self.info["features"] >= 0 else None

    def count(self) -> int:
        """How many features there are. Of a GeoPackage GDAL believes a number in the file, which may be an old one."""
        counted_ = count_features(self.file, self.name) if self.info["driver"] == "GPKG" else None
        return int(self.info["features"]) if counted_ is None else counted_

    @contextmanager
    def open(self) -> Iterator[Iterator[pa.RecordBatch]]:
        """The layer's batches."""
        if self.is_bare:
            yield iter(())
            return
        with ExitStack() as stack:
            geometry_name, reader = stack.enter_context(self._stream(moments_as_texts=False))
            naive = [field.name for field in reader.schema if is_naive(field.type)]
            if naive and self.info["driver"] not in _WITHOUT_ZONES:
                # one column of several time zones comes without any, as the clocks stood there
                stack.close()
                geometry_name, reader = stack.enter_context(self._stream(moments_as_texts=True))
            self._check_one_geometry(reader.schema)
            yield self._batches(reader, geometry_name, frozenset(naive))

    def _check_one_geometry(self, schema: pa.Schema) -> None:
        shapes = [field.name for field in schema if (field.metadata or {}).get(_EXTENSION) in _SHAPES]
        if len(shapes) > 1:
            raise SchemaDriftError(
                f"{self.spec.name}: {self.place} holds {len(shapes)} geometries: {', '.join(shapes)}; only a layer of "
                f"one is read: leave the others out, such as with ogr2ogr -sql"
            )

    @contextmanager
    def _stream(self, *, moments_as_texts: bool) -> Iterator[tuple[str, pa.RecordBatchReader]]:
        chosen = self.selected
        wanted = [self.gdal_names[name] for name in dict.fromkeys(self.chosen.values()) if name != self.fid]
        if self.dbase is not None:
            # GDAL needs the column that it is asked about
            wanted = [chosen.where.split('"')[1]] if chosen is not None and chosen.where is not None else []
        by_id = self.dbase is not None or self.fid is not None or (chosen is not None and chosen.ids is not None)
        with ExitStack() as stack:
            with warnings.catch_warnings():
                # measures do come: only the layer's type is told without
                warnings.filterwarnings("ignore", message="Measured")
                meta, reader = stack.enter_context(
                    gdal.raw.open_arrow(
                        self.file.path,
                        layer=self.name,
                        encoding=_EACH_BYTE_A_LETTER if self.dbase is not None else None,
                        columns=wanted,
                        read_geometry=self.spec.geometry is not None,
                        return_fids=by_id,
                        skip_features=chosen.skip if chosen is not None else 0,
                        where=chosen.where if chosen is not None else None,
                        batch_size=self._rows_at_once(),
                        use_pyarrow=True,
                        datetime_as_string=moments_as_texts,
                    )
                )
            if self.fid is not None:
                self.gdal_names[self.fid] = meta["fid_column"]
            yield meta["geometry_name"] or "wkb_geometry", reader

    def _rows_at_once(self) -> int:
        features, path = int(self.info["features"]), self.file.path
        most = BATCH_ROWS if self.dbase is None else self.dbase.rows_at_once
        if features < 1:
            return most
        size = sum(part.stat().st_size for part in ([path] if path.is_file() else path.iterdir()))
        fit = max(1, features * BATCH_BYTES // max(1, size))
        # a power of two: in a file that has grown a little the batches are the same ones (load/loaded_batches.py)
        rows = min(most, 1 << (fit.bit_length() - 1))
        while path.suffix == ".shp" and rows > 1 and longest_batch(path, rows) > _UNEVEN * BATCH_BYTES:
            # the long shapes of an uneven file may follow each other
            rows //= 2
        return rows

    def _batches(
        self, reader: pa.RecordBatchReader, geometry_name: str, naive: frozenset[str]
    ) -> Iterator[pa.RecordBatch]:
        seen = 0
        for batch in self._read(reader):
            if batch.num_rows == 0:
                continue
            numbers = self._numbers(seen, batch.num_rows)
            columns = self._columns_of(batch, numbers)
            for target, name in self.chosen.items():
                if self.gdal_names[name] in naive and pa.types.is_string(columns[target].type):
                    columns[target] = moments(columns[target])
            if self.spec.geometry is not None:
                # the last one of that name: a field may be called so as well
                shapes = self._straight(batch.column(batch.schema.get_all_field_indices(geometry_name)[-1]), seen)
                columns[self.spec.geometry.column] = shapes
                self._look_for_measures(shapes)
            seen += batch.num_rows
            chosen_only = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
            rows = max(1, chosen_only.num_rows * SLICE_BYTES // max(SLICE_BYTES, chosen_only.nbytes))
            for start in range(0, chosen_only.num_rows, rows):
                yield chosen_only.slice(start, rows)
        self._check_end(seen)

    def _straight(self, shapes: pa.Array, seen: int) -> pa.Array:
        try:
            return self.curves.straightened(shapes)
        except TooManyPointsError as error:
            what = (
                f"one of the shapes from row {seen + 1:,} on, its curves made straight within source.curve_tolerance,"
            )
            raise value_too_long(self.spec, self.place, what) from error

    def _columns_of(self, batch: pa.RecordBatch, numbers: Sequence[int]) -> dict[str, pa.Array]:
        if self.dbase is not None:
            return self.dbase.read(batch.column(0).to_numpy(zero_copy_only=False), self.chosen, numbers)
        return {
            target: self._plain(batch.column(self.gdal_names[name]), name, numbers)
            for target, name in self.chosen.items()
        }

    def _numbers(self, seen: int, count: int) -> Sequence[int]:
        if self.selected is None:
            return range(seen + 1, seen + count + 1)
        return self.selected.numbers[seen : seen + count]  # type: ignore[return-value]  # as good as a list here

    def selection(self, piece: Piece) -> Selection:
        """Which of its features a piece is."""
        if piece.column is None:
            return of_records(self.file.path, piece)
        if piece.column not in self.columns:
            raise SplitError(f"{self.spec.name}: split: {self.place} has no column {piece.column!r} any more")
        askable = self.dbase is None or piece.column in self.dbase.plain_names()
        family = self.columns[piece.column] if askable else "other"
        return of_value(piece, *self.values_of(piece.column), self.gdal_names[piece.column], family)

    def values_of(self, column: str) -> tuple[pa.ChunkedArray, Numbers]:
        """A column's values as texts, of all features in their order, and the features' own numbers."""
        if self.dbase is not None:
            return self.dbase.values(column)
        name = self.gdal_names[column]
        with gdal.raw.open_arrow(
            self.file.path,
            layer=self.name,
            columns=[name] if column != self.fid else [],
            read_geometry=False,
            return_fids=True,
            use_pyarrow=True,
        ) as (_, reader):
            texts, ids, seen = [], [], 0
            for batch in self._read(reader):
                values = batch.column(batch.schema.get_all_field_indices(name)[-1] if column != self.fid else 0)
                texts.append(self._plain(values, column, range(seen + 1, seen + batch.num_rows + 1)).cast(pa.string()))
                ids.append(batch.column(0).to_numpy(zero_copy_only=False))
                seen += batch.num_rows
        return pa.chunked_array(texts, pa.string()), np.concatenate(ids) if ids else np.empty(0, dtype=np.int64)

    def _look_for_measures(self, shapes: pa.Array) -> None:
        if self.measured is not False or self.spec.geometry is None or "M" not in self.spec.geometry.dimensions:
            return
        heads = [shape[:5] for shape in shapes.to_pylist() if shape]
        if heads:
            self.shapes_seen = True
            # GDAL gives ISO WKB, little-endian: 2001 is a point with a measure, 3001 one with a height as well
            self.measured = any(int.from_bytes(head[1:5], "little") // 1000 in {2, 3} for head in heads)

    def _check_end(self, seen: int) -> None:
        if self.info["driver"] == "GPKG" and seen != self.expected and self.selected is None:
            self.expected = self.count()
        if self.expected is not None and seen != self.expected:
            dbf = self.file.path.with_suffix(".dbf")
            deleted = deleted_rows(dbf) if self.dbase is not None and self.selected is None else 0
            if seen + deleted != self.expected:
                # GDAL ends a broken .dbf as if it were complete
                raise SourceUnreadableError(
                    f"{self.spec.name}: {self.file.place} says it holds {counted(self.expected, 'feature')} and gave "
                    f"{seen:,}; it is broken or cut off"
                )
        if self.info["driver"] == "GeoJSON":
            self.notes |= geojson.check_end(self.spec.name, self.file.place, self.file.path, seen)
        self.notes |= self.curves.notes()
        if self.shapes_seen and self.spec.geometry is not None:
            without = (
                f"{self.spec.name}: geometry.dimensions is {self.spec.geometry.dimensions!r}, and no shape of "
                f"{self.place} has a measure (GeoJSON, GML and KML never give one); declare it without M"
            )
            self.doubts["measures"] = None if self.measured else without
            if self.selected is None and not self.measured:
                raise SchemaDriftError(without)
        if self.dbase is not None and self.selected is None:
            self.dbase.texts.check_end()
        elif self.dbase is not None:
            self.doubts |= self.dbase.texts.told_at_end()

    def _read(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            if self.selected is None:
                yield from reader
            else:
                yield from selected(reader, self.selected, f"{self.spec.name}: {self.place}")
        except (OSError, pa.ArrowException) as error:
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.file.place} cannot be read to its end: {said_by(error)}"
            ) from error

    def _plain(self, values: pa.Array, column: str, numbers: Sequence[int]) -> pa.Array:
        """The values in a type of Arrow's own, texts as UTF-8."""
        if isinstance(values.type, pa.BaseExtensionType):
            # JSON
            values = values.storage
        if pa.types.is_dictionary(values.type):
            # the codes of a domain, which the rows hold; not what they mean
            values = values.indices
        if (wrong := not_utf8(values)) is not None:
            where = f"row {numbers[wrong[0]]:,}, column {quoted(column)}"
            raise undecodable(self.spec.name, self.file.place, where, wrong[1], "UTF-8")
        return values
