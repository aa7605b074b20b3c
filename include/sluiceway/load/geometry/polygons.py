"""WKB polygons of one ring as plain arrays: decoded, proved valid and encoded without building geometries.

Nearly every row of a land-use or parcel layer is one. For those that this module cannot prove valid, shapely decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

Array = np.ndarray[Any, Any]

POLYGON, MULTIPOLYGON = 3, 6
_DIMENSIONS = {
    # ISO: Z, M and ZM are added
    0: 2,
    1000: 3,
    2000: 3,
    3000: 4,
    # EWKB: Z and M are flags
    0x80000000: 3,
    0x40000000: 3,
    0xC0000000: 4,
}
_POLYGON_HEADER = 13
"""Byte order, type, number of rings, number of points."""
_MULTIPOLYGON_HEADER = 9
"""Byte order, type, number of polygons; before the polygon's own."""
_TO_THE_END = 2**31 - 1
"""Without an end Arrow's slice miscounts its buffer."""
MARGIN = 1e-9
"""How far from straight a corner must be to be sure of its side, against the ring's size squared."""


@dataclass(frozen=True)
class Rings:
    """The rings of some rows, without heights and measures."""

    rows: Array
    """Which rows of the batch these are, as indexes."""
    xy: Array
    """All points, shape (n, 2)."""
    starts: Array
    """Where each ring begins in `xy`, and the end: shape (rows + 1,)."""


