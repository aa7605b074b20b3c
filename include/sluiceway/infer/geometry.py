"""[geometry] of a draft: where a shape stands, what it is, and in which CRS."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pyproj

from sluiceway.amounts import counted
from sluiceway.infer.asked import CURVE_TOLERANCE, SHEETS, Source
from sluiceway.infer.draft import Draft, Entry
from sluiceway.infer.shapes import Shapes, geometry_in_coordinates, geometry_in_text
from sluiceway.infer.sheet import LAST_ROWS
from sluiceway.infer.types import Types
from sluiceway.infer.values import Values
from sluiceway.sources.extraction import Unreadable

GEOMETRY = "geom"
OWN_GEOMETRY = frozenset({"vector", "parquet"})
"""Kinds whose geometry is no plain column."""
DEGREES_TOLERANCE = 1e-7
"""A centimetre at most."""


@dataclass
class Seen:
    """What was found by reading all of the source."""

    columns: dict[str, str]
    crs: str | None = None
    shapes: Shapes | None = None
    """Of the file's own geometry."""
    binary: dict[str, Shapes] = field(default_factory=dict)
    """Columns of bytes that are all WKB."""
    last: deque[list[str]] = field(default_factory=lambda: deque(maxlen=LAST_ROWS))
    """The last rows of a sheet, as texts."""
    unreadable: int = 0
    first_unreadable: Unreadable | None = None
    notes: dict[str, str] = field(default_factory=dict)
    """Of the extraction."""
    primary_key: str | None = None
    is_part: bool = False
    """Whether there are more rows than were read."""
    curves: int = 0
    """Shapes with curves, which were read as straight lines."""


def place_geometry(
    draft: Draft, source: Source, values: Values, seen: Seen, types: Types, names: dict[str, str]
) -> Shapes | None:
    """Fill [geometry], if there is one; its own column is no other column then."""
    if seen.shapes is not None:
        where = {"source": source.shape} if source.shape is not None else {}
        _describe_geometry(draft, seen.shapes, where, seen.crs, values.rows)
        if seen.curves:
            _describe_curves(source, seen)
        return seen.shapes
    for column, shapes in seen.binary.items():
        if shapes.kinds and not shapes.unreadable:
            types.left_out.pop(column, None)
            _describe_geometry(draft, shapes, {"source": column}, seen.crs, values.rows)
            return shapes
    # beside a header, [geometry] knows names only, no positions
    header = source.keys["kind"] in SHEETS and source.keys.get("header", True)
    usable = [name for name, column in values.columns.items() if not header or name != str(column.position)]
    in_text = geometry_in_text(values, usable)
    if in_text is not None:
        column_, shapes = in_text
        del types.columns[column_.name]
        _describe_geometry(draft, shapes, {"source": column_.name}, seen.crs, values.rows)
        return shapes
    in_numbers = geometry_in_coordinates(values, types, names, usable)
    if in_numbers is None:
        return None
    x, y, shapes = in_numbers
    if not shapes.in_degrees:
        draft.geometry_notes = [
            f"{names[x.name]} and {names[y.name]} could be coordinates, in no degrees. If they are: [geometry] "
            f'type = "Point", x = "{x.name}", y = "{y.name}", and source_crs, their CRS, such as "EPSG:25832".'
        ]
        return None
    _describe_geometry(draft, shapes, {"x": x.name, "y": y.name}, seen.crs, values.rows)
    return shapes


def _describe_geometry(draft: Draft, shapes: Shapes, where: dict[str, str], crs: str | None, rows: int) -> None:
    mixed = len(shapes.kinds) > 1 and shapes.type == "Geometry"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in shapes.kinds.most_common())
    unknown = None if shapes.kinds else "no row has one to tell the type by"
    draft.geometry = {"type": Entry("Point" if "x" in where else shapes.type, kinds if mixed else unknown)}
    draft.geometry |= {key: Entry(value) for key, value in where.items()}
    if shapes.dimensions != "XY":
        flat = f"{counted(shapes.without_height, 'shape')} without a height: each gets 0"
        draft.geometry["dimensions"] = Entry(
            shapes.dimensions, flat if shapes.heights and shapes.without_height else None
        )
    elif shapes.flat:
        draft.geometry_notes.append('The heights are all 0 and are dropped; dimensions = "XYZ" keeps them.')
    if crs is None and shapes.kinds:
        _describe_crs(draft, shapes)
    elif shapes.kinds and not shapes.in_degrees and is_in_degrees(crs):
        draft.geometry_notes.append(
            f"Some coordinates are no degrees, as which the file gives them: {_extent(shapes)}. Which ones are wrong?"
        )
    if shapes.missing or not rows:
        of = f"of {counted(rows, 'row')}"
        remark = f"{counted(shapes.missing, f'{of} has', f'{of} have')} none" if rows else None
        draft.geometry["required"] = Entry(False, remark)
    if shapes.invalid:
        draft.geometry["invalid"] = Entry(
            "repair", f'{shapes.invalid:,} cross or touch themselves; "reject" refuses them'
        )


def _extent(shapes: Shapes) -> str:
    return f"x {shapes.low[0]:.6g} to {shapes.high[0]:.6g}, y {shapes.low[1]:.6g} to {shapes.high[1]:.6g}"


def _describe_crs(draft: Draft, shapes: Shapes) -> None:
    extent = _extent(shapes)
    if shapes.in_degrees:
        draft.geometry["source_crs"] = Entry(
            "EPSG:4326", f"the file names no CRS; these look like degrees: {extent}; is that right?"
        )
        return
    draft.geometry_notes += [
        f"The file names no CRS, and the coordinates are no degrees: {extent}. Nothing is loaded before you find out "
        f"which it is and declare it:",
        'source_crs = "EPSG:..."',
    ]


def _describe_curves(source: Source, seen: Seen) -> None:
    tolerance, unit = (
        (DEGREES_TOLERANCE, "degrees") if is_in_degrees(seen.crs) else (CURVE_TOLERANCE, "the CRS's units")
    )
    source.keys["curve_tolerance"] = tolerance
    source.remarks["curve_tolerance"] = (
        f"of {counted(seen.curves, 'shape')} the curves become straight lines, at most so far beside them, in {unit}"
    )


def is_in_degrees(crs: str | None) -> bool:
    """Whether the coordinates of a CRS are degrees."""
    try:
        return crs is not None and pyproj.CRS.from_user_input(crs).is_geographic
    except pyproj.exceptions.CRSError:
        # a load says that nobody knows it
        return False
