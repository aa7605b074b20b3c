"""Files as they come from the world (manifest.tsv says from where and what is hard): counted, or one clear error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.environment import ROOT
from sluiceway.errors import (
    EmptyExtractionError,
    SluicewayError,
    SourceMissingError,
    SourceUnreadableError,
    TooManyRejectsError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

REAL = ROOT.parent / "shared" / "data" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")

Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]


@pytest.fixture
def load(write_spec: Callable[..., TableSpec], warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads one real file as table `real`: columns and geometry as TOML."""

    def run(
        file: str, columns: str, *, key: str = '"content"', source: str = 'kind = "vector"', rest: str = ""
    ) -> TableRun:
        toml = (
            f'description = "Real"\nkey = {key}\n[source]\nuri = "{REAL / file}"\n{source}\n'
            f"[columns]\n{columns}\n{rest}\n"
        )
        return load_table(write_spec("real", toml), warehouse_url, run=open_run("r1"))

    return run


def counts(result: TableRun) -> tuple[int, int, int, int]:
    return result.extracted, result.inserted, result.rejected, result.repaired


DANISH = "06_cp1252_no_cpg/danish_point.shp"
POINT = '[geometry]\ntype = "Point"\n'


@pytest.mark.parametrize("encoding", ["", '\nencoding = "cp1252"'], ids=["as GDAL guesses", "declared"])
def test_a_shapefile_in_latin_1_without_cpg_keeps_its_letters(load: Load, query: Query, encoding: str) -> None:
    columns = 'id = { source = "ID", type = "integer" }\nname = { source = "TEKST1", type = "text" }'
    source = f'kind = "vector"{encoding}'
    assert counts(load(DANISH, columns, key='"id"', source=source, rest=POINT)) == (4, 4, 0, 0)
    assert query("SELECT name FROM real WHERE id = 1") == [("Charløtte",)]
    assert query("SELECT count(*) FROM real WHERE ST_Within(geom, ST_MakeEnvelope(0, 50, 20, 60, 4326))") == [(4,)]


BAD_CPG = "09_bad_cpg/test.shp"
BAD_CPG_COLUMNS = 'number = { source = "TestInt", type = "integer" }'
BAD_CPG_GEOMETRY = '[geometry]\ntype = "MultiPolygon"\nsource_crs = "EPSG:4326"\n'


def test_a_shapefile_without_prj_asks_for_its_crs(load: Load) -> None:
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        load(BAD_CPG, BAD_CPG_COLUMNS, rest='[geometry]\ntype = "MultiPolygon"\n')


def test_a_polygon_whose_hole_lies_around_it_is_the_only_reject(load: Load, query: Query) -> None:
    result = load(BAD_CPG, BAD_CPG_COLUMNS, rest=BAD_CPG_GEOMETRY + "[checks]\nmax_rejects = 1\n")
    assert counts(result) == (3, 2, 1, 0)
    (reason,) = query("SELECT reason FROM etl.reject")
    assert str(reason[0]).startswith("geom: is invalid: ")


def test_a_polygon_whose_hole_lies_around_it_is_not_mended_to_nothing(load: Load, query: Query) -> None:
    # its rings stand in the wrong order: GEOS would repair it to POLYGON EMPTY
    rest = BAD_CPG_GEOMETRY + 'invalid = "repair"\n[checks]\nmax_rejects = 1\n'
    assert counts(load(BAD_CPG, BAD_CPG_COLUMNS, rest=rest)) == (3, 2, 1, 0)
    assert query("SELECT reason FROM etl.reject") == [("geom: is invalid: Hole lies outside shell[0 0]",)]


LGA = "11_null_geometries_poly/LGA_2013_AUST.shp"
LGA_COLUMNS = 'code = { source = "LGA_CODE13", type = "text" }\nname = { source = "LGA_NAME13", type = "text" }'


def test_null_geometries_fail_the_table_where_one_is_required(load: Load, query: Query) -> None:
    with pytest.raises(TooManyRejectsError, match="12 of 13 rows cannot be loaded"):
        load(LGA, LGA_COLUMNS, key='"code"', rest='[geometry]\ntype = "MultiPolygon"\n')
    assert query("SELECT to_regclass('real')") == [(None,)]


def test_null_geometries_are_loaded_where_none_is_required(load: Load, query: Query) -> None:
    result = load(LGA, LGA_COLUMNS, key='"code"', rest='[geometry]\ntype = "MultiPolygon"\nrequired = false\n')
    assert counts(result) == (13, 13, 0, 0)
    assert query("SELECT count(*) FROM real WHERE geom IS NULL") == [(12,)]


@pytest.mark.filterwarnings("ignore:Measured")
def test_measures_of_lines_are_dropped_and_the_lines_kept(load: Load, query: Query) -> None:
    result = load(
        "13_polyline_m/storms_xyzm_feature.shp",
        'track = { source = "Track", type = "text" }',
        rest='[geometry]\ntype = "MultiLineString"\nsource_crs = "EPSG:4326"\n[checks]\nmax_rejects = 0\n',
    )
    assert counts(result) == (71, 71, 0, 0)
    assert query("SELECT DISTINCT ST_NDims(geom) FROM real") == [(2,)]