def decode(wkb: pa.Array) -> Rings:
    """The rows of a binary array that hold a polygon, or a multipolygon of one polygon, of one closed ring.

    All of them have the dimension that the first one has.
    """
    form = _form(*_buffers(wkb))
    if form is None:
        return _nothing()
    good, header, width = form
    rows = np.flatnonzero(good)
    if not len(rows):
        return _nothing()
    rows_only = wkb if len(rows) == len(wkb) else wkb.filter(pa.array(good))
    data, offsets = _buffers(pc.binary_slice(rows_only, header, _TO_THE_END))
    values = data[offsets[0] : offsets[-1]].view("<f8").reshape(-1, width // 8)
    starts = (offsets - offsets[0]) // width
    xy = np.ascontiguousarray(values[:, :2])
    closed = (xy[starts[:-1]] == xy[starts[1:] - 1]).all(axis=1)
    rings = Rings(rows, xy, starts)
    return rings if closed.all() else keep(rings, closed)


def _buffers(wkb: pa.Array) -> tuple[Array, Array]:
    """The bytes of a binary array, and where each value begins and the last one ends."""
    data = np.frombuffer(wkb.buffers()[2] or b"", dtype=np.uint8)
    wide = pa.types.is_large_binary(wkb.type)
    offsets = np.frombuffer(wkb.buffers()[1], dtype=np.int64 if wide else np.int32)
    return data, offsets[wkb.offset : wkb.offset + len(wkb) + 1].astype(np.int64)


def _form(data: Array, offsets: Array) -> tuple[Array, int, int] | None:
    """Which rows have one ring, their headers' length and the bytes of a point; None when the first has not."""
    lengths = np.diff(offsets)
    good = lengths >= _POLYGON_HEADER + 4 * 16
    if not good.any():
        return None
    first = int(np.argmax(good))
    kind = int(_integers(data, offsets[first : first + 1] + 1)[0])
    outer = 0 if kind - POLYGON in _DIMENSIONS else _MULTIPOLYGON_HEADER
    flags = kind - (MULTIPOLYGON if outer else POLYGON)
    if flags not in _DIMENSIONS:
        return None
    header, width = outer + _POLYGON_HEADER, _DIMENSIONS[flags] * 8
    # nothing is read behind the end of a value: what is too short is out before
    good = lengths >= header + 4 * width
    rows = np.flatnonzero(good)
    begins = offsets[:-1][rows]
    fits = (_integers(data, begins + 1) == kind) & (data[begins] == 1)
    if outer:
        fits &= (_integers(data, begins + 5) == 1) & (data[begins + outer] == 1)
        fits &= _integers(data, begins + outer + 1) == POLYGON + flags
    fits &= _integers(data, begins + outer + 5) == 1
    fits &= lengths[rows] == header + _integers(data, begins + outer + 9) * width
    good[rows] = fits
    return good, header, width


def _nothing() -> Rings:
    return Rings(np.empty(0, np.int64), np.empty((0, 2)), np.zeros(1, np.int64))


def _integers(data: Array, at: Array) -> Array:
    """Little-endian 32-bit numbers that stand anywhere."""
    found: Array = np.ascontiguousarray(data[at[:, None] + np.arange(4)]).view("<u4").reshape(-1).astype(np.int64)
    return found


def keep(rings: Rings, wanted: Array) -> Rings:
    """Those rings of which `wanted` is true."""
    points = np.diff(rings.starts)
    return Rings(
        rings.rows[wanted],
        rings.xy[np.repeat(wanted, points)],
        np.concatenate(([0], np.cumsum(points[wanted]))),
    )


def keep_rows(rings: Rings, indexes: Array) -> Rings:
    """Those rings, by their index among the rings."""
    wanted = np.zeros(len(rings.rows), dtype=bool)
    wanted[indexes] = True
    return keep(rings, wanted)


def moved(rings: Rings, xy: Array) -> Rings:
    """The rings with other coordinates."""
    return Rings(rings.rows, xy, rings.starts)


def finite(rings: Rings) -> Array:
    """Which rings have numbers only."""
    if not len(rings.rows):
        return np.empty(0, dtype=bool)
    if np.isfinite(rings.xy).all():
        return np.ones(len(rings.rows), dtype=bool)
    each = np.isfinite(rings.xy).all(axis=1)
    whole: Array = np.logical_and.reduceat(each, rings.starts[:-1])
    return whole


def shapes(rings: Rings) -> Array:
    """The rings as shapely polygons."""
    if not len(rings.rows):
        return np.empty(0, dtype=object)
    offsets = (rings.starts, np.arange(len(rings.rows) + 1))
    built: Array = shapely.from_ragged_array(shapely.GeometryType.POLYGON, rings.xy, offsets)
    return built


def surely_valid(rings: Rings) -> Array:
    """Which rings are star-shaped as seen from the mean of their corners: such a ring cannot cross or touch itself.

    False says nothing. Every corner must lie clearly further round than the one before, and the ring goes round once.
    """
    first, end = rings.starts[:-1], rings.starts[1:]
    if not len(first):
        return np.empty(0, dtype=bool)
    points = end - first
    centre = (np.add.reduceat(rings.xy, first) - rings.xy[first]) / (points - 1)[:, None]
    x, y = (rings.xy - np.repeat(centre, points, axis=0)).T
    inside = np.ones(len(x), dtype=bool)
    inside[end - 1] = False  # from the end of a ring to the next one's begin is no edge
    turn = np.zeros(len(x))
    turn[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    clear = MARGIN * np.maximum.reduceat(x * x + y * y, first)
    left = np.minimum.reduceat(np.where(inside, turn, np.inf), first) > clear
    right = np.maximum.reduceat(np.where(inside, turn, -np.inf), first) < -clear
    up = y > 0
    crosses = np.zeros(len(x), dtype=bool)
    crosses[:-1] = up[:-1] != up[1:]
    once: Array = np.add.reduceat(crosses & inside, first) == 2
    return (left | right) & once


def encode(rings: Rings) -> pa.Array:
    """The rings as a binary array of two-dimensional WKB polygons."""
    points = np.diff(rings.starts)
    headers = np.zeros((len(points), _POLYGON_HEADER), dtype=np.uint8)
    headers[:, 0] = 1
    headers[:, 1] = POLYGON
    headers[:, 5] = 1
    headers[:, 9:] = points.astype("<u4").view(np.uint8).reshape(-1, 4)
    header_starts = np.arange(len(points) + 1) * _POLYGON_HEADER
    body = np.ascontiguousarray(rings.xy, dtype="<f8")
    joined: pa.Array = pc.binary_join_element_wise(
        _binary(headers, header_starts), _binary(body, rings.starts * 16), pa.scalar(b"", pa.binary())
    )
    return joined


def _binary(data: Array, starts: Array) -> pa.Array:
    buffers = [None, pa.py_buffer(starts.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, buffers)
