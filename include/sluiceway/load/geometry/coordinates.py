"""The coordinates of ISO WKB, moved in place: shapely moves shapes with measures only by losing these."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import shapely

Array = np.ndarray[Any, Any]

_POINT, _LINE, _POLYGON = 1, 2, 3
_HEADER = 5


def move(shapes: Array, to: Callable[[Array], Array]) -> Array:
    """The shapes with `to` applied to their x and y, shape (n, 2); heights and measures stay."""
    found = np.flatnonzero(~shapely.is_missing(shapes))
    moved = shapes.copy()
    encoded = [
        bytearray(shapely.to_wkb(shapes[index], output_dimension=4, byte_order=1, flavor="iso")) for index in found
    ]
    places = [_coordinates(wkb) for wkb in encoded]
    if not any(places):
        return moved
    pairs = np.array(
        [struct.unpack_from("<2d", wkb, at) for wkb, ats in zip(encoded, places, strict=True) for at in ats]
    )
    rows = iter(to(pairs).tolist())
    for wkb, ats in zip(encoded, places, strict=True):
        for at in ats:
            struct.pack_into("<2d", wkb, at, *next(rows))
    for index, wkb in zip(found, encoded, strict=True):
        moved[index] = shapely.from_wkb(bytes(wkb))
    return moved


def _coordinates(wkb: bytearray) -> list[int]:
    """Where the x of every coordinate stands."""
    found: list[int] = []
    _walk(wkb, 0, found)
    return found


def _walk(wkb: bytearray, at: int, found: list[int]) -> int:
    """Collect the coordinates of the geometry at `at`; returns where it ends."""
    code = int.from_bytes(wkb[at + 1 : at + _HEADER], "little")
    kind, width = code % 1000, 8 * (2, 3, 3, 4)[code // 1000]
    at += _HEADER
    if kind == _POINT:
        return _take(at, 1, width, found)
    count = int.from_bytes(wkb[at : at + 4], "little")
    at += 4
    if kind == _LINE:
        return _take(at, count, width, found)
    for _ in range(count):
        if kind == _POLYGON:
            points = int.from_bytes(wkb[at : at + 4], "little")
            at = _take(at + 4, points, width, found)
        else:
            at = _walk(wkb, at, found)
    return at


def _take(at: int, count: int, width: int, found: list[int]) -> int:
    end = at + count * width
    found.extend(range(at, end, width))
    return end
