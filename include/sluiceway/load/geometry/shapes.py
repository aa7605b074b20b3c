"""Shapes out of a batch: from WKB, from texts (WKT, hex WKB, GeoJSON) or from two columns x and y."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from sluiceway.errors import SchemaDriftError
from sluiceway.load.geometry.nesting import REASON, is_too_deep
from sluiceway.sources.extraction import family
from sluiceway.tables.source_spec import TextValues
from sluiceway.tables.spec import TableSpec

Array = np.ndarray[Any, Any]

LINEARISE = "which is not loaded; make straight lines of it first: ogr2ogr -nlt CONVERT_TO_LINEAR"
OPEN = "has an open ring: its last point is not its first; close it"
_CURVES = {
    8: "CircularString",
    9: "CompoundCurve",
    10: "CurvePolygon",
    11: "MultiCurve",
    12: "MultiSurface",
    13: "Curve",
    14: "Surface",
}
_SURFACES = {15: "PolyhedralSurface", 16: "TIN", 17: "Triangle"}
_BY_WORD = {name.upper(): number for number, name in (_CURVES | _SURFACES).items()}
_EWKB_FLAGS = 0xE0000000
_SHOWN = 40

_HEX = re.compile(r"(?:00|01)(?:[0-9A-Fa-f]{2})+")
_EWKT = re.compile(r"\s*SRID\s*=\s*(\d+)\s*;", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")
# as load/cast.py reads numbers
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"


@dataclass
class Shapes:
    """The shapes of some rows."""

    shapes: Array
    """None where there is none, or none that can be read."""
    given: Array
    """Where the source holds something."""
    reasons: dict[int, str]
    """Index of a row whose value cannot be read -> why."""
    wkb: pa.Array | None = None
    """The WKB that they were read from."""


def wkb_of(spec: TableSpec, batch: pa.RecordBatch) -> pa.Array | None:
    """The geometry column where it holds WKB; None for texts and for x and y."""
    assert spec.geometry is not None
    if spec.geometry.column not in batch.schema.names:
        return None
    values = batch.column(spec.geometry.column)
    if family(values.type) != "binary":
        return None
    return values if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type) else values.cast("binary")


def from_wkb(wkb: pa.Array) -> Shapes:
    """Shapes of a binary array of WKB or EWKB; null is none."""
    values = wkb.to_numpy(zero_copy_only=False)
    shapes = parsed(shapely.from_wkb, values)
    given = ~np.asarray(wkb.is_null().to_numpy(zero_copy_only=False))
    unread = np.flatnonzero(given & shapely.is_missing(shapes))
    return Shapes(shapes, given, {int(index): _why_no_wkb(values[index]) for index in unread}, wkb)


def parsed(parse: Any, values: Array) -> Array:
    """Shapes of WKB or of texts; None for what cannot be read, or is dangerous to read.

    :param parse: shapely.from_wkb, from_wkt or from_geojson.
    """
    deep = [index for index, value in enumerate(values) if value is not None and is_too_deep(value)]
    if deep:
        values = values.copy()
        values[deep] = None
    try:
        shapes: Array = parse(values, on_invalid="ignore")
    except NotImplementedError:
        # a curve among them ends the whole call
        shapes = np.array([_parsed_alone(parse, value) for value in values], dtype=object)
    for index in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        if _holds_curve(shapes[index]):
            shapes[index] = None
    return shapes


def _parsed_alone(parse: Any, value: object) -> object:
    try:
        return parse(value, on_invalid="ignore")
    except NotImplementedError:
        return None


def _why_no_wkb(value: bytes) -> str:
    if is_too_deep(value):
        return REASON
    if len(value) < 5 or value[0] > 1:
        return "is no readable WKB"
    kind = (int.from_bytes(value[1:5], "little" if value[0] else "big") & ~_EWKB_FLAGS) % 1000
    if kind == shapely.GeometryType.GEOMETRYCOLLECTION and shapely.from_wkb(value, on_invalid="ignore") is not None:
        return f"holds a curve, {LINEARISE}"
    return _why_no_kind(kind) or _why_open(shapely.from_wkb, value) or "is no readable WKB"


def _why_open(parse: Any, value: bytes | str) -> str | None:
    try:
        parse(value)
    except shapely.errors.GEOSException as error:
        return OPEN if "closed" in str(error) else None
    return None


def _holds_curve(collection: shapely.Geometry) -> bool:
    """shapely parses curves inside of a collection, and refuses each operation on it."""
    try:
        shapely.get_coordinates(collection)
    except shapely.errors.GEOSException:
        return True
    return False


def _why_no_kind(kind: int) -> str | None:
    if kind in _CURVES:
        return f"is a {_CURVES[kind]}, {LINEARISE}"
    if kind in _SURFACES:
        return f"is a {_SURFACES[kind]}, a surface in space, which is not loaded; make a MultiPolygon of it first"
    return None


def from_batch(spec: TableSpec, batch: pa.RecordBatch) -> Shapes:
    """Shapes of a batch's geometry, whatever holds it.

    :raises SchemaDriftError: the column's type is none that can hold a geometry.
    """
    assert spec.geometry is not None
    name = spec.geometry.column
    if name not in batch.schema.names and spec.geometry.x is not None:
        return _from_xy(spec, batch)
    values = batch.column(name)
    kind = family(values.type)
    if kind == "text":
        return _from_texts(values, spec.source)
    if values.null_count == len(values):
        return Shapes(np.full(len(values), None, dtype=object), np.zeros(len(values), dtype=bool), {})
    if kind == "binary":
        return from_wkb(values)
    raise SchemaDriftError(
        f"{spec.name}: the geometry column {spec.geometry.source or name!r} holds {values.type} values, neither WKB "
        f"nor text. Adapt [geometry] or the source."
    )


def _from_texts(values: pa.Array, marks: TextValues) -> Shapes:
    texts: list[str | None] = [_stripped(value, marks) for value in values.to_pylist()]
    given = np.array([text is not None for text in texts], dtype=bool)
    shapes = np.full(len(texts), None, dtype=object)
    srids: dict[int, int] = {}
    parsers: dict[Any, list[int]] = {shapely.from_wkb: [], shapely.from_geojson: [], shapely.from_wkt: []}
    for index, text in enumerate(texts):
        if text is None:
            continue
        if text[0] == "{":
            parsers[shapely.from_geojson].append(index)
        elif _HEX.fullmatch(text):
            parsers[shapely.from_wkb].append(index)
        else:
            if prefix := _EWKT.match(text):
                srids[index] = int(prefix[1])
                texts[index] = text[prefix.end() :]
            parsers[shapely.from_wkt].append(index)
    for parse, indexes in parsers.items():
        if indexes:
            shapes[indexes] = parsed(parse, np.array([texts[index] for index in indexes], dtype=object))
    for index, srid in srids.items():
        shapes[index] = shapely.set_srid(shapes[index], srid)
    unread = np.flatnonzero(given & shapely.is_missing(shapes))
    return Shapes(shapes, given, {int(index): _why_no_text(str(texts[index])) for index in unread})


def _stripped(value: str | None, marks: TextValues) -> str | None:
    if value is None or value in marks.null:
        return None
    return value.strip() or None


def _why_no_text(text: str) -> str:
    if _HEX.fullmatch(text):
        return _why_no_wkb(bytes.fromhex(text))
    if is_too_deep(text):
        return REASON
    word = _WORD.match(text.lstrip())
    known = _why_no_kind(_BY_WORD.get(word[0].upper(), 0)) if word else None
    if known is None and any(each.upper() in _BY_WORD for each in _WORD.findall(text)):
        return f"holds a curve, {LINEARISE}"
    parse = shapely.from_geojson if text.startswith("{") else shapely.from_wkt
    return known or _why_open(parse, text) or f"is no readable WKT, WKB or GeoJSON: {text[:_SHOWN]!r}"


def _from_xy(spec: TableSpec, batch: pa.RecordBatch) -> Shapes:
    assert spec.geometry is not None
    (x, x_given, bad_x), (y, y_given, bad_y) = (
        _numbers(spec, batch.column(f"{spec.geometry.column}.{axis}"), source)
        for axis, source in (("x", spec.geometry.x), ("y", spec.geometry.y))
    )
    reasons = {index: f"y is no number: {shown}" for index, shown in bad_y.items()}
    reasons |= {index: f"x is no number: {shown}" for index, shown in bad_x.items()}
    for alone, name, other in ((x_given & ~y_given, "y", "x"), (y_given & ~x_given, "x", "y")):
        for index in np.flatnonzero(alone):
            reasons.setdefault(int(index), f"{name} is null and {other} is not")
    given = x_given | y_given
    good = given.copy()
    good[list(reasons)] = False
    shapes = np.full(len(x), None, dtype=object)
    shapes[good] = shapely.points(x[good], y[good])
    return Shapes(shapes, given, reasons)


def _numbers(spec: TableSpec, values: pa.Array, column: str | None) -> tuple[Array, Array, dict[int, str]]:
    """The numbers of a column, where it holds something, and what is no number: index -> as it is spelled."""
    kind = family(values.type)
    if kind == "number":
        numbers = _floats(values.cast(pa.float64()))
        given = ~_mask(pc.is_null(values))
        bad = given & ~np.isfinite(numbers)
    elif kind == "text":
        texts = pc.utf8_trim_whitespace(values)
        nothing = _mask(pc.or_kleene(pc.is_null(texts), pc.fill_null(pc.equal(texts, ""), fill_value=True)))
        if spec.source.null:
            nothing |= _mask(pc.is_in(values, value_set=pa.array(spec.source.null, type=values.type)))
        if spec.source.thousands:
            texts = pc.replace_substring(texts, spec.source.thousands, "")
        plain = texts if spec.source.decimal == "." else pc.replace_substring(texts, spec.source.decimal, ".")
        is_number = _mask(pc.fill_null(pc.match_substring_regex(plain, _NUMBER), fill_value=False))
        if spec.source.decimal != ".":
            # 1.5 is no number where 1,5 is one
            is_number &= ~_mask(pc.fill_null(pc.match_substring(texts, "."), fill_value=False))
        given = ~nothing
        numbers = _floats(
            pc.if_else(pa.array(is_number & given), plain, pa.scalar(None, plain.type)).cast(pa.float64())
        )
        bad = given & ~np.isfinite(numbers)
    elif values.null_count == len(values):
        return np.full(len(values), np.nan), np.zeros(len(values), dtype=bool), {}
    else:
        raise SchemaDriftError(
            f"{spec.name}: column {column!r} holds {values.type} values, no coordinates. Adapt [geometry] or the "
            f"source."
        )
    return numbers, given, {int(index): repr(str(values[int(index)].as_py())[:_SHOWN]) for index in np.flatnonzero(bad)}


def _floats(values: pa.Array) -> Array:
    found: Array = values.to_numpy(zero_copy_only=False)
    return found


def _mask(values: pa.Array) -> Array:
    found: Array = np.asarray(values.to_numpy(zero_copy_only=False), dtype=bool)
    return found
