"""Cleans a batch's geometry before it travels: kind, validity, CRS and dimension.

Done on this side, row by row, because one bad geometry inside PostGIS would end the whole transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import shapely

from sluiceway.errors import SourceUnreadableError, quoted, said_by
from sluiceway.load.geometry import coordinates, polygons
from sluiceway.load.geometry.reprojection import Reprojection
from sluiceway.load.geometry.shapes import Shapes, from_batch, from_wkb, wkb_of
from sluiceway.tables.spec import Geometry, TableSpec

Array = np.ndarray[Any, Any]

_TYPE = shapely.GeometryType
_KINDS = {
    "Point": (_TYPE.POINT,),
    "MultiPoint": (_TYPE.POINT, _TYPE.MULTIPOINT),
    "LineString": (_TYPE.LINESTRING,),
    "MultiLineString": (_TYPE.LINESTRING, _TYPE.MULTILINESTRING),
    "Polygon": (_TYPE.POLYGON,),
    "MultiPolygon": (_TYPE.POLYGON, _TYPE.MULTIPOLYGON),
    "Geometry": tuple(_TYPE)[1:],
}
_WITH_AREA = (_TYPE.POLYGON, _TYPE.MULTIPOLYGON, _TYPE.GEOMETRYCOLLECTION)
"""Kinds that can be invalid."""


@dataclass(frozen=True)
class Cleaned:
    """A batch's geometry, ready to load."""

    wkb: pa.Array
    reasons: dict[int, str]
    """Index of a row that cannot be loaded -> why."""
    repaired: int


