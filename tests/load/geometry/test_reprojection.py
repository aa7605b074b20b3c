"""PROJ is left out where it would not move anything, and nowhere else."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest

from sluiceway.load.geometry.reprojection import Reprojection


def boxes_of_the_world(step: float) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    corners = [(x, y) for x in np.arange(-180, 180, step) for y in np.arange(-90, 90, step)]
    return [np.asarray(corner) + random.random((20, 2)) * step for corner in corners]


@pytest.mark.parametrize("source", ["EPSG:4269", "EPSG:4283", "EPSG:4258", "EPSG:4267", "EPSG:4326"])
@pytest.mark.parametrize("step", [4.0, 45.0])
def test_points_anywhere_lie_where_proj_puts_them(source: str, step: float) -> None:
    target = pyproj.CRS.from_epsg(4326)
    reprojection = Reprojection(pyproj.CRS.from_user_input(source), target)
    proj = pyproj.Transformer.from_crs(source, target, always_xy=True)
    for xy in boxes_of_the_world(step):
        np.testing.assert_array_equal(reprojection.moved(xy), np.column_stack(proj.transform(xy[:, 0], xy[:, 1])))


def test_points_of_the_american_mainland_stay_and_those_of_hawaii_move() -> None:
    reprojection = Reprojection(pyproj.CRS.from_epsg(4269), pyproj.CRS.from_epsg(4326))
    california, hawaii = np.array([[-121.5, 38.5], [-120.0, 36.0]]), np.array([[-157.8, 21.3]])
    assert reprojection.moved(california) is california
    assert (reprojection.moved(hawaii) != hawaii).any()


def test_a_coordinate_that_is_no_number_is_left_to_proj() -> None:
    reprojection = Reprojection(pyproj.CRS.from_epsg(4269), pyproj.CRS.from_epsg(4326))
    xy = np.array([[-121.5, 38.5], [np.nan, 36.0]])
    assert reprojection.moved(xy) is not xy


def test_feet_become_degrees() -> None:
    reprojection = Reprojection(pyproj.CRS.from_epsg(2269), pyproj.CRS.from_epsg(4326))
    ((longitude, latitude),) = reprojection.moved(np.array([[7_600_000.0, 680_000.0]]))
    assert -124 < longitude < -121
    assert 44 < latitude < 46
