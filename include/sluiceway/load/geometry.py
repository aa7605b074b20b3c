"""Cleans a batch's geometry before it travels: kind, validity, CRS and dimension.

Done on this side, row by row, because one bad geometry inside PostGIS would end the whole transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import shapely

from sluiceway.errors import SourceUnreadableError
from sluiceway.load import polygons
from sluiceway.tables.spec import Geometry, TableSpec

_KINDS = {
    "Point": (shapely.GeometryType.POINT,),
    "MultiPoint": (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT),
    "MultiLineString": (shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING),
    "MultiPolygon": (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON),
}


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

    @cached_property
    def _transformer(self) -> pyproj.Transformer | None:
        """From the file's CRS to the target's; None when they are the same.

        The file's own CRS wins over the assumed one.

        :raises SourceUnreadableError: neither the file nor the spec says the CRS.
        """
        known = self.file_crs or self.geometry.source_crs
        if known is None:
            raise SourceUnreadableError(
                f"{self.spec.name}: the file does not say its CRS; declare geometry.source_crs, such as 'EPSG:4269'"
            )
        try:
            source, target = pyproj.CRS.from_user_input(known), pyproj.CRS.from_epsg(self.geometry.srid)
        except pyproj.exceptions.CRSError as error:
            raise SourceUnreadableError(f"{self.spec.name}: CRS {known!r}: {error}") from error
        if source.equals(target, ignore_axis_order=True):
            return None
        return pyproj.Transformer.from_crs(source, target, always_xy=True)

    def clean(self, wkb: pa.Array) -> Cleaned:
        """Check and mend one batch of WKB (binary array, null allowed)."""
        rings = self._good_rings(wkb) if self.geometry.type == "MultiPolygon" else None
        if rings is None or not len(rings.rows):
            return self._clean_shapes(wkb)
        encoded = polygons.encode(rings)
        if len(rings.rows) == len(wkb):
            return Cleaned(encoded, {}, 0)
        others = np.setdiff1d(np.arange(len(wkb)), rings.rows)
        cleaned = self._clean_shapes(wkb.take(pa.array(others)))
        order = np.argsort(np.concatenate([rings.rows, others]))
        return Cleaned(
            pa.concat_arrays([encoded, cleaned.wkb.cast(pa.binary())]).take(pa.array(order)),
            {int(others[index]): reason for index, reason in cleaned.reasons.items()},
            cleaned.repaired,
        )

    def _good_rings(self, wkb: pa.Array) -> polygons.Rings:
        """The rows that are plain rings without a fault, in the target's CRS. No geometry is built for most of them."""
        rings = polygons.decode(wkb)
        good = polygons.finite(rings)
        doubtful = np.flatnonzero(good & ~polygons.surely_valid(rings))
        good[doubtful] = shapely.is_valid(polygons.shapes(polygons.keep_rows(rings, doubtful)))
        if not good.all():
            rings = polygons.keep(rings, good)
        if self._transformer is None:
            return rings
        moved = polygons.moved(rings, np.column_stack(self._transformer.transform(rings.xy[:, 0], rings.xy[:, 1])))
        good = polygons.finite(moved)
        return moved if good.all() else polygons.keep(moved, good)

    def _clean_shapes(self, wkb: pa.Array) -> Cleaned:
        transformer = self._transformer
        shapes = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False), on_invalid="ignore")
        given = ~np.asarray(wkb.is_null().to_numpy(zero_copy_only=False))
        reasons: dict[int, str] = {}
        self._refuse(reasons, given & shapely.is_missing(shapes), "is no readable WKB")
        missing = ~given | (shapely.is_empty(shapes) & ~shapely.is_missing(shapes))
        if self.geometry.required:
            self._refuse(reasons, missing, "is null or empty")
        present = ~shapely.is_missing(shapes) & ~missing
        kinds = shapely.get_type_id(shapes)
        for index in np.flatnonzero(present & ~np.isin(kinds, _KINDS[self.geometry.type])):
            reasons[int(index)] = f"is a {shapes[index].geom_type}, not a {self.geometry.type}"
        finite = _finite(shapes)
        self._refuse(reasons, present & ~finite, "has a coordinate that is no number")
        changed = bool(np.any(missing & given))
        shapes[missing] = None

        repaired = 0
        if self.geometry.type == "MultiPolygon":
            usable = present.copy()
            usable[list(reasons)] = False
            for index in np.flatnonzero(usable & ~shapely.is_valid(shapes)):
                mended = _repair(shapes[index]) if self.geometry.invalid == "repair" else None
                if mended is None:
                    reasons[int(index)] = f"is invalid: {shapely.is_valid_reason(shapes[index])}"
                else:
                    shapes[index], repaired = mended, repaired + 1
        if transformer is not None:
            shapes = shapely.transform(shapes, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))
            outside = present & ~_finite(shapes)
            self._refuse(reasons, outside & finite, f"lies outside of what EPSG:{self.geometry.srid} can show")
        if not (changed or repaired or transformer is not None or _has_more_than_xy(shapes)):
            return Cleaned(wkb, reasons, repaired)
        encoded = shapely.to_wkb(shapes, output_dimension=2)
        return Cleaned(pa.array(encoded, type=pa.binary()), reasons, repaired)

    @staticmethod
    def _refuse(reasons: dict[int, str], rows: np.ndarray[Any, Any], reason: str) -> None:
        for index in np.flatnonzero(rows):
            reasons.setdefault(int(index), reason)


def _finite(shapes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether every coordinate of a shape is a number; bounds would pass over NaN."""
    coordinates, owners = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), dtype=bool)
    finite[owners[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _has_more_than_xy(shapes: np.ndarray[Any, Any]) -> bool:
    return bool(shapely.has_z(shapes).any() or shapely.has_m(shapes).any())


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
