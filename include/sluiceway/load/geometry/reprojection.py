"""From one CRS to another, by PROJ; without it where it would not move anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
from pyproj.transformer import TransformerGroup

Array = np.ndarray[Any, Any]

_NO_OPERATION = "proj=noop"


class Reprojection:
    """Moves coordinates from `source` to `target`, x before y.

    For two geographic CRS (NAD83 and WGS 84) PROJ has several operations, each for an area, and some of them, often
    those of the mainland, leave the coordinates as they are: half a microsecond a point, for nothing.
    """

    def __init__(self, source: pyproj.CRS, target: pyproj.CRS) -> None:
        self._transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
        self._still = self._moving = ()  # type: tuple[tuple[float, ...], ...]
        if not (source.is_geographic and target.is_geographic):
            return
        areas = [
            (operation.definition.startswith(_NO_OPERATION), operation.area_of_use.bounds)
            for operation in TransformerGroup(source, target, always_xy=True).transformers
            if operation.area_of_use is not None
        ]
        self._still = tuple(bounds for still, bounds in areas if still)
        self._moving = tuple(bounds for still, bounds in areas if not still)

    def moved(self, xy: Array) -> Array:
        """The coordinates in the target's CRS, shape (n, 2); infinite where it cannot show them."""
        if self._leaves(xy):
            return xy
        return np.column_stack(self._transformer.transform(xy[:, 0], xy[:, 1]))

    def _leaves(self, xy: Array) -> bool:
        """Whether each operation that PROJ may choose for these points leaves them where they are."""
        if not self._still or not len(xy):
            return False
        x, y = xy[:, 0], xy[:, 1]
        box = (x.min(), y.min(), x.max(), y.max())
        return any(_holds(area, box) for area in self._still) and not any(_meets(area, box) for area in self._moving)


def _holds(area: tuple[float, ...], box: tuple[float, ...]) -> bool:
    west, south, east, north = area
    # not of one that crosses the date line, nor of NaN
    return west <= box[0] and south <= box[1] and box[2] <= east and box[3] <= north


def _meets(area: tuple[float, ...], box: tuple[float, ...]) -> bool:
    west, south, east, north = area
    beside = box[2] < west or box[0] > east if west <= east else box[2] < west and box[0] > east
    return not (beside or box[3] < south or box[1] > north)
