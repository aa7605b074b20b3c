"""Curves as straight lines: circular arcs in the ISO WKB that GDAL gives, which neither GEOS nor the loader know.

GDAL's own way has one angle for all arcs, 4 degrees, so that the error grows with the radius. Here each arc gets
as many lines as keep it within a tolerance, and the three points by which it is given stay where they are.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sluiceway.amounts import counted

_LINE, _POLYGON, _COLLECTION = 2, 3, 7
_ARCS, _COMPOUND, _CURVE_POLYGON, _MULTI_CURVE, _MULTI_SURFACE = 8, 9, 10, 11, 12
_STRAIGHT = {_MULTI_CURVE: 5, _MULTI_SURFACE: 6}
_MAY_HOLD = (_COLLECTION, _ARCS, _COMPOUND, _CURVE_POLYGON, _MULTI_CURVE, _MULTI_SURFACE)
_DEEPEST = 32
_WIDEST = math.pi / 4
"""The most of a circle that one line may stand for, however large the tolerance."""

Points = list[tuple[float, ...]]


class TooManyPointsError(ValueError):
    """To stay within the tolerance a curve needs more points than it may have."""


@dataclass
class Straightener:
    """Makes the curves of a layer straight, and counts the shapes that had some."""

    tolerance: float | None
    """The most that a line may lie beside its arc, in units of the coordinates; None: curves stay what they are."""
    most_points: int
    """Of one shape."""
    count: Counter[str] = field(default_factory=Counter)
    """Of shapes that had `curves`."""

    def notes(self) -> dict[str, str]:
        """What a person should know."""
        if not self.count["curves"]:
            return {}
        said = f"the curves of {counted(self.count['curves'], 'shape')} were made straight, within {self.tolerance:g}"
        return {"curves": said}

    def straightened(self, shapes: pa.Array) -> pa.Array:
        """The shapes; those without a curve byte by byte, as well as what is no WKB.

        :raises TooManyPointsError: a shape would have more points than it may.
        """
        if self.tolerance is None:
            return shapes
        rows = np.flatnonzero(np.isin(_kinds(shapes), _MAY_HOLD))
        if not len(rows):
            return shapes
        values = shapes.to_pylist()
        for row in rows:
            straight = self._straight(values[row], self.tolerance)
            self.count["curves"] += straight is not None
            values[row] = straight or values[row]
        # pa.array of a list would import pandas
        lengths = np.array([len(value or b"") for value in values], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        given = np.packbits(np.array([value is not None for value in values]), bitorder="little")
        content = b"".join(value or b"" for value in values)
        buffers = [pa.py_buffer(each) for each in (given.tobytes(), offsets.tobytes(), content)]
        return pa.Array.from_buffers(pa.large_binary(), len(values), buffers)

    def _straight(self, wkb: bytes, tolerance: float) -> bytes | None:
        """None where there is no curve, or the WKB is broken: who reads it says so."""
        walk = _Walk(wkb, tolerance, self.most_points)
        try:
            straight = walk.shape(0)
        except (struct.error, IndexError, RecursionError):
            return None
        return straight if walk.curved else None


def _kinds(shapes: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The kind of each, 0 where there is none."""
    large = pa.types.is_large_binary(shapes.type)
    _, ends, content = shapes.buffers()
    width: type[np.int64 | np.int32] = np.int64 if large else np.int32
    offsets = np.frombuffer(ends, dtype=width)[shapes.offset :][: len(shapes) + 1].astype(np.int64)
    kinds = np.zeros(len(shapes), dtype=np.int64)
    if content is None:
        return kinds
    data = np.frombuffer(content, dtype=np.uint8)
    long = np.flatnonzero((offsets[1:] - offsets[:-1] >= 5) & shapes.is_valid().to_numpy(zero_copy_only=False))
    at = offsets[:-1][long]
    kinds[long] = (data[at + 1] + data[at + 2].astype(np.int64) * 256) % 1000
    return kinds


