"""Curves in WKB that nobody means well with: they stay what they are, for whoever reads the shape to refuse."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest

from sluiceway.sources.formats.vector.curves import Straightener, TooManyPointsError

ARC = b"\x01" + struct.pack("<II6d", 8, 3, 0, 0, 1, 1, 2, 0)


def within(kind: int, levels: int, shape: bytes = ARC) -> bytes:
    return (b"\x01" + struct.pack("<II", kind, 1)) * levels + shape


def straightened(shape: bytes, most_points: int = 1_000) -> bytes:
    (found,) = Straightener(0.01, most_points).straightened(pa.array([shape], pa.binary())).to_pylist()
    return bytes(found)


@pytest.mark.parametrize("kind", [7, 9, 11, 12])
def test_curves_deep_in_each_other_are_left_to_whoever_reads_them(kind: int) -> None:
    assert straightened(within(kind, 3)) != within(kind, 3)
    for levels in (2_000, 100_000):
        assert straightened(within(kind, levels)) == within(kind, levels)


@pytest.mark.parametrize(
    "shape", [struct.pack("<BII", 1, 8, 2**32 - 1), ARC[:-1], within(12, 1, b""), within(9, 1, b"")]
)
def test_a_curve_that_breaks_off_is_left_to_whoever_reads_it(shape: bytes) -> None:
    assert straightened(shape) == shape


def test_a_shape_becomes_no_more_points_than_it_may_have() -> None:
    count = struct.unpack_from("<I", straightened(ARC), 5)[0]
    # three of the arc are counted as they are read
    assert straightened(ARC, count + 2)
    with pytest.raises(TooManyPointsError):
        straightened(ARC, count + 1)