@dataclass
class GeometryCleaner:
    """Cleans the geometry of one extraction, whose file says its CRS is `file_crs`."""

    spec: TableSpec
    geometry: Geometry
    file_crs: str | None
    _reprojections: dict[str, Reprojection | None] = field(default_factory=dict)

    @cached_property
    def _reprojection(self) -> Reprojection | None:
        """From the file's CRS to the target's; None when they are the same.

        The file's own CRS wins over the assumed one.

        :raises SourceUnreadableError: neither the file nor the spec says the CRS.
        """
        known = self.file_crs or self.geometry.source_crs
        if known is None:
            raise SourceUnreadableError(
                f"{self.spec.name}: the file does not say its CRS; declare geometry.source_crs, such as 'EPSG:4269'"
            )
        return self._reprojection_from(known)

    def _reprojection_from(self, known: str) -> Reprojection | None:
        if known not in self._reprojections:
            try:
                source, target = pyproj.CRS.from_user_input(known), pyproj.CRS.from_epsg(self.geometry.srid)
                same = source.equals(target, ignore_axis_order=True)
                self._reprojections[known] = None if same else Reprojection(source, target)
            except pyproj.exceptions.ProjError as error:
                # no such CRS, or one of a building site, from which nothing leads to degrees
                raise SourceUnreadableError(f"{self.spec.name}: CRS {quoted(known)}: {said_by(error)}") from error
        return self._reprojections[known]

    def clean(self, batch: pa.RecordBatch) -> Cleaned:
        """Check and mend the geometry of one batch: WKB or text in its own column, or x and y."""
        wkb = wkb_of(self.spec, batch)
        if wkb is None:
            return self._clean_shapes(from_batch(self.spec, batch))
        rings = self._rings(wkb)
        if rings is None:
            return self._clean_shapes(from_wkb(wkb))
        good = _good(rings)
        if self._reprojection is not None:
            rings = polygons.moved(rings, self._reprojection.moved(rings.xy))
            good &= polygons.finite(rings)
        encoded = polygons.encode(rings)
        if len(rings.rows) == len(wkb) and good.all():
            return Cleaned(encoded, {}, 0)
        others = np.setdiff1d(np.arange(len(wkb)), rings.rows[good])
        cleaned = self._clean_shapes(from_wkb(wkb.take(pa.array(others))))
        places = np.empty(len(wkb), dtype=np.int64)
        places[rings.rows] = np.arange(len(encoded))
        places[others] = len(encoded) + np.arange(len(others))
        return Cleaned(
            pa.concat_arrays([encoded, cleaned.wkb.cast(pa.binary())]).take(pa.array(places)),
            {int(others[index]): reason for index, reason in cleaned.reasons.items()},
            cleaned.repaired,
        )

    def _rings(self, wkb: pa.Array) -> polygons.Rings | None:
        """The rows that are plain rings. No geometry is built for most of them."""
        if self.geometry.type not in {"MultiPolygon", "Polygon", "Geometry"} or self.geometry.dimensions != "XY":
            return None
        rings = polygons.decode(wkb)
        if not len(rings.rows):
            return None
        if self.geometry.type != "MultiPolygon" and not _is_polygon(wkb[int(rings.rows[0])].as_py()):
            # a multipolygon of one part stays one; all rings have the kind of the first
            return None
        return rings

    def _clean_shapes(self, read: Shapes) -> Cleaned:
        shapes, given, reasons = read.shapes, read.given, dict(read.reasons)
        missing = ~given | (shapely.is_empty(shapes) & ~shapely.is_missing(shapes))
        if self.geometry.required:
            self._refuse(reasons, missing, "is null or empty")
        present = ~shapely.is_missing(shapes) & ~missing
        kinds = shapely.get_type_id(shapes)
        for index in np.flatnonzero(present & ~np.isin(kinds, _KINDS[self.geometry.type])):
            reasons[int(index)] = f"is a {shapes[index].geom_type}, not a {self.geometry.type}"
        finite = _finite(shapes)
        self._refuse(reasons, present & ~finite, "has a coordinate that is no number")
        for dimension, name in (("Z", "height"), ("M", "measure")):
            if dimension in self.geometry.dimensions:
                self._refuse(reasons, present & ~_finite(shapes, dimension), f"has a {name} that is no number")
        changed = bool(np.any(missing & given))
        shapes[missing] = None
        repaired = self._repair(shapes, present & np.isin(kinds, _WITH_AREA), reasons)
        moved = self._reproject(shapes, present, reasons)
        if read.wkb is not None and not (changed or repaired or moved or self._must_encode(shapes, kinds)):
            return Cleaned(read.wkb, reasons, repaired)
        return Cleaned(pa.array(self._encoded(shapes), type=pa.binary()), reasons, repaired)

    def _repair(self, shapes: Array, with_area: Array, reasons: dict[int, str]) -> int:
        """Mend or refuse what is invalid, in place; how many were mended."""
        usable = with_area.copy()
        usable[list(reasons)] = False
        repaired = 0
        for index in np.flatnonzero(usable & ~shapely.is_valid(shapes)):
            shape = shapes[index]
            mended = self._repaired(shape) if self.geometry.invalid == "repair" else None
            if mended is None:
                reasons[int(index)] = f"is invalid: {shapely.is_valid_reason(shape)}"
            elif self.geometry.type == "Polygon" and mended.geom_type != "Polygon":
                parts = shapely.get_num_geometries(mended)
                reasons[int(index)] = f"is invalid: repaired it would be {parts} polygons, and a Polygon is declared"
            else:
                shapes[index], repaired = mended, repaired + 1
        return repaired

    def _repaired(self, shape: shapely.Geometry) -> shapely.Geometry | None:
        if shape.geom_type == "GeometryCollection" or (shape.has_m and "M" in self.geometry.dimensions):
            # its measures would be lost
            return None
        mended = _repair(shape)
        if mended is None or self.geometry.type == "MultiPolygon" or shape.geom_type == "MultiPolygon":
            return mended
        return mended.geoms[0] if shapely.get_num_geometries(mended) == 1 else mended

    def _reproject(self, shapes: Array, present: Array, reasons: dict[int, str]) -> bool:
        """Bring the shapes into the target's CRS, in place; whether that moved any.

        A shape that says its own CRS (EWKB, EWKT) is taken at its word.
        """
        srids = shapely.get_srid(shapes)
        moved = False
        for srid in np.unique(srids[present]):
            reprojection = self._reprojection_from(f"EPSG:{srid}") if srid > 0 else self._reprojection
            if reprojection is None:
                continue
            moved = True
            rows = np.flatnonzero(present & (srids == srid))
            before = _finite(shapes[rows])
            shapes[rows] = self._transformed(reprojection, shapes[rows])
            for row in rows[before & ~_finite(shapes[rows])]:
                reasons.setdefault(int(row), f"lies outside of what EPSG:{self.geometry.srid} can show")
        return moved

    def _transformed(self, reprojection: Reprojection, shapes: Array) -> Array:
        with_z = "Z" in self.geometry.dimensions
        if "M" in self.geometry.dimensions and shapely.has_m(shapes).any():
            return coordinates.move(shapes, lambda xy: reprojection.moved(xy))

        def move(values: Array) -> Array:
            return np.column_stack([reprojection.moved(values[:, :2]), values[:, 2:]])

        transformed: Array = shapely.transform(shapes, move, include_z=with_z)
        return transformed

    def _must_encode(self, shapes: Array, kinds: Array) -> bool:
        """Whether the WKB that was read is not what has to be loaded."""
        if bool((shapely.get_srid(shapes) > 0).any()):
            return True
        if self.geometry.type == "MultiPolygon" and bool(_alone(shapes, kinds).any()):
            return True
        drop_z, drop_m = "Z" not in self.geometry.dimensions, "M" not in self.geometry.dimensions
        return bool((drop_z and shapely.has_z(shapes).any()) or (drop_m and shapely.has_m(shapes).any()))

    def _encoded(self, shapes: Array) -> Array:
        """WKB with the declared dimensions, as far as the shapes have them; PostGIS adds those that lack."""
        if self.geometry.type == "MultiPolygon":
            # as polygons.py encodes it: a content key must not depend on the batch around a row
            alone = _alone(shapes, shapely.get_type_id(shapes))
            shapes[alone] = shapely.get_geometry(shapes[alone], 0)
        dimensions = self.geometry.dimensions
        encoded: Array = shapely.to_wkb(shapes, output_dimension=4 if "M" in dimensions else 2, flavor="iso")
        if dimensions == "XYZ":
            high = shapely.has_z(shapes)
            encoded[high] = shapely.to_wkb(shapes[high], output_dimension=3, flavor="iso")
        return encoded

    @staticmethod
    def _refuse(reasons: dict[int, str], rows: Array, reason: str) -> None:
        for index in np.flatnonzero(rows):
            reasons.setdefault(int(index), reason)


