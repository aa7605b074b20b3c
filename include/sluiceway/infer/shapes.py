"""What a column's geometry is, from every one of its shapes: kind, dimensions, validity and extent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from sluiceway.infer.types import Types
from sluiceway.infer.values import SourceColumn, Values
from sluiceway.load.geometry.nesting import is_too_deep
from sluiceway.load.geometry.shapes import parsed

_WKT = r"(?i)(SRID=\d+;)?\s*(MULTI)?(POINT|LINESTRING|POLYGON)\s*(ZM|Z|M)?\s*(\(.*\)|EMPTY)\s*"
_HEX = r"0[01][0-9A-Fa-f]{40,}"
_GEOJSON = r'(?s)\s*\{.*"coordinates".*\}\s*'
TEXT_FORMS = (_WKT, _HEX, _GEOJSON)
_LONGITUDES = ("longitude", "lon", "lng", "long", "x", "easting", "coord_x", "x_coord", "point_x", "decimal_longitude")
_LATITUDES = ("latitude", "lat", "lat", "lat", "y", "northing", "coord_y", "y_coord", "point_y", "decimal_latitude")
_ENDINGS = (("longitude", "latitude"), ("lon", "lat"), ("lng", "lat"), ("long", "lat"))

_MULTI = {
    frozenset({"Point"}): "Point",
    frozenset({"MultiPoint"}): "MultiPoint",
    frozenset({"Point", "MultiPoint"}): "MultiPoint",
    frozenset({"LineString"}): "MultiLineString",
    frozenset({"MultiLineString"}): "MultiLineString",
    frozenset({"LineString", "MultiLineString"}): "MultiLineString",
    frozenset({"Polygon"}): "MultiPolygon",
    frozenset({"MultiPolygon"}): "MultiPolygon",
    frozenset({"Polygon", "MultiPolygon"}): "MultiPolygon",
}
"""A table of single parts takes multiple ones as well: the next delivery may hold them."""


@dataclass
class Shapes:
    """What was seen of a geometry."""

    rows: int = 0
    missing: int = 0
    """Null or empty."""
    unreadable: int = 0
    invalid: int = 0
    """Polygons whose rings cross or touch."""
    kinds: Counter[str] = field(default_factory=Counter)
    heights: int = 0
    """Shapes with heights that are not all 0."""
    flat: int = 0
    """Shapes whose heights are all 0 or no number."""
    without_height: int = 0
    measures: int = 0
    low: tuple[float, float] = (np.inf, np.inf)
    high: tuple[float, float] = (-np.inf, -np.inf)

    def add(self, geometry: pa.Array) -> None:
        """Look at some more: binary WKB, or a text of any form that the loader reads."""
        given = np.asarray(geometry.is_valid().to_numpy(zero_copy_only=False))
        shapes = _read(geometry)
        missing = shapely.is_missing(shapes)
        self.rows += len(geometry)
        self.unreadable += int((given & missing).sum())
        self.missing += int((~given | (~missing & shapely.is_empty(shapes))).sum())
        shapes = shapes[~missing & ~shapely.is_empty(shapes)]
        if not len(shapes):
            return
        self.kinds.update(shape.geom_type for shape in shapes)
        self.invalid += int((~shapely.is_valid(shapes) & np.isin(shapely.get_type_id(shapes), (3, 6, 7))).sum())
        self.measures += int(shapely.has_m(shapes).sum())
        high = shapely.has_z(shapes)
        self.without_height += int((~high).sum())
        self._see_heights(shapes[high])
        bounds = shapely.total_bounds(shapes)
        self.low = (float(np.fmin(self.low[0], bounds[0])), float(np.fmin(self.low[1], bounds[1])))
        self.high = (float(np.fmax(self.high[0], bounds[2])), float(np.fmax(self.high[1], bounds[3])))

    def _see_heights(self, shapes: np.ndarray[Any, Any]) -> None:
        if not len(shapes):
            return
        coordinates, owners = shapely.get_coordinates(shapes, include_z=True, return_index=True)
        high = np.unique(owners[np.isfinite(coordinates[:, 2]) & (coordinates[:, 2] != 0)])
        self.heights += len(high)
        self.flat += len(shapes) - len(high)

    @property
    def type(self) -> str:
        """The type of geometry that holds them all."""
        return _MULTI.get(frozenset(self.kinds), "Geometry")

    @property
    def dimensions(self) -> str:
        """XY and what else the shapes have."""
        return "XY" + ("Z" if self.heights else "") + ("M" if self.measures else "")

    @property
    def in_degrees(self) -> bool:
        """Whether the coordinates can be longitude and latitude, and are not so small that they rather count units."""
        inside = self.low[0] >= -180.0001 and self.high[0] <= 180.0001
        inside = inside and self.low[1] >= -90.0001 and self.high[1] <= 90.0001
        return bool(self.kinds) and inside


def _read(geometry: pa.Array) -> np.ndarray[Any, Any]:
    values = geometry.to_numpy(zero_copy_only=False)
    if pa.types.is_binary(geometry.type) or pa.types.is_large_binary(geometry.type):
        return parsed(shapely.from_wkb, values)
    return np.array([_from_text(value) for value in values], dtype=object)


def _from_text(text: str | None) -> Any:
    if text is None or not text.strip():
        return None
    text = text.strip()
    if is_too_deep(text):
        return None
    try:
        if text.startswith("{"):
            return shapely.from_geojson(text)
        if re.fullmatch(_HEX, text):
            return shapely.from_wkb(text)
        return shapely.from_wkt(re.sub(r"(?i)^SRID=\d+;", "", text))
    except shapely.GEOSException:
        return None


def geometry_in_text(values: Values, usable: Collection[str]) -> tuple[SourceColumn, Shapes] | None:
    """The first column of texts that are all geometries, among those that [geometry] can name."""
    for column in values.columns.values():
        if column.name not in usable or column.family not in {"text", "other"} or not _all_geometry(values, column):
            continue
        shapes = Shapes()
        for batch in values.batches(column):
            shapes.add(batch.column(0))
        if shapes.kinds and not shapes.unreadable:
            shapes.missing += values.rows - shapes.rows
            return column, shapes
    return None


def _all_geometry(values: Values, column: SourceColumn) -> bool:
    """Whether all values of a sample are of one form."""
    given = f"{column.sql} IS NOT NULL AND trim({column.sql}) <> ''"
    tests = [f"count(*) FILTER (regexp_full_match({column.sql}, '{form}'))" for form in TEXT_FORMS]
    total, *found = values.ask(["count(*)", *tests], where=given, sample=True)
    return bool(total) and total in found


def geometry_in_coordinates(
    values: Values, types: Types, names: Mapping[str, str], usable: Collection[str]
) -> tuple[SourceColumn, SourceColumn, Shapes] | None:
    """Two columns of numbers whose names say that they are longitude and latitude, or easting and northing."""
    by_name = {names[name]: name for name in types.columns if name in usable}
    pairs = [(x, y) for x, y in zip(_LONGITUDES, _LATITUDES, strict=True) if x in by_name and y in by_name]
    pairs += [
        (name, name.removesuffix(x) + y)
        for x, y in _ENDINGS
        for name in by_name
        if name.endswith(f"_{x}") and name.removesuffix(x) + y in by_name
    ]
    for x_name, y_name in pairs:
        x, y = values.columns[by_name[x_name]], values.columns[by_name[y_name]]
        if all(_is_number(types.columns[column.name].type) for column in (x, y)):
            return x, y, _points(values, types, x, y)
    return None


def _is_number(type_: str) -> bool:
    return type_ in {"integer", "double precision"} or type_.startswith("numeric")


def _points(values: Values, types: Types, x: SourceColumn, y: SourceColumn) -> Shapes:
    marks = types.marks

    def number(column: SourceColumn) -> str:
        text = f"trim({column.sql})"
        if marks.thousands:
            text = f"replace({text}, '{marks.thousands.replace(chr(39), chr(39) * 2)}', '')"
        return f"TRY_CAST(replace({text}, '{marks.decimal}', '.') AS DOUBLE)"

    given = f"({number(x)} IS NOT NULL AND {number(y)} IS NOT NULL)"
    found = values.ask(
        [
            f"count(*) FILTER ({given})",
            *(f"{function}({number(column)})" for function in ("min", "max") for column in (x, y)),
        ]
    )
    count, *corners = (float(str(each)) if each is not None else np.inf for each in found)
    shapes = Shapes(rows=values.rows, missing=values.rows - int(count))
    if count:
        shapes.kinds["Point"] = int(count)
        shapes.low, shapes.high = (corners[0], corners[1]), (corners[2], corners[3])
    return shapes
