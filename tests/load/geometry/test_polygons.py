"""Polygons as arrays: what is decoded, what is surely valid, what comes out again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon

from sluiceway.load.geometry import polygons

SQUARE = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)])
HOLED = Polygon(SQUARE.exterior, [[(1, 1), (1, 2), (2, 2)]])
BOW = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
SLIT = Polygon([(0, 0), (4, 0), (2, 0), (2, 4)])


def wkb(shapes: list[Any], **options: Any) -> pa.Array:
    return pa.array([None if shape is None else shapely.to_wkb(shape, **options) for shape in shapes], pa.binary())


def rows(shapes: list[Any], **options: Any) -> list[int]:
    found: list[int] = polygons.decode(wkb(shapes, **options)).rows.tolist()
    return found


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("high", [False, True])
def test_a_ring_is_decoded_and_encoded_without_its_height(flavor: str, high: bool) -> None:
    shapes = [shapely.force_3d(SQUARE, 7.0) if high else SQUARE] * 3
    rings = polygons.decode(wkb(shapes, flavor=flavor))
    assert rings.rows.tolist() == [0, 1, 2]
    assert [shapely.from_wkb(value.as_py()) for value in polygons.encode(rings)] == [SQUARE] * 3


def test_a_multipolygon_of_one_ring_is_a_ring_too() -> None:
    rings = polygons.decode(wkb([MultiPolygon([SQUARE]), MultiPolygon([SQUARE, HOLED]), MultiPolygon([HOLED])]))
    assert rings.rows.tolist() == [0]
    assert shapely.from_wkb(polygons.encode(rings)[0].as_py()) == SQUARE


@pytest.mark.parametrize(
    "other", [None, HOLED, Point(1, 2), Polygon(), MultiPolygon([SQUARE, SQUARE]), shapely.force_3d(SQUARE)]
)
def test_what_is_not_one_ring_of_the_first_ones_form_is_left_to_shapely(other: Any) -> None:
    assert rows([SQUARE, other, SQUARE]) == [0, 2]


@pytest.mark.parametrize("first", [None, HOLED, Point(1, 2), MultiPolygon([SQUARE, SQUARE])])
def test_only_rows_of_one_ring_are_decoded_whatever_comes_first(first: Any) -> None:
    assert set(rows([first, SQUARE])) <= {1}


@pytest.mark.parametrize("values", [[], [None, None], [b""], [b"\x01\x03"], [b"\x01\x03\x00\x00\x00" + b"\xff" * 90]])
def test_what_is_no_wkb_is_never_decoded(values: list[bytes | None]) -> None:
    assert not len(polygons.decode(pa.array(values, pa.binary())).rows)


def test_a_value_cut_off_is_not_decoded() -> None:
    whole = shapely.to_wkb(SQUARE)
    values = [whole, *(whole[:end] for end in range(len(whole)))]
    assert polygons.decode(pa.array(values, pa.binary())).rows.tolist() == [0]


def test_a_big_endian_value_is_left_to_shapely() -> None:
    assert rows([SQUARE], byte_order=0) == []


def test_a_ring_that_is_not_closed_is_left_to_shapely() -> None:
    value = bytearray(shapely.to_wkb(SQUARE))
    value[-1] ^= 0x40
    assert polygons.decode(pa.array([bytes(value)], pa.binary())).rows.tolist() == []


def test_a_slice_of_an_array_is_decoded_as_itself() -> None:
    shapes = [SQUARE, shapely.transform(SQUARE, lambda xy: xy + 9), HOLED, SQUARE]
    rings = polygons.decode(wkb(shapes).slice(1, 2))
    assert (rings.rows.tolist(), rings.xy.min()) == ([0], 9)


def surely_valid(shape: Any) -> bool:
    return bool(polygons.surely_valid(polygons.decode(wkb([shape])))[0])


def test_a_square_is_surely_valid_in_both_directions() -> None:
    assert surely_valid(SQUARE)
    assert surely_valid(SQUARE.reverse())


@pytest.mark.parametrize("shape", [BOW, SLIT, Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])])
def test_a_ring_that_crosses_or_touches_itself_is_not_surely_valid(shape: Any) -> None:
    assert not shapely.is_valid(shape)
    assert not surely_valid(shape)


def test_a_ring_that_goes_round_twice_is_not_surely_valid() -> None:
    turns = np.linspace(0, 4 * np.pi, 21)[:-1]
    spiral = Polygon(np.column_stack([np.cos(turns), np.sin(turns)]) * (1 + turns / 40)[:, None])
    assert not shapely.is_valid(spiral)
    assert not surely_valid(spiral)


coordinate = st.integers(-6, 6).map(float) | st.floats(-1e3, 1e3)


@given(st.lists(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9), min_size=1, max_size=9))
@settings(max_examples=400, deadline=None)
def test_what_is_surely_valid_is_valid(outlines: list[list[tuple[float, float]]]) -> None:
    shapes = [Polygon(outline) for outline in outlines]
    rings = polygons.decode(wkb(shapes))
    sure = polygons.surely_valid(rings)
    assert all(shapely.is_valid(shapes[row]) for row in rings.rows[sure])
