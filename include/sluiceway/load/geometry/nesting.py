"""How deep the collections of a geometry lie in one another, found before a geometry library sees it.

GEOS reads what lies in a collection by recursion: some thousands of levels end the process that reads them.
"""

from __future__ import annotations

import struct

import numpy as np

DEEPEST = 32
"""Levels of collections; a multipolygon in a collection has two."""
_DEEPEST_TEXT = DEEPEST + 2
"""A polygon in as many collections has two brackets more."""
_LEAST_BYTES = 9
"""Of a level in WKB: byte order, kind, count."""
_POINT, _POLYGON = 1, 3
_OF_POINTS = frozenset({2, 8})
"""LineString and CircularString."""
_OF_GEOMETRIES = frozenset({4, 5, 6, 7, 9, 10, 11, 12})
_Z, _M, _SRID = 0x80000000, 0x40000000, 0x20000000
REASON = f"lies more than {DEEPEST} collections deep"


def is_too_deep(geometry: bytes | str) -> bool:
    """Whether WKB, EWKB, or a text (hexadecimal digits of them, WKT, GeoJSON) lies deeper than DEEPEST."""
    if isinstance(geometry, bytes):
        return len(geometry) > DEEPEST * _LEAST_BYTES and _is_wkb_too_deep(geometry)
    if len(geometry) <= DEEPEST:
        return False
    if geometry[:2] in {"00", "01"}:
        try:
            return is_too_deep(bytes.fromhex(geometry))
        except ValueError:
            return False
    characters = np.frombuffer(geometry.encode("utf-8", "replace"), dtype=np.uint8)
    steps = np.isin(characters, (40, 91, 123)).astype(np.int64) - np.isin(characters, (41, 93, 125))
    return bool(steps.cumsum().max() > _brackets(geometry))


def _brackets(geometry: str) -> int:
    """Levels of brackets that a text may have: a collection in GeoJSON is an object in a list."""
    return 2 * _DEEPEST_TEXT if geometry.lstrip()[:1] == "{" else _DEEPEST_TEXT


def _is_wkb_too_deep(wkb: bytes) -> bool:
    """As GEOS's WKBReader walks through it; what that refuses is not deep."""
    order, offset = "<", 0
    left: list[int] = [1]
    try:
        while left:
            if not left[-1]:
                left.pop()
                continue
            left[-1] -= 1
            # any other byte leaves the order as it was
            order = {0: ">", 1: "<"}.get(wkb[offset], order)
            (kind,) = struct.unpack_from(f"{order}I", wkb, offset + 1)
            offset += 9 if kind & _SRID else 5
            code, iso = (kind & 0xFFFF) % 1000, (kind & 0xFFFF) // 1000
            point = 8 * (2 + bool(kind & _Z or iso in {1, 3}) + bool(kind & _M or iso in {2, 3}))
            if code == _POINT:
                offset += point
                continue
            (count,) = struct.unpack_from(f"{order}I", wkb, offset)
            offset += 4
            if code in _OF_GEOMETRIES:
                left.append(count)
                if len(left) > DEEPEST + 1:
                    return True
            elif code in _OF_POINTS:
                offset += count * point
            elif code == _POLYGON:
                for _ in range(count):
                    (points,) = struct.unpack_from(f"{order}I", wkb, offset)
                    offset += 4 + points * point
            else:
                return False
    except (IndexError, struct.error):
        return False
    return False
