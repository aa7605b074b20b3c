"""Vector files as agencies write them, drafted and loaded: nothing bent and nothing lost without a word."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from sluiceway.errors import EmptyExtractionError, SourceTooLargeError
from sluiceway.ledger.store import TableRun
from tests.infer.drafted import Drafted, drafted
from tests.sources.formats.vector.test_vector_formats import geopackage
from tests.sources.formats.vector.vector_cases import collection, features, frame

Query = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., TableRun]
LINE = [[0, 0], [1, 1]]


def document(*members: dict[str, Any], **beside: Any) -> str:
    return json.dumps({"type": "FeatureCollection", **beside, "features": list(members)}, ensure_ascii=False)


def line(number: int, *points: list[float]) -> dict[str, Any]:
    (feature,) = features({"number": number}, shape={"type": "LineString", "coordinates": list(points)})
    return feature


# heights


def test_heights_of_some_shapes_are_kept_and_the_others_get_0_with_a_remark(
    load: Load, tmp_path: Path, query: Query
) -> None:
    found = load("a.geojson", document(line(1, [0, 0, 10], [1, 1, 20]), line(2, [0, 0], [1, 1])))
    assert (found.inserted, found.rejected) == (2, 0)
    assert query("SELECT ST_AsText(geom) FROM drafted ORDER BY number") == [
        ("MULTILINESTRING Z ((0 0 10,1 1 20))",),
        ("MULTILINESTRING Z ((0 0 0,1 1 0))",),
    ]
    assert "1 shape without a height: each gets 0" in (tmp_path / "drafted.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("srid", [4269, 4167, 4326])
def test_heights_above_any_ellipsoid_are_loaded(load: Load, tmp_path: Path, query: Query, srid: int) -> None:
    shapes = [shapely.LineString([(-121, 38, 7), (-120, 37, 8)]), shapely.LineString([(-119, 36, 0), (-118, 35, 9)])]
    gpd.GeoDataFrame({"id": [1, 2]}, geometry=shapes, crs=srid).to_file(tmp_path / "z.gpkg")
    assert load("z.gpkg").inserted == 2
    assert query("SELECT ST_Z(ST_EndPoint(ST_GeometryN(geom, 1))) FROM drafted ORDER BY id") == [(8.0,), (9.0,)]


# curves


def arcs(*numbers: float) -> bytes:
    return b"\x01" + struct.pack(f"<II{len(numbers)}d", 8, len(numbers) // 2, *numbers)


def straight(*numbers: float) -> bytes:
    return b"\x01" + struct.pack(f"<II{len(numbers)}d", 2, len(numbers) // 2, *numbers)


def several(kind: int, *parts: bytes) -> bytes:
    return b"\x01" + struct.pack("<II", kind, len(parts)) + b"".join(parts)


HALF = arcs(0, 0, 1, 1, 2, 0)
CIRCLE = arcs(0, 0, 1, 1, 2, 0, 1, -1, 0, 0)
CLOSED = several(9, HALF, straight(2, 0, 0, 0))
WHOLE = arcs(0, 0, 2, 0, 0, 0)
PI = 3.14159265


@pytest.mark.parametrize(
    ("said", "shape", "type_", "size"),
    [
        ("CIRCULARSTRING", HALF, "ST_MultiLineString", PI),
        ("COMPOUNDCURVE", several(9, HALF, straight(2, 0, 5, 0)), "ST_MultiLineString", PI + 3),
        ("CURVEPOLYGON", several(10, CIRCLE), "ST_MultiPolygon", PI),
        ("CURVEPOLYGON", several(10, WHOLE), "ST_MultiPolygon", PI),
        ("CURVEPOLYGON", several(10, CLOSED), "ST_MultiPolygon", PI / 2),
        ("MULTICURVE", several(11, HALF, straight(2, 0, 5, 0)), "ST_MultiLineString", PI + 3),
        ("MULTISURFACE", several(12, several(10, CIRCLE)), "ST_MultiPolygon", PI),
        ("MULTIPOLYGON", several(12, several(10, CIRCLE), shapely.box(9, 0, 10, 1).wkb), "ST_MultiPolygon", PI + 1),
        ("GEOMETRY", several(7, several(10, CIRCLE)), "ST_GeometryCollection", PI),
    ],
)
def test_curves_become_straight_lines_within_the_declared_tolerance(
    load: Load, tmp_path: Path, query: Query, said: str, shape: bytes, type_: str, size: float
) -> None:
    beside = shapely.box(5, 5, 6, 6) if type_ != "ST_MultiLineString" else shapely.LineString(LINE)
    path = geopackage(tmp_path / "a.gpkg", shape, beside)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (said,))
    found = load("a.gpkg")
    assert (found.inserted, found.rejected) == (2, 0)
    assert "the curves of 1 shape were made straight, within 1e-07" in str(found.note)
    draft = (tmp_path / "drafted.toml").read_text(encoding="utf-8")
    assert "of 1 shape the curves become straight lines" in draft
    measure = "ST_Length" if type_ == "ST_MultiLineString" else "ST_Area"
    ((kind, found_size),) = query(f"SELECT ST_GeometryType(geom), {measure}(geom) FROM drafted WHERE id = 1")
    assert kind == type_
    assert found_size == pytest.approx(size, abs=1e-5)


def test_a_wider_tolerance_makes_fewer_points_and_keeps_it(load: Load, tmp_path: Path, query: Query) -> None:
    geopackage(tmp_path / "a.gpkg", several(10, arcs(-180, 0, 0, 80, 180, 0, 0, -80, -180, 0)), CIRCLE)
    counts = []
    for tolerance in ("1.0", "0.001"):
        draft = Drafted(tmp_path / "a.gpkg", tmp_path / "drafted.toml")
        text = draft.text.replace("curve_tolerance = 1e-07", f"curve_tolerance = {tolerance}")
        assert text != draft.text
        counts.append(points_of(text, tmp_path))
    assert counts[0] * 10 < counts[1]


def points_of(text: str, folder: Path) -> int:
    from sluiceway.infer.preview import preview
    from sluiceway.tables.registry import read_spec

    (folder / "a.toml").write_text(text, encoding="utf-8")
    found = preview(read_spec(folder / "a.toml"))
    assert found.rejected == 0
    return sum(str(row["geom"]).count(",") for row in found.rows)


def test_a_curve_that_needs_more_points_than_a_value_may_have_is_refused(tmp_path: Path) -> None:
    path = geopackage(tmp_path / "a.gpkg", arcs(-1e15, 0, 0, 1e15, 1e15, 0), shapely.LineString(LINE))
    with pytest.raises(
        SourceTooLargeError, match=r"its curves made straight within source\.curve_tolerance, is longer"
    ):
        Drafted(path, tmp_path / "drafted.toml")


def test_a_geopackage_that_counts_its_features_wrong_is_loaded_in_full(load: Load, tmp_path: Path) -> None:
    path = geopackage(tmp_path / "a.gpkg", *[shapely.box(n, 0, n + 1, 1) for n in range(3)])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE gpkg_ogr_contents SET feature_count = 2")
    assert load("a.gpkg").inserted == 3


# no attributes, no features, open rings


@pytest.mark.parametrize("name", ["g.gpkg", "g.geojson"])
def test_a_layer_without_attributes_has_its_shape_for_a_key(
    load: Load, tmp_path: Path, query: Query, name: str
) -> None:
    frame().drop(columns=["id", "name"]).to_file(tmp_path / name)
    assert load(name).inserted == 3
    assert 'key = "content"' in (tmp_path / "drafted.toml").read_text(encoding="utf-8")
    assert load(name).status == "unchanged"
    frame(4).drop(columns=["id", "name"]).to_file(tmp_path / name)
    again = load(name)
    assert (again.inserted, again.unchanged) == (1, 3)
    assert query("SELECT count(*), count(DISTINCT geom) FROM drafted") == [(4, 4)]


def test_a_collection_without_a_feature_says_that_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(EmptyExtractionError, match=r"a\.geojson is empty: it holds no feature"):
        drafted(tmp_path, "a.geojson", collection())


def test_an_open_ring_says_that_it_is_open(load: Load, query: Query) -> None:
    ring = [[0, 0], [0, 1], [1, 1], [1, 0]]
    good, bad = (
        features({"number": number}, shape={"type": "Polygon", "coordinates": [points]})[0]
        for number, points in ((1, [*ring, ring[0]]), (2, ring))
    )
    found = load("a.geojson", document(good, bad))
    assert (found.inserted, found.rejected) == (1, 1)
    assert query("SELECT row_number, reason FROM etl.reject") == [
        (2, "geom: has an open ring: its last point is not its first; close it")
    ]
