"""What each vector format can hold: CRS, moments, keys, repeated names, empty layers, heights, measures and curves."""

from __future__ import annotations

import json
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely

from dev.peers import ensure
from sluiceway.errors import EmptyExtractionError, SchemaDriftError, SourceMissingError, SourceUnreadableError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.geometry.cleaner import Cleaned, GeometryCleaner
from sluiceway.load.table import load_table
from sluiceway.sources.formats.vector import layer
from sluiceway.tables.spec import TableSpec
from tests.sources.formats.vector.vector_cases import collection, features, frame, names, park, rows
from tests.sources.opened import opened


def cleaned(spec: TableSpec) -> Cleaned:
    """The geometry of the source's only batch, as it goes to PostGIS."""
    with opened(spec) as extraction:
        (batch,) = extraction.batches
        assert spec.geometry is not None
        return GeometryCleaner(spec, spec.geometry, extraction.crs).clean(batch)


def shapes(spec: TableSpec) -> list[Any]:
    found = cleaned(spec)
    assert found.reasons == {}
    return list(shapely.from_wkb(found.wkb.to_numpy(zero_copy_only=False)))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# CRS


@pytest.mark.parametrize(
    ("crs", "found"),
    [
        ("urn:ogc:def:crs:EPSG::3857", "EPSG:3857"),
        ("EPSG:3857", "EPSG:3857"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
        ("urn:ogc:def:crs:EPSG::4326", "EPSG:4326"),
        ("EPSG:999999", "EPSG:999999"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_geojson_has_the_crs_that_its_member_names(crs: str, found: str, first: bool, tmp_path: Path) -> None:
    member = {"crs": {"type": "name", "properties": {"name": crs}}}
    document = json.loads(collection({"id": 1, "name": "a"}))
    path = written(tmp_path / "park.geojson", json.dumps(member | document if first else document | member))
    with opened(park(path)) as extraction:
        assert extraction.crs == found


def test_a_geojson_of_a_crs_that_nobody_knows_is_not_taken_for_degrees(tmp_path: Path) -> None:
    member = {"crs": {"type": "name", "properties": {"name": "EPSG:999999"}}}
    path = written(tmp_path / "park.geojson", collection({"id": 1, "name": "a"}, **member))
    with pytest.raises(SourceUnreadableError, match="CRS 'EPSG:999999'"):
        cleaned(park(path))


def test_a_geojson_whose_crs_is_null_needs_one_declared(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection({"id": 1, "name": "a"}, crs=None))
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        cleaned(park(path))
    assert shapes(park(path, geometry={"source_crs": "EPSG:4326"})) == [shapely.Point(10, 50)]


def test_a_property_that_is_called_crs_is_none(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection({"id": 1, "name": "a", "crs": None}))
    with opened(park(path)) as extraction:
        assert extraction.crs == "EPSG:4326"


@pytest.mark.parametrize("srs_id", [-1, 0])
def test_a_geopackage_that_does_not_know_its_crs_needs_one_declared(srs_id: int, tmp_path: Path) -> None:
    path = tmp_path / "park.gpkg"
    frame().to_file(path, layer="park")
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            database.execute(f"UPDATE {table} SET srs_id = ?", (srs_id,))
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        cleaned(park(path))
    assert len(shapes(park(path, geometry={"source_crs": "EPSG:4326"}))) == 3


def test_a_crs_of_a_building_site_is_a_named_error(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "park.shp")
    (tmp_path / "park.prj").write_text('LOCAL_CS["site",UNIT["Meter",1]]')
    with pytest.raises(SourceUnreadableError, match="CRS 'LOCAL_CS"):
        cleaned(park(tmp_path / "park.shp"))


def gml(*members: str) -> str:
    return (
        '<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml">'
        + "".join(f"<gml:featureMember>{member}</gml:featureMember>" for member in members)
        + "</ogr:FeatureCollection>"
    )


def test_a_gml_that_names_latitude_first_comes_with_longitude_first(tmp_path: Path) -> None:
    point = '<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>18 -66</gml:pos></gml:Point>'
    member = f"<ogr:park><ogr:id>1</ogr:id><ogr:name>a</ogr:name><ogr:geom>{point}</ogr:geom></ogr:park>"
    assert shapes(park(written(tmp_path / "park.gml", gml(member)))) == [shapely.Point(-66, 18)]


@pytest.mark.parametrize("with_schema", [True, False])
def test_a_gml_is_read_with_its_schema_and_without(with_schema: bool, tmp_path: Path) -> None:
    frame().to_file(tmp_path / "park.gml", driver="GML")
    if not with_schema:
        (tmp_path / "park.xsd").unlink()
    before = sorted(entry.name for entry in tmp_path.iterdir())
    assert names(park(tmp_path / "park.gml")) == ["Müller", "O'Higgins", "Ωmega"]
    # GDAL would write a .gfs beside it
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


def test_a_gml_in_latin_1_keeps_its_letters(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>' + gml(
        "<ogr:park><ogr:id>1</ogr:id><ogr:name>é</ogr:name></ogr:park>"
    )
    (tmp_path / "park.gml").write_text(text, encoding="latin-1")
    assert names(park(tmp_path / "park.gml", geometry={})) == ["é"]


# columns


@pytest.mark.parametrize("ending", [".geojson", ".geojsonl", ".fgb"])
def test_moments_of_several_time_zones_are_not_mixed_up(ending: str, tmp_path: Path) -> None:
    moments = [
        "2020-01-02T03:04:05+02:00",
        "2020-01-02T03:04:05Z",
        "2020-01-02T03:04:05.250-0730",
        "2020-01-02T03:04:05",
    ]
    path = written(tmp_path / "park.geojson", collection(*({"at": moment} for moment in moments)))
    if ending != ".geojson":
        ensure("ogr2ogr")
        target = path.with_suffix(ending)
        subprocess.run(["ogr2ogr", str(target), str(path), "-lco", "SPATIAL_INDEX=NO"], check=True)
        path = target
    found = [row["at"] for row in rows(park(path, {"at": "timestamptz"}))]
    assert [moment.astimezone(UTC).isoformat() for moment in found] == [
        "2020-01-02T01:04:05+00:00",
        "2020-01-02T03:04:05+00:00",
        "2020-01-02T10:34:05.250000+00:00",
        "2020-01-02T03:04:05+00:00",
    ]


def test_moments_without_a_zone_stay_without_one(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection({"at": "2020-01-02T03:04:05.250"}, {"at": None}))
    assert [row["at"] for row in rows(park(path, {"at": "timestamp"}))] == [
        datetime(2020, 1, 2, 3, 4, 5, 250_000),  # noqa: DTZ001  # it has none
        None,
    ]


def test_nested_values_keep_their_letters_and_lists_are_lists(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection({"a": {"b": [1, {"c": "é"}]}, "l": [1, 2], "s": ["x", "ü"]}))
    (row,) = rows(park(path, {"a": "jsonb", "l": "jsonb", "s": "text"}))
    assert json.loads(row["a"]) == {"b": [1, {"c": "é"}]}
    assert (row["l"], row["s"]) == ([1, 2], ["x", "ü"])


def test_columns_that_differ_by_case_only_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection({"NAME": "upper", "Name": "mixed", "name": "lower"}))
    assert rows(park(path, {"name": "text", "mixed": ("Name", "text"), "upper": ("NAME", "text")}, {})) == [
        {"name": "lower", "mixed": "mixed", "upper": "upper"}
    ]


def register(database: sqlite3.Connection, table: str, kind: str, srs_id: int) -> None:
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES (?, ?, ?, ?)",
        (table, kind, table, srs_id),
    )


def test_the_primary_key_of_a_geopackage_can_be_a_column(tmp_path: Path) -> None:
    path = tmp_path / "park.gpkg"
    frame().to_file(path, layer="park")
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE owner (owner_id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("INSERT INTO owner VALUES (7, 'x'), (9, 'y')")
        register(database, "owner", "attributes", 0)
    assert rows(park(path, {"number": ("owner_id", "integer"), "name": "text"}, {}, layer="owner")) == [
        {"number": 7, "name": "x"},
        {"number": 9, "name": "y"},
    ]
    assert [row["fid"] for row in rows(park(path, {"fid": "bigint"}, layer="park"))] == [1, 2, 3]
    with opened(park(path, {"name": "text"}, layer="park")) as extraction:
        assert list(extraction.columns) == ["id", "name"]
    with pytest.raises(SchemaDriftError, match="layer owner has no geometry; these have one: park"):
        rows(park(path, {"name": "text"}, layer="owner"))


def test_a_view_of_a_geopackage_is_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "park.gpkg"
    frame().to_file(path, layer="park")
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW first AS SELECT fid, geom, id, name FROM park WHERE id = 1")
        register(database, "first", "features", 4326)
        database.execute("INSERT INTO gpkg_geometry_columns VALUES ('first', 'geom', 'POLYGON', 4326, 0, 0)")
    with pytest.raises(SourceMissingError, match=r"park\.gpkg holds 2 layers: park, first; name one as source\.layer"):
        rows(park(path))
    assert names(park(path, layer="first")) == ["Müller"]


def test_a_layer_of_two_geometries_is_refused_by_name(tmp_path: Path) -> None:
    point = "<gml:Point><gml:pos>1 2</gml:pos></gml:Point>"
    member = f"<ogr:park><ogr:name>a</ogr:name><ogr:inner>{point}</ogr:inner><ogr:outer>{point}</ogr:outer></ogr:park>"
    written(tmp_path / "park.gml", gml(member))
    element = '<xs:element name="{}" type="gml:PointPropertyType" minOccurs="0"/>'
    written(
        tmp_path / "park.xsd",
        '<xs:schema targetNamespace="http://ogr.maptools.org/" xmlns:ogr="http://ogr.maptools.org/" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:gml="http://www.opengis.net/gml" version="1.0">'
        '<xs:element name="park" type="ogr:park_Type" substitutionGroup="gml:_Feature"/>'
        '<xs:complexType name="park_Type"><xs:complexContent><xs:extension base="gml:AbstractFeatureType"><xs:sequence>'
        '<xs:element name="name" type="xs:string"/>' + element.format("inner") + element.format("outer") +
        "</xs:sequence></xs:extension></xs:complexContent></xs:complexType></xs:schema>",
    )  # fmt: skip
    with pytest.raises(SchemaDriftError, match="layer park holds 2 geometries: inner, outer; only a layer of one is"):
        rows(park(tmp_path / "park.gml", {"name": "text"}))


# empty layers


def test_a_collection_without_a_feature_gives_no_row(tmp_path: Path) -> None:
    path = written(tmp_path / "park.geojson", collection())
    assert rows(park(path)) == []
    assert rows(park(path, geometry={})) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("park.geojson", collection()),
        ("park.json", '{"features": [], "type": "FeatureCollection"}'),
        (
            "park.topojson",
            '{"type":"Topology","objects":{"a":{"type":"GeometryCollection","geometries":[]}},"arcs":[]}',
        ),
        ("park.kml", '<kml xmlns="http://www.opengis.net/kml/2.2"><Document/></kml>'),
        (
            "park.gml",
            '<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0" '
            'xmlns:gml="http://www.opengis.net/gml/3.2" numberMatched="0" numberReturned="0"/>',
        ),
    ],
    ids=["geojson", "json", "topojson", "kml", "gml"],
)
def test_a_file_without_a_feature_is_an_empty_extraction(
    file: str, text: str, tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    path = written(tmp_path / file, text)
    with pytest.raises(EmptyExtractionError, match=r"park: .*the source gave no rows"):
        load_table(park(path), warehouse_url, run=open_run("r1"))


@pytest.mark.parametrize("file", ["park.gpkg", "park.shp", "park.fgb"])
def test_a_layer_with_a_schema_and_no_feature_gives_no_row(file: str, tmp_path: Path) -> None:
    frame().iloc[:0].to_file(tmp_path / file, geometry_type="Polygon")
    assert rows(park(tmp_path / file)) == []
    with pytest.raises(SchemaDriftError, match="column 'nmae' is missing; did you mean 'name'"):
        rows(park(tmp_path / file, {"nmae": "text"}))


# geometries


@pytest.mark.parametrize(
    ("wkt", "dimensions"),
    [
        ("POINT M (1 2 7)", "XYM"),
        ("LINESTRING M (0 0 5, 1 1 6)", "XYM"),
        ("LINESTRING ZM (0 0 3 5, 1 1 4 6)", "XYZM"),
        ("MULTIPOINT M ((0 0 1), (1 1 2))", "XYM"),
        ("POLYGON M ((0 0 1, 0 1 2, 1 1 3, 0 0 4))", "XYM"),
    ],
)
def test_measures_of_a_geopackage_are_kept_where_they_are_declared(wkt: str, dimensions: str, tmp_path: Path) -> None:
    path = geopackage(tmp_path / "park.gpkg", shapely.from_wkt(wkt), m=2)
    (kept,) = shapes(park(path, {"id": "integer"}, {"dimensions": dimensions}))
    assert kept.wkt == wkt
    (dropped,) = shapes(park(path, {"id": "integer"}))
    assert (dropped.has_z, dropped.has_m) == (False, False)


def geopackage(path: Path, *shapes: Any, z: int = 2, m: int = 0) -> Path:
    """A GeoPackage of any geometry, also of those that geopandas does not write: shapely's, or WKB."""
    frame().to_file(path, layer="park")
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'GEOMETRY', z = ?, m = ?", (z, m))
        database.execute("DELETE FROM park")
        for number, shape in enumerate(shapes, start=1):
            wkb = shape if isinstance(shape, bytes) else shapely.to_wkb(shape, output_dimension=4, flavor="iso")
            header = b"GP\x00\x01" + (4326).to_bytes(4, "little")
            database.execute("INSERT INTO park (fid, geom, id) VALUES (?, ?, ?)", (number, header + wkb, number))
        # GDAL counts by it
        database.execute("UPDATE gpkg_ogr_contents SET feature_count = ?", (len(shapes),))
    return path


def test_a_declared_measure_that_no_shape_has_is_an_error_and_not_0(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[0, 0, 1, 9], [1, 1, 2, 8]]}
    path = written(tmp_path / "park.geojson", collection({"id": 1, "name": "a"}, shape=line))
    with pytest.raises(SchemaDriftError, match=r"geometry\.dimensions is 'XYZM', and no shape of .* has a measure"):
        rows(park(path, geometry={"dimensions": "XYZM"}))
    assert shapes(park(path, geometry={"dimensions": "XYZ"}))[0].wkt == "LINESTRING Z (0 0 1, 1 1 2)"


# a circle of two arcs
CURVE = b"\x01" + struct.pack("<II", 10, 1) + b"\x01" + struct.pack("<II10d", 8, 5, 0, 0, 1, 1, 2, 0, 1, -1, 0, 0)


@pytest.mark.parametrize("kind", ["MultiPolygon", "Geometry"])
def test_a_curve_is_refused_with_a_sentence_and_the_others_are_kept(kind: str, tmp_path: Path) -> None:
    path = geopackage(tmp_path / "park.gpkg", CURVE, shapely.box(0, 0, 1, 1))
    found = cleaned(park(path, {"id": "integer"}, {"type": kind}))
    assert found.reasons == {
        0: "is a CurvePolygon, which is not loaded; make straight lines of it first: ogr2ogr -nlt CONVERT_TO_LINEAR"
    }


@pytest.mark.parametrize(("code", "name"), [(1016, "TIN"), (1015, "PolyhedralSurface")])
def test_a_surface_in_space_is_refused_with_a_sentence(code: int, name: str, tmp_path: Path) -> None:
    triangle = shapely.to_wkb(shapely.from_wkt("POLYGON Z ((0 0 0, 0 1 1, 1 1 2, 0 0 0))"), flavor="iso")
    patch = (b"\x01" + (1017).to_bytes(4, "little") + triangle[5:]) if name == "TIN" else triangle
    surface = b"\x01" + code.to_bytes(4, "little") + (1).to_bytes(4, "little") + patch
    path = geopackage(tmp_path / "park.gpkg", surface, shapely.box(0, 0, 1, 1))
    reasons = cleaned(park(path, {"id": "integer"}, {"type": "MultiPolygon"})).reasons
    assert reasons == {0: f"is a {name}, a surface in space, which is not loaded; make a MultiPolygon of it first"}


def test_shapes_of_every_kind_come_as_they_are_where_any_is_declared(tmp_path: Path) -> None:
    kinds = ["POINT (1 2)", "POLYGON ((0 0, 0 1, 1 1, 0 0))", "GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1))"]
    members = [
        feature | {"geometry": shapely.geometry.mapping(shapely.from_wkt(wkt))}
        for wkt, feature in zip(kinds, features(*[{"id": 1, "name": "a"}] * 3), strict=True)
    ]
    path = written(tmp_path / "park.geojson", json.dumps({"type": "FeatureCollection", "features": members}))
    assert [shape.wkt for shape in shapes(park(path))] == kinds


def test_a_shape_that_geojson_does_not_know_is_null(tmp_path: Path) -> None:
    path = written(
        tmp_path / "park.geojson", collection({"id": 1, "name": "a"}, shape={"type": "Curve", "coordinates": []})
    )
    assert cleaned(park(path)).reasons == {0: "is null or empty"}


def test_topojson_is_read_by_layer(tmp_path: Path) -> None:
    squares = {
        "type": "GeometryCollection",
        "geometries": [{"type": "Polygon", "arcs": [[0]], "properties": {"name": "a"}}],
    }
    arcs = [[[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]]]
    topology = {"type": "Topology", "transform": {"scale": [1, 1], "translate": [5, 5]}, "arcs": arcs}
    path = written(
        tmp_path / "park.topojson", json.dumps({**topology, "objects": {"north": squares, "south": squares}})
    )
    with pytest.raises(
        SourceMissingError, match=r"park\.topojson holds 2 layers: north, south; name one as source\.lay"
    ):
        rows(park(path, {"name": "text"}))
    spec = park(path, {"name": "text"}, {"source_crs": "EPSG:4326"}, layer="south")
    assert shapes(spec) == [shapely.Polygon([(5, 5), (5, 6), (6, 6), (6, 5)])]


def test_folders_of_a_kml_are_layers(tmp_path: Path) -> None:
    place = "<Placemark><name>1</name><Point><coordinates>1,2,3</coordinates></Point></Placemark>"
    folders = "".join(f"<Folder><name>{name}</name>{place}</Folder>" for name in "AB")
    path = written(
        tmp_path / "park.kml", f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{folders}</Document></kml>'
    )
    with pytest.raises(SourceMissingError, match=r"park\.kml holds 2 layers: A, B"):
        rows(park(path))
    assert names(park(path, {"name": ("Name", "text")}, layer="B")) == ["1"]


def load(spec: TableSpec, url: str, run: RunKey) -> TableRun:
    return load_table(spec, url, run=run)


def test_binary_values_are_no_column_that_is_loaded(
    tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    path = tmp_path / "park.gpkg"
    frame().to_file(path, layer="park")
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE park ADD COLUMN picture BLOB")
    with opened(park(path, {"picture": "text"})) as extraction:
        assert extraction.columns["picture"] == "binary"
        (batch,) = extraction.batches
        assert pa.types.is_binary(batch.schema.field("picture").type)
    with pytest.raises(SchemaDriftError, match="column 'picture' holds binary values and is declared text"):
        load(park(path, {"picture": "text"}), warehouse_url, open_run("r1"))


def test_the_long_shapes_of_an_uneven_shapefile_are_not_all_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer, "BATCH_BYTES", 1 << 16)
    monkeypatch.setattr(layer, "SLICE_BYTES", 1 << 30)
    rows, long = 2_000, 128
    parks = frame(rows)
    # 4 KB each, where the mean shape has 400 bytes
    parks.loc[: long - 1, "geometry"] = [shapely.Point(row, 0).buffer(1, quad_segs=64) for row in range(long)]
    parks.to_file(tmp_path / "park.shp")
    with opened(park(tmp_path / "park.shp")) as extraction:
        batches = list(extraction.batches)
    assert sum(batch.num_rows for batch in batches) == rows
    assert max(batch.nbytes for batch in batches) < 5 << 16