class _Walk:
    """One walk through the WKB of a shape."""

    def __init__(self, wkb: bytes, tolerance: float, most: int) -> None:
        self._wkb = wkb
        self._at = 0
        self._tolerance = tolerance
        self._left = most
        self.curved = False

    def shape(self, depth: int) -> bytes:
        """The shape that begins here, straight."""
        begin = self._at
        order, kind, dimensions = self._head()
        if depth > _DEEPEST:
            raise RecursionError
        if kind in (_ARCS, _COMPOUND):
            return _header(_LINE, dimensions, None) + _sequence(self._curve(order, kind, dimensions))
        if kind == _CURVE_POLYGON:
            self.curved = True
            rings = [self._ring() for _ in range(self._number(order))]
            return _header(_POLYGON, dimensions, len(rings)) + b"".join(map(_sequence, rings))
        if kind in (4, 5, 6, _COLLECTION, _MULTI_CURVE, _MULTI_SURFACE):
            self.curved |= kind in _STRAIGHT
            parts = [self.shape(depth + 1) for _ in range(self._number(order))]
            return _header(_STRAIGHT.get(kind, kind), dimensions, len(parts)) + b"".join(parts)
        if kind == 1:
            self._pass_over(1, dimensions)
        elif kind == _LINE:
            self._pass_over(self._number(order), dimensions)
        elif kind == _POLYGON:
            for _ in range(self._number(order)):
                self._pass_over(self._number(order), dimensions)
        else:
            raise struct.error
        if self._at > len(self._wkb):
            raise struct.error
        return self._wkb[begin : self._at]

    def _ring(self) -> Points:
        order, kind, dimensions = self._head()
        return self._curve(order, kind, dimensions)

    def _curve(self, order: str, kind: int, dimensions: int) -> Points:
        """The points of a line, of arcs, or of both in a row."""
        if kind == _COMPOUND:
            self.curved = True
            joined: Points = []
            for _ in range(self._number(order)):
                part = self._ring()
                joined += part[1:] if joined and part and joined[-1] == part[0] else part
            return joined
        if kind not in (_LINE, _ARCS):
            raise struct.error
        points = self._points(order, dimensions)
        if kind == _LINE:
            return points
        self.curved = True
        straight = points[:1]
        for start in range(0, len(points) - 2, 2):
            straight += self._arc(points[start : start + 3])[1:]
        return straight

    def _arc(self, three: Points) -> Points:
        """One arc. It is the same from either end, so that neighbours that share it still touch."""
        if three[2] < three[0]:
            return self._arc(three[::-1])[::-1]
        (ax, ay), (bx, by), (cx, cy) = (point[:2] for point in three)
        if (ax, ay) == (cx, cy):
            x, y, whole = (ax + bx) / 2, (ay + by) / 2, True
        else:
            found = _centre((ax, ay), (bx, by), (cx, cy))
            if found is None:
                return three
            (x, y), whole = found, False
        radius = math.hypot(ax - x, ay - y)
        first, middle, last = (math.atan2(py - y, px - x) for px, py in ((ax, ay), (bx, by), (cx, cy)))
        left = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) > 0
        turns = (math.pi, math.pi) if whole else (_turn(first, middle, left), _turn(middle, last, left))
        if not (radius > 0 and all(map(math.isfinite, (radius, *turns)))):
            return three
        step = min(_WIDEST, 2 * math.acos(max(0.0, 1 - self._tolerance / radius)) or math.sqrt(8e-16))
        straight = three[:1]
        for begin, end, angle, turn in ((three[0], three[1], first, turns[0]), (three[1], three[2], middle, turns[1])):
            count = max(1, math.ceil(abs(turn) / step))
            self._take(count)
            straight += list(_between(begin, end, (x, y, radius), angle, turn / count, count))
            straight.append(end)
        return straight

    def _head(self) -> tuple[str, int, int]:
        """Byte order, kind, and dimensions as ISO WKB counts them: 0, 1 (Z), 2 (M) or 3."""
        order = "<" if self._wkb[self._at] == 1 else ">"
        (code,) = struct.unpack_from(f"{order}I", self._wkb, self._at + 1)
        if code > 3999:
            # EWKB, which GDAL never gives
            raise struct.error
        self._at += 5
        return order, code % 1000, code // 1000

    def _number(self, order: str) -> int:
        (number,) = struct.unpack_from(f"{order}I", self._wkb, self._at)
        self._at += 4
        return int(number)

    def _points(self, order: str, dimensions: int) -> Points:
        count, width = self._number(order), _width(dimensions)
        if self._at + 8 * count * width > len(self._wkb):
            raise struct.error
        self._take(count)
        flat = struct.unpack_from(f"{order}{count * width}d", self._wkb, self._at)
        self._at += 8 * count * width
        return [flat[start : start + width] for start in range(0, len(flat), width)]

    def _pass_over(self, count: int, dimensions: int) -> None:
        self._at += 8 * count * _width(dimensions)

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooManyPointsError


def _width(dimensions: int) -> int:
    return (2, 3, 3, 4)[dimensions]


def _header(kind: int, dimensions: int, count: int | None) -> bytes:
    head = b"\x01" + struct.pack("<I", kind + 1000 * dimensions)
    return head if count is None else head + struct.pack("<I", count)


def _sequence(points: Sequence[tuple[float, ...]]) -> bytes:
    flat = [value for point in points for value in point]
    return struct.pack(f"<I{len(flat)}d", len(points), *flat)


def _centre(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> tuple[float, float] | None:
    """Of the circle through three points; None where they lie on a line."""
    # seen from a, for coordinates of millions of metres
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    twice = 2 * (bx * cy - by * cx)
    if twice == 0 or not math.isfinite(twice):
        return None
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    return a[0] + (cy * b2 - by * c2) / twice, a[1] + (bx * c2 - cx * b2) / twice


def _turn(begin: float, end: float, left: bool) -> float:
    """The angle from one direction to another, to the left (positive) or to the right."""
    return (end - begin) % math.tau if left else -((begin - end) % math.tau)


def _between(
    begin: tuple[float, ...],
    end: tuple[float, ...],
    circle: tuple[float, float, float],
    angle: float,
    step: float,
    count: int,
) -> Iterator[tuple[float, ...]]:
    """The points between two of an arc; heights and measures grow evenly."""
    x, y, radius = circle
    for number in range(1, count):
        share, direction = number / count, angle + number * step
        others = (low + (high - low) * share for low, high in zip(begin[2:], end[2:], strict=True))
        yield (x + radius * math.cos(direction), y + radius * math.sin(direction), *others)
