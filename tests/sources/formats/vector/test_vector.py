"""Vector files: written by geopandas as GIS people write them, read and loaded into PostGIS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
import shapely.affinity
from shapely import LineString, MultiPoint, MultiPolygon, Point, Polygon

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    SourceMissingError,
    SourceUnreadableError,
    TooManyRejectsError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[Any, ...]]]
Load = Callable[[TableSpec], TableRun]
SpecOf = Callable[..., TableSpec]

SQUARE = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])
OTHER = Polygon([(5, 5), (5, 6), (6, 6), (6, 5)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"), force=True)


@pytest.fixture
def spec_of(write_spec: WriteSpec) -> SpecOf:
    """A spec `park` with columns id and name over one vector file."""

    def make(
        file: str, *, kind: str = "MultiPolygon", source: str = "", geometry: str = "", rest: str = ""
    ) -> TableSpec:
        toml = (
            f'description = "Parks"\nkey = "id"\n[source]\nkind = "vector"\nuri = "{file}"\n{source}\n'
            f'[columns]\nid = "integer"\nname = "text"\n[geometry]\ntype = "{kind}"\n{geometry}\n{rest}\n'
        )
        return write_spec("park", toml)

    return make


def frame(*shapes: Any, crs: str | None = "EPSG:4326") -> geopandas.GeoDataFrame:
    names = [("Müller", "O'Higgins", "Ωmega")[number % 3] for number in range(len(shapes))]
    return geopandas.GeoDataFrame({"id": range(1, len(shapes) + 1), "name": names}, geometry=list(shapes), crs=crs)


def rows(spec: TableSpec) -> list[dict[str, Any]]:
    with opened(spec) as extraction:
        return [row for batch in extraction.batches for row in batch.to_pylist()]


@pytest.mark.parametrize("file", ["park.geojson", "park.shp", "park.gpkg", "park.fgb"])
def test_a_layer_of_any_format_gives_its_rows_and_wkb(file: str, spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE, OTHER).to_file(tmp_path / file)
    found = sorted(rows(spec_of(file)), key=lambda row: row["id"])
    assert [(row["id"], row["name"]) for row in found] == [(1, "Müller"), (2, "O'Higgins")]
    assert shapely.equals(shapely.from_wkb([row["geom"] for row in found]), [SQUARE, OTHER]).all()


def test_the_crs_is_what_the_file_says(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(Point(0, 0), crs="EPSG:3310").to_file(tmp_path / "park.shp")
    spec = spec_of("park.shp", kind="Point")
    with opened(spec) as extraction:
        assert extraction.crs == "EPSG:3310"
        assert dict(extraction.columns) == {"id": "number", "name": "text"}


def test_several_layers_are_listed_and_one_must_be_named(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.gpkg", layer="north")
    frame(OTHER, SQUARE).to_file(tmp_path / "park.gpkg", layer="south")
    with pytest.raises(SourceMissingError, match=r"park\.gpkg holds 2 layers: north, south; name one as source\.layer"):
        rows(spec_of("park.gpkg"))
    with pytest.raises(SourceMissingError, match=r"has no layer 'suoth'; did you mean 'south'\?"):
        rows(spec_of("park.gpkg", source='layer = "suoth"'))
    assert len(rows(spec_of("park.gpkg", source='layer = "south"'))) == 2


def test_a_missing_column_names_the_nearest(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE).rename(columns={"name": "NAME"}).to_file(tmp_path / "park.shp")
    with pytest.raises(SchemaDriftError, match=r"park\.shp, layer park, column 'name' is missing; did you mean 'NAME'"):
        rows(spec_of("park.shp"))


@pytest.mark.parametrize("file", ["park.geojson", "park.gpkg", "park.shp", "park.fgb"])
def test_a_file_that_is_no_vector_file_is_unreadable(file: str, spec_of: SpecOf, tmp_path: Path) -> None:
    (tmp_path / file).write_text("id,name\n1,Ponce\n")
    with pytest.raises(SourceUnreadableError, match=f"park: {file} cannot be read"):
        rows(spec_of(file))


def test_a_geojson_that_breaks_off_is_unreadable(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE, OTHER).to_file(tmp_path / "park.geojson")
    whole = (tmp_path / "park.geojson").read_text(encoding="utf-8")
    (tmp_path / "park.geojson").write_text(whole[: len(whole) * 2 // 3], encoding="utf-8")
    with pytest.raises(SourceUnreadableError, match=r"park\.geojson cannot be read"):
        rows(spec_of("park.geojson"))


@pytest.mark.parametrize(
    ("file", "part"), [("park.shp", ".dbf"), ("park.shp", ".shp"), ("park.fgb", ".fgb"), ("park.gpkg", ".gpkg")]
)
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_file_that_breaks_off_is_not_loaded_in_part(
    file: str, part: str, share: float, spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(*[shapely.affinity.translate(SQUARE, x) for x in range(3000)]).to_file(tmp_path / file)
    whole = (tmp_path / "park.shp").with_suffix(part).read_bytes()
    (tmp_path / "park.shp").with_suffix(part).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises((SourceUnreadableError, TooManyRejectsError)):
        load(spec_of(file))
    assert query("SELECT to_regclass('park')") == [(None,)]


def test_a_shapefile_without_attributes_is_drift(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.shp")
    (tmp_path / "park.dbf").unlink()
    with pytest.raises(SchemaDriftError, match="column 'id' is missing"):
        rows(spec_of("park.shp"))


def test_a_layer_without_a_feature_is_empty(spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(SQUARE).iloc[:0].to_file(tmp_path / "park.fgb", geometry_type="Polygon")
    with pytest.raises(EmptyExtractionError, match="park: the source gave no rows"):
        load(spec_of("park.fgb"))
    assert query("SELECT to_regclass('park')") == [(None,)]


def test_a_file_without_a_crs_needs_one_declared(spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(SQUARE).to_file(tmp_path / "park.shp")
    (tmp_path / "park.prj").unlink()
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs, such as 'EPSG:4269'"):
        load(spec_of("park.shp"))
    load(spec_of("park.shp", geometry='source_crs = "EPSG:4326"'))
    assert query("SELECT ST_AsText(geom), ST_SRID(geom) FROM park") == [("MULTIPOLYGON(((0 0,0 1,1 1,1 0,0 0)))", 4326)]


def test_a_crs_that_does_not_exist_is_named(spec_of: SpecOf, load: Load, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.shp")
    (tmp_path / "park.prj").unlink()
    with pytest.raises(SourceUnreadableError, match="park: CRS 'EPSG:9999999'"):
        load(spec_of("park.shp", geometry='source_crs = "EPSG:9999999"'))


def test_web_mercator_is_brought_to_degrees(spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(Point(-121.5, 38.5), Point(-66.1, 18.4)).to_crs("EPSG:3857").to_file(tmp_path / "park.shp")
    load(spec_of("park.shp", kind="Point"))
    assert query("SELECT round(ST_X(geom)::numeric, 6)::text, round(ST_Y(geom)::numeric, 6)::text FROM park") == [
        ("-121.500000", "38.500000"),
        ("-66.100000", "18.400000"),
    ]


def test_the_target_srid_is_the_specs(spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(Point(-120, 38)).to_file(tmp_path / "park.geojson")
    load(spec_of("park.geojson", kind="Point", geometry="srid = 3310"))
    # the origin of California Albers lies at 120 W, 38.016 N
    assert query("SELECT ST_SRID(geom), abs(ST_X(geom)) < 0.01, ST_Y(geom) BETWEEN -1800000 AND 0 FROM park") == [
        (3310, True, True)
    ]


def test_what_the_file_says_of_its_crs_wins_over_what_is_assumed(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(Point(10, 50)).to_crs("EPSG:3857").to_file(tmp_path / "park.shp")
    load(spec_of("park.shp", kind="Point", geometry='source_crs = "EPSG:4326"'))
    assert query("SELECT round(ST_X(geom)), round(ST_Y(geom)) FROM park") == [(10.0, 50.0)]


def test_polygons_and_multipolygons_become_multipolygons(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(SQUARE, MultiPolygon([SQUARE, OTHER])).to_file(tmp_path / "park.geojson")
    assert load(spec_of("park.geojson")).inserted == 2
    assert query("SELECT GeometryType(geom), ST_NumGeometries(geom) FROM park ORDER BY id") == [
        ("MULTIPOLYGON", 1),
        ("MULTIPOLYGON", 2),
    ]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [(Point(1, 2), "MultiPoint"), (LineString([(0, 0), (1, 1)]), "MultiLineString"), (SQUARE, "MultiPolygon")],
)
def test_a_single_geometry_is_promoted(
    shape: Any, kind: str, spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(shape).to_file(tmp_path / "park.geojson")
    load(spec_of("park.geojson", kind=kind))
    assert query("SELECT GeometryType(geom) FROM park") == [(kind.upper(),)]


@pytest.mark.parametrize(
    ("shape", "kind", "reason"),
    [
        (LineString([(0, 0), (1, 1)]), "MultiPolygon", "geom: is a LineString, not a MultiPolygon"),
        (MultiPoint([(0, 0), (1, 1)]), "Point", "geom: is a MultiPoint, not a Point"),
        (SQUARE, "MultiLineString", "geom: is a Polygon, not a MultiLineString"),
    ],
)
def test_another_kind_of_geometry_is_a_reject(
    shape: Any, kind: str, reason: str, spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    good = {"MultiPolygon": OTHER, "Point": Point(1, 1), "MultiLineString": LineString([(0, 0), (2, 2)])}[kind]
    frame(good, shape).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", kind=kind, rest="[checks]\nmax_rejects = 1"))
    assert (result.inserted, result.rejected) == (1, 1)
    assert query("SELECT row_number, column_name, reason FROM etl.reject") == [(2, "geom", reason)]


def test_a_null_geometry_is_a_reject(spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(SQUARE, None, Polygon()).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", rest="[checks]\nmax_rejects = 2"))
    assert (result.extracted, result.inserted, result.rejected) == (3, 1, 2)
    assert query("SELECT row_number, reason FROM etl.reject ORDER BY 1") == [
        (2, "geom: is null or empty"),
        (3, "geom: is null or empty"),
    ]


def test_a_null_geometry_is_loaded_where_none_is_required(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(SQUARE, None, Polygon()).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", geometry="required = false"))
    assert (result.inserted, result.rejected) == (3, 0)
    assert query("SELECT id, geom IS NULL FROM park ORDER BY id") == [(1, False), (2, True), (3, True)]


def test_a_polygon_that_crosses_itself_is_a_reject_that_says_where(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(SQUARE, BOW_TIE).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", rest="[checks]\nmax_rejects = 1"))
    assert (result.inserted, result.rejected, result.repaired) == (1, 1, 0)
    assert query("SELECT reason FROM etl.reject") == [("geom: is invalid: Self-intersection[1 1]",)]


def test_a_polygon_that_crosses_itself_is_repaired_and_counted(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    frame(SQUARE, BOW_TIE).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", geometry='invalid = "repair"'))
    assert (result.inserted, result.rejected, result.repaired) == (2, 0, 1)
    assert query("SELECT ST_IsValid(geom), ST_NumGeometries(geom), ST_Area(geom) FROM park WHERE id = 2") == [
        (True, 2, 2.0)
    ]


def test_a_polygon_of_which_no_area_is_left_is_not_repaired(
    spec_of: SpecOf, load: Load, tmp_path: Path, query: Query
) -> None:
    flat = Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])
    frame(SQUARE, flat).to_file(tmp_path / "park.geojson")
    result = load(spec_of("park.geojson", geometry='invalid = "repair"', rest="[checks]\nmax_rejects = 1"))
    assert (result.inserted, result.rejected, result.repaired) == (1, 1, 0)
    assert query("SELECT row_number FROM etl.reject") == [(2,)]


@pytest.mark.parametrize("file", ["park.gpkg", "park.shp", "park.geojson"])
def test_a_height_is_dropped(file: str, spec_of: SpecOf, load: Load, tmp_path: Path, query: Query) -> None:
    frame(shapely.force_3d(SQUARE, 7.0)).to_file(tmp_path / file)
    load(spec_of(file))
    assert query("SELECT ST_NDims(geom), ST_Area(geom) FROM park") == [(2, 1.0)]


def test_a_second_load_of_the_same_shapes_writes_nothing(spec_of: SpecOf, load: Load, tmp_path: Path) -> None:
    frame(SQUARE, BOW_TIE, MultiPolygon([SQUARE, OTHER])).to_crs("EPSG:3857").to_file(tmp_path / "park.geojson")
    spec = spec_of("park.geojson", geometry='invalid = "repair"')
    load(spec)
    again = load(spec)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 3)


def test_one_moved_corner_updates_one_row(spec_of: SpecOf, load: Load, tmp_path: Path) -> None:
    frame(SQUARE, OTHER).to_file(tmp_path / "park.geojson")
    spec = spec_of("park.geojson")
    load(spec)
    moved = Polygon([(5, 5), (5, 6), (6, 6.001), (6, 5)])
    frame(SQUARE, moved).to_file(tmp_path / "park.geojson")
    result = load(spec)
    assert (result.inserted, result.updated, result.unchanged) == (0, 1, 1)


def test_attributes_without_a_geometry_in_the_spec_are_read_alone(write_spec: WriteSpec, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.geojson")
    spec = write_spec(
        "park",
        'description = "Parks"\nkey = "id"\nsource = { kind = "vector", uri = "park.geojson" }\n'
        'columns = { id = "integer" }\n',
    )
    assert rows(spec) == [{"id": 1}]


def test_one_source_column_may_fill_two_target_columns(write_spec: WriteSpec, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.geojson")
    spec = write_spec(
        "park",
        'description = "Parks"\nkey = "id"\nsource = { kind = "vector", uri = "park.geojson" }\n'
        'columns = { id = "integer", id_text = { source = "id", type = "text" } }\n',
    )
    assert rows(spec) == [{"id": 1, "id_text": 1}]


def test_a_declared_encoding_of_a_shapefile_is_used(spec_of: SpecOf, tmp_path: Path) -> None:
    frame(SQUARE).to_file(tmp_path / "park.shp", encoding="cp1252")
    (tmp_path / "park.cpg").unlink(missing_ok=True)
    assert rows(spec_of("park.shp", source='encoding = "cp1252"'))[0]["name"] == "Müller"


def test_a_layer_of_many_batches_gives_every_row(spec_of: SpecOf, tmp_path: Path) -> None:
    count = 12_001
    table = geopandas.GeoDataFrame(
        {"id": range(count), "name": "x"}, geometry=geopandas.points_from_xy(range(count), [0] * count), crs=3857
    )
    table.to_file(tmp_path / "park.fgb", SPATIAL_INDEX="NO")
    assert [row["id"] for row in rows(spec_of("park.fgb", kind="Point"))] == list(range(count))