def test_layers_of_a_geopackage_are_listed_when_none_is_named(load: Load) -> None:
    with pytest.raises(SourceMissingError, match=r"mixed_crs\.gpkg holds 2 layers: oregon_2269, oregon_4326"):
        load("20_gpkg_mixed_crs/mixed_crs.gpkg", 'name = { source = "NAME", type = "text" }')


@pytest.mark.parametrize("layer", ["oregon_2269", "oregon_4326"])
def test_layers_in_feet_and_in_degrees_end_at_the_same_place(load: Load, query: Query, layer: str) -> None:
    result = load(
        "20_gpkg_mixed_crs/mixed_crs.gpkg",
        'name = { source = "NAME", type = "text" }',
        key='"name"',
        source=f'kind = "vector"\nlayer = "{layer}"',
        rest='[geometry]\ntype = "MultiPolygon"\n',
    )
    assert counts(result) == (1, 1, 0, 0)
    oregon = "ST_MakeEnvelope(-124.8, 41.9, -116.4, 46.4, 4326)"
    assert query(f"SELECT ST_Within(geom, {oregon}), ST_Area(geom) BETWEEN 25 AND 30 FROM real") == [(True, True)]


def test_a_layer_without_features_is_an_empty_extraction(load: Load) -> None:
    with pytest.raises(EmptyExtractionError, match="real: the source gave no rows"):
        load(
            "26_fgb_empty/empty.fgb",
            'tests = "integer"',
            rest='[geometry]\ntype = "MultiPolygon"\n',
        )


ISTAT = "33_csv_latin1_semicolon/issue-811.csv"
ISTAT_SOURCE = 'kind = "csv"\ndelimiter = ";"'
ISTAT_COLUMNS = """
code = { source = "Codice Comune formato alfanumerico", type = "varchar(6)" }
name = { source = "Denominazione in italiano", type = "text" }
province = { source = "Sigla automobilistica", type = "varchar(2)" }
"""


def test_the_list_of_italian_municipalities_is_complete(load: Load, query: Query) -> None:
    result = load(ISTAT, ISTAT_COLUMNS, key='"code"', source=ISTAT_SOURCE + '\nencoding = "latin-1"')
    assert counts(result) == (7904, 7904, 0, 0)
    assert query("SELECT code, name FROM real ORDER BY code LIMIT 1") == [("001001", "Agliè")]
    # the province of Naples, and no null
    assert query("SELECT count(*) > 50 FROM real WHERE province = 'NA'") == [(True,)]


def test_a_file_in_latin_1_asks_for_its_encoding(load: Load) -> None:
    with pytest.raises(SourceUnreadableError, match=r"declare source\.encoding"):
        load(ISTAT, ISTAT_COLUMNS, key='"code"', source=ISTAT_SOURCE)


def test_a_file_with_a_byte_order_mark_is_complete(load: Load, query: Query) -> None:
    columns = 'company = "text"\ncity = "text"\ncapacity_mmg_per_y = "integer"\nlatitude = "double precision"'
    result = load("36_csv_bom/Biodiesel_Plants.csv", columns, source='kind = "csv"')
    assert counts(result) == (78, 78, 0, 0)
    assert query("SELECT city, capacity_mmg_per_y FROM real WHERE company = 'American GreenFuels'") == [
        ("New Haven", 35)
    ]


SQUIRRELS = "38_csv_dup_keys/2018_Central_Park_Squirrel_Census_-_Squirrel_Data_20250721.csv"
SQUIRREL_COLUMNS = """
squirrel_id = { source = "Unique Squirrel ID", type = "text" }
observed_date = { source = "Date", type = "date", format = "%m%d%Y" }
running = { source = "Running", type = "boolean" }
longitude = { source = "X", type = "double precision" }
"""


def test_repeated_keys_are_rejects_that_name_the_row_that_is_loaded(load: Load, query: Query) -> None:
    rest = "[checks]\nmax_rejects = 5\n"
    result = load(SQUIRRELS, SQUIRREL_COLUMNS, key='"squirrel_id"', source='kind = "csv"', rest=rest)
    assert counts(result) == (3023, 3018, 5, 0)
    assert query("SELECT count(*) FROM etl.reject WHERE reason LIKE 'key (squirrel_id) is repeated by row %'") == [(5,)]
    assert query("SELECT min(observed_date)::text, max(observed_date)::text FROM real") == [
        ("2018-10-06", "2018-10-20")
    ]


def test_one_repeated_key_more_than_allowed_fails_the_table(load: Load) -> None:
    with pytest.raises(TooManyRejectsError, match="5 of 3,023 rows cannot be loaded"):
        rest = "[checks]\nmax_rejects = 4\n"
        load(SQUIRRELS, SQUIRREL_COLUMNS, key='"squirrel_id"', source='kind = "csv"', rest=rest)


def test_a_shapefile_whose_header_lies_about_its_length_loads_in_full_or_fails(load: Load, query: Query) -> None:
    rest = '[geometry]\ntype = "MultiLineString"\nsource_crs = "EPSG:4326"\n[checks]\nmax_rejects = 9\n'
    try:
        result = load("40_broken_truncated/corrupt_too_long.shp", 'test = "text"', rest=rest)
    except SluicewayError:
        assert query("SELECT to_regclass('real')") == [(None,)]
    else:
        assert result.extracted == result.inserted + result.rejected == 10
