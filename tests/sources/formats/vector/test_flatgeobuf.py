"""The longest feature of a FlatGeobuf is found by the lengths in the file, with an index and without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from pyogrio.raw import write

from sluiceway.sources.formats.vector.flatgeobuf import longest_feature

LONG = 1_000
POINT_BYTES = 16


def written(path: Path, rows: int, long_row: int, index: str) -> Path:
    lines = [shapely.linestrings(np.zeros((LONG if row == long_row else 2, 2)) + row) for row in range(1, rows + 1)]
    shapes = np.array([shapely.to_wkb(line) for line in lines], dtype=object)
    kind = {"driver": "FlatGeobuf", "geometry_type": "LineString", "crs": "EPSG:4326", "SPATIAL_INDEX": index}
    write(path, shapes, [np.arange(rows), np.array(["a name"] * rows, dtype=object)], ["id", "name"], **kind)
    return path


@pytest.mark.parametrize("index", ["YES", "NO"])
@pytest.mark.parametrize("rows", [1, 2, 16, 17, 300])
def test_the_longest_feature_is_found(tmp_path: Path, rows: int, index: str) -> None:
    # an index orders the features anew, so that the row is known without one alone
    row, size = longest_feature(written(tmp_path / "a.fgb", rows, rows, index))
    assert LONG * POINT_BYTES < size < LONG * POINT_BYTES + 300
    assert index == "YES" or row == rows


@pytest.mark.parametrize("kept", [0, 4, 10, 200])
def test_a_file_that_is_cut_off_has_no_long_feature(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path / "a.fgb", 1, 1, "NO")
    path.write_bytes(path.read_bytes()[:kept])
    assert longest_feature(path) == (1, 0)
