"""Geometries that lie in one another by the thousand, which end a process whose library reads them by recursion."""

from __future__ import annotations

import pyarrow as pa
import pytest
import shapely
from shapely import GeometryCollection, LineString, MultiPolygon, Point

from sluiceway.infer.shapes import Shapes as Seen
from sluiceway.load.geometry.nesting import DEEPEST, REASON, is_too_deep
from sluiceway.load.geometry.shapes import from_batch, from_wkb
from sluiceway.tables.spec import TableSpec

LEVELS = 20_000
POINT = "0101000000" + "0" * 32
WKT = "GEOMETRYCOLLECTION(" * LEVELS + "POINT(1 2)" + ")" * LEVELS
GEOJSON = (
    '{"type":"GeometryCollection","geometries":[' * LEVELS + '{"type":"Point","coordinates":[1,2]}' + "]}" * LEVELS
)
OF_ONE = {f"wkb-{kind}": f"01{kind:02x}00000001000000" * LEVELS + POINT for kind in (4, 5, 6, 7, 9, 10, 11, 12)}
BOMBS = {
    **OF_ONE,
    "big-endian": "000000000700000001" * LEVELS + "0000000001" + "0" * 32,
    "ewkb": "0107000020e610000001000000" * LEVELS + POINT,
    "an order that is none": "0207000000010000".ljust(18, "0").replace("02", "01", 1)
    + "020700000001000000" * LEVELS
    + POINT,
    "second": "010700000002000000" + POINT + ("010700000002000000" + POINT) * LEVELS + POINT,
    "wkt": WKT,
    "srid": f"SRID=4326;{WKT}",
    "geojson": GEOJSON,
}


def spec() -> TableSpec:
    return TableSpec.model_validate(
        {
            "name": "park",
            "description": "Parks",
            "source": {"kind": "csv", "uri": "park.csv"},
            "key": "content",
            "columns": {"id": {"type": "integer"}},
            "geometry": {"type": "Geometry", "source": "shape", "source_crs": "EPSG:4326"},
        }
    )


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_text_that_lies_too_deep_is_a_reject_and_its_neighbours_are_read(bomb: str) -> None:
    read = from_batch(spec(), pa.record_batch({"geom": pa.array(["POINT(1 2)", bomb, None, bomb.lower()])}))
    assert read.reasons == {1: REASON, 3: REASON}
    assert list(read.shapes) == [Point(1, 2), None, None, None]


@pytest.mark.parametrize("name", [name for name in BOMBS if name not in {"wkt", "srid", "geojson"}])
def test_wkb_that_lies_too_deep_is_a_reject_and_its_neighbours_are_read(name: str) -> None:
    read = from_wkb(pa.array([shapely.to_wkb(Point(1, 2)), bytes.fromhex(BOMBS[name])], pa.binary()))
    assert read.reasons == {1: REASON}
    assert list(read.shapes) == [Point(1, 2), None]


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_draft_is_made_of_the_others(bomb: str) -> None:
    seen = Seen()
    seen.add(pa.array([bomb, "POINT(1 2)"]))
    assert seen.kinds == {"Point": 1}


def test_what_real_files_nest_is_read() -> None:
    shape = MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    for level in range(1, DEEPEST + 8):
        shape = GeometryCollection([LineString([(0, 0), (1, 1)]), shape, Point(1, 2, 3)])
        for text in (
            shapely.to_wkb(shape),
            shapely.to_wkb(shape, byte_order=0),
            shapely.to_wkb(shapely.set_srid(shape, 4326), include_srid=True),
            shapely.to_wkb(shape, flavor="iso"),
            shapely.to_wkb(shape, hex=True),
            shape.wkt,
            shapely.to_geojson(shape),
        ):
            assert is_too_deep(text) == (level + 1 > DEEPEST)


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_a_torn_collection_is_unreadable_and_not_deep(size: int) -> None:
    torn = (bytes.fromhex("010700000001000000") * 40)[: 9 * 30 + size]
    assert is_too_deep(torn) == (len(torn) >= 9 * (DEEPEST + 1))


@pytest.mark.parametrize("text", ["SRID=4326;", "SRID=4326;  "])
def test_a_text_that_names_a_system_and_no_shape_is_a_reject(text: str) -> None:
    read = from_batch(spec(), pa.record_batch({"geom": pa.array(["POINT(1 2)", text])}))
    assert list(read.shapes) == [Point(1, 2), None]
    assert "is no readable WKT, WKB or GeoJSON" in read.reasons[1]