def _good(rings: polygons.Rings) -> Array:
    """Which rings have no fault."""
    good = polygons.finite(rings)
    doubtful = np.flatnonzero(good & ~polygons.surely_valid(rings))
    good[doubtful] = shapely.is_valid(polygons.shapes(polygons.keep_rows(rings, doubtful)))
    return good


def _finite(shapes: Array, dimension: str = "XY") -> Array:
    """Whether every x and y, or every height or measure, of a shape is a number; bounds would pass over NaN."""
    if dimension != "XY":
        having = shapely.has_z(shapes) if dimension == "Z" else shapely.has_m(shapes)
        shapes = shapes.copy()
        shapes[~having] = None
    values, owners = shapely.get_coordinates(
        shapes, include_z=dimension == "Z", include_m=dimension == "M", return_index=True
    )
    values = values if dimension == "XY" else values[:, -1:]
    finite = np.ones(len(shapes), dtype=bool)
    finite[owners[~np.isfinite(values).all(axis=1)]] = False
    return finite


def _alone(shapes: Array, kinds: Array) -> Array:
    """Which are multipolygons of one polygon."""
    alone: Array = (kinds == _TYPE.MULTIPOLYGON) & (shapely.get_num_geometries(shapes) == 1)
    return alone


def _is_polygon(wkb: bytes) -> bool:
    # polygons.decode takes little-endian ISO WKB and EWKB only
    return (int.from_bytes(wkb[1:5], "little") & 0x1FFFFFFF) % 1000 == polygons.POLYGON


def _repair(shape: shapely.Geometry) -> shapely.Geometry | None:
    """The polygons of a repaired (multi)polygon, or None when no area is left."""
    mended = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    parts = [part for part in shapely.get_parts([mended]) if part.geom_type in {"Polygon", "MultiPolygon"}]
    polygons = [part for part in shapely.get_parts(parts) if not part.is_empty]
    if not polygons:
        return None
    repaired = shapely.multipolygons(polygons)
    # parts that touch along an edge make no valid multipolygon: their union does
    return repaired if shapely.is_valid(repaired) else _valid_union(polygons)


def _valid_union(polygons: list[shapely.Geometry]) -> shapely.Geometry | None:
    union = shapely.union_all(polygons)
    usable = union.geom_type in {"Polygon", "MultiPolygon"} and not union.is_empty and shapely.is_valid(union)
    return union if usable else None
