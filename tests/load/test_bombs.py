"""Files that become far more than they are end in one sentence, within a bounded memory and a bounded time."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dev.cluster import Cluster
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import PsycopgSession
from tests.load import bombs
from tests.load.bombs import ENDLESS, MB, Builder
from tests.load.watched_loads import WatchedLoads
from tests.warehouses import Warehouses

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what another process has")
MOST_BYTES = 400 * MB
MOST_S = 30

TOO_LARGE = "SourceTooLargeError: bomb: "
VALUE = r".*source\.max_value_bytes"
UNPACKED = r"once it is unpacked, and source\.max_ratio"
TAGS = r"has more than 262,144 tags, .*source\.max_value_bytes"
SQLITE = 'kind = "sqlite"\ntable = "bomb"'
EXCEL = 'kind = "excel"'
LAYER = 'kind = "vector"'
PARQUET = 'kind = "parquet"'
FEATURE = '{"type": "Feature", "properties": {"id": 1}, "geometry": {"type": "LineString", "coordinates": ['
KML = '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>1</name><LineString><coordinates>'
GML = (
    '<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml">'
    '<gml:featureMember><ogr:a fid="a.0"><ogr:geometryProperty><gml:LineString srsName="EPSG:4326"><gml:coordinates>'
)


class Case(NamedTuple):
    """A file, and what is said of it."""

    file: str
    build: Builder
    source: str
    says: str


CASES = {
    "a Parquet's long text that many rows refer to": Case(
        "a.parquet", bombs.parquet_of_one_long_text, PARQUET, f"{TOO_LARGE}a.parquet.* by row 4, .*source.max_ratio"
    ),
    "a Parquet's long page": Case(
        "a.parquet", bombs.parquet_of_one_long_page, PARQUET, f"{TOO_LARGE}a.parquet: a page of column 'id'"
    ),
    "a Parquet of one number over and over": Case(
        "a.parquet", bombs.parquet_of_many_rows, PARQUET, f"{TOO_LARGE}a.parquet.* {UNPACKED}"
    ),
    "a Parquet's long list": Case(
        "a.parquet", bombs.parquet_of_one_long_list, PARQUET, f"{TOO_LARGE}a.parquet.* {UNPACKED}"
    ),
    "a view of SQLite that makes a long value": Case(
        "a.db", bombs.view("SELECT zeroblob(900000000) AS id"), SQLITE, f"{TOO_LARGE}a.db, table bomb{VALUE}"
    ),
    "a view of SQLite that makes many long values": Case(
        "a.db",
        bombs.view(f"{ENDLESS} SELECT hex(zeroblob(7000000)) AS id FROM n LIMIT 200"),
        SQLITE,
        rf"{TOO_LARGE}a.db.*source.max_ratio",
    ),
    "a view of SQLite that never ends": Case(
        "a.db", bombs.view(f"{ENDLESS} SELECT id FROM n"), SQLITE, rf"{TOO_LARGE}a.db.*source.max_ratio"
    ),
    "a view of SQLite that never begins": Case(
        "a.db",
        bombs.view(f"{ENDLESS} SELECT count(*) AS id FROM n"),
        f"{SQLITE}\nmax_seconds = 1",
        r"SourceTooLargeError: bomb: a.db, table bomb.*source.max_seconds",
    ),
    "a column of SQLite that is computed": Case(
        "a.db", bombs.sqlite_computed, SQLITE, f"{TOO_LARGE}a.db, table bomb{VALUE}"
    ),
    "a view of a GeoPackage that makes a long value": Case(
        "a.gpkg",
        bombs.geopackage_view("SELECT fid, geom, hex(zeroblob(450000000)) AS id FROM place"),
        LAYER,
        f"{TOO_LARGE}a.gpkg{VALUE}",
    ),
    "a view of a GeoPackage that never ends": Case(
        "a.gpkg",
        bombs.geopackage_view(f"{ENDLESS} SELECT id AS fid, id, (SELECT geom FROM place) AS geom FROM n"),
        LAYER,
        rf"{TOO_LARGE}a.gpkg.*source.max_ratio",
    ),
    "a view of a GeoPackage of which a text is no text": Case(
        "a.gpkg",
        bombs.geopackage_view(
            "SELECT 1 AS fid, CAST(x'ff' AS text) AS id, geom FROM place UNION ALL SELECT 2, zeroblob(400000000), geom "
            "FROM place"
        ),
        LAYER,
        f"{TOO_LARGE}a.gpkg.*{VALUE}",
    ),
    "a view of a GeoPackage that never begins": Case(
        "a.gpkg",
        bombs.geopackage_view(f"{ENDLESS} SELECT count(*) AS fid, count(*) AS id, geom FROM n, place"),
        f"{LAYER}\nmax_seconds = 1",
        rf"{TOO_LARGE}a.gpkg.*source.max_seconds",
    ),
    "a GeoPackage whose list of layers never ends": Case(
        "a.gpkg",
        bombs.geopackage_of_endless_contents,
        f'{LAYER}\nlayer = "place"',
        "SourceUnreadableError: bomb: a.gpkg.*gpkg_contents.*view",
    ),
    "a workbook of many texts": Case("a.xlsx", bombs.workbook(strings=bombs.many_strings), EXCEL, "loaded: 1 rows"),
    "a workbook with a long text": Case(
        "a.xlsx", bombs.workbook(strings=bombs.long_string), EXCEL, f"{TOO_LARGE}a.xlsx, xl/sharedStrings.xml{VALUE}"
    ),
    "a workbook with a long text that looks like many": Case(
        "a.xlsx", bombs.workbook(strings=bombs.hidden_ends), EXCEL, f"{TOO_LARGE}a.xlsx, xl/sharedStrings.xml{VALUE}"
    ),
    "a workbook with a short text that stands for a long one": Case(
        "a.xlsx",
        bombs.workbook(strings=bombs.entities),
        EXCEL,
        "SourceUnreadableError: bomb: a.xlsx, xl/sharedStrings.xml declares a document type",
    ),
    "a workbook with a text of many pieces": Case(
        "a.xlsx", bombs.workbook(strings=bombs.string_of_runs), EXCEL, f"{TOO_LARGE}a.xlsx.*sharedStrings.xml.* {TAGS}"
    ),
    "a workbook with a wide row": Case(
        "a.xlsx", bombs.workbook(sheet=bombs.wide_row), EXCEL, f"{TOO_LARGE}a.xlsx.*sheet1.xml.* {TAGS}"
    ),
    "a workbook of many rows": Case("a.xlsx", bombs.workbook(sheet=bombs.many_rows), EXCEL, f"{TOO_LARGE}a.xlsx.*rows"),
    "a workbook of many merged cells": Case(
        "a.xlsx", bombs.workbook(sheet=bombs.many_merges), EXCEL, f"{TOO_LARGE}a.xlsx.*sheet1.xml.* {TAGS}"
    ),
    "a workbook of many styles": Case(
        "a.xlsx", bombs.workbook(styles=bombs.many_styles), EXCEL, f"{TOO_LARGE}a.xlsx.*styles.xml.* {TAGS}"
    ),
    "a workbook with a long style": Case(
        "a.xlsx",
        bombs.workbook(styles=bombs.long_style),
        EXCEL,
        f"{TOO_LARGE}a.xlsx, xl/styles.xml: it is read at once",
    ),
    "a workbook with a cell that no sheet has": Case(
        "a.xlsx", bombs.workbook(sheet=bombs.far_cell), EXCEL, f"{TOO_LARGE}a.xlsx.*columns"
    ),
    "a workbook with a row that no sheet has": Case(
        "a.xlsx", bombs.workbook(sheet=bombs.far_row), EXCEL, f"{TOO_LARGE}a.xlsx.*rows"
    ),
    "a workbook that says it is wide": Case(
        "a.xlsx", bombs.workbook(sheet=bombs.wide_dimension), EXCEL, "loaded: 20000 rows"
    ),
    "a JSON of one long text": Case(
        "a.json.gz",
        bombs.packed(('[{"id": "', 1), ("x", 60 * MB), ('"}]', 1)),
        'kind = "json"',
        f"{TOO_LARGE}a.json.gz{VALUE}",
    ),
    "a JSON of one long list": Case(
        "a.json.gz",
        bombs.packed(('[{"id": [1', 1), (",1", 12 * MB), ("]}]", 1)),
        'kind = "json"',
        f"{TOO_LARGE}a.json.gz.*values",
    ),
    "lines of JSON of which one is long": Case(
        "a.json.gz",
        bombs.packed(('{"id": "', 1), ("x", 60 * MB), ('"}\n', 1)),
        'kind = "json"\nlayout = "lines"',
        f"{TOO_LARGE}a.json.gz: record 1 is longer than source.max_value_bytes",
    ),
    "lines of JSON of which one is a long list": Case(
        "a.json.gz",
        bombs.packed(('{"id": [1', 1), (",1", 12 * MB), ("]}\n", 1)),
        'kind = "json"\nlayout = "lines"',
        f"{TOO_LARGE}a.json.gz.*values",
    ),
    "a text with a long value": Case(
        "a.csv.zst",
        bombs.packed(("id\n", 1), ("x", 60 * MB)),
        'kind = "csv"',
        f"{TOO_LARGE}a.csv.zst.* after row 0, a record is longer than source.max_value_bytes",
    ),
    "a text whose first line never ends": Case(
        "a.csv.zst", bombs.packed(("x,", 600 * MB)), 'kind = "csv"', f"{TOO_LARGE}a.csv.zst{VALUE}"
    ),
    "a text of the same row over and over": Case(
        "a.csv.zst",
        bombs.packed(("id\n", 1), ("1\n", 400 * MB)),
        'kind = "csv"',
        f"{TOO_LARGE}a.csv.zst.*source.max_ratio",
    ),
    "a text of quotes alone": Case(
        "a.csv.zst", bombs.packed(("id\n", 1), ('"', 300 * MB)), 'kind = "csv"', f"{TOO_LARGE}.*{VALUE}"
    ),
    "a text with comments whose line never ends": Case(
        "a.csv.zst", bombs.packed(("id\n", 1), ("x", 300 * MB)), 'kind = "csv"\ncomment = "#"', f"{TOO_LARGE}.*{VALUE}"
    ),
    "a GeoJSON of one long shape": Case(
        "a.zip",
        bombs.zipped(
            "a.geojson",
            ('{"type": "FeatureCollection", "features": [', 1),
            (f"{FEATURE}[0,0]", 1),
            (",[1,1]", 60 * MB),
            ("]}}]}", 1),
        ),
        LAYER,
        f"{TOO_LARGE}a.zip, a.geojson.*",
    ),
    "a GeoJSON that is one long shape": Case(
        "a.zip",
        bombs.zipped("a.geojson", (f"{FEATURE}[0,0]", 1), (",[1,1]", 60 * MB), ("]}}", 1)),
        LAYER,
        f"{TOO_LARGE}a.zip, a.geojson{VALUE}",
    ),
    "a KML of one long shape": Case(
        "a.kmz",
        bombs.zipped(
            "doc.kml", (KML, 1), ("1,1 ", 60 * MB), ("</coordinates></LineString></Placemark></Document></kml>", 1)
        ),
        LAYER,
        f"{TOO_LARGE}a.kmz, doc.kml{VALUE}",
    ),
    "a GML of one long shape": Case(
        "a.zip",
        bombs.zipped(
            "a.gml",
            (GML, 1),
            ("1,1 ", 60 * MB),
            (
                "</gml:coordinates></gml:LineString></ogr:geometryProperty><ogr:id>1</ogr:id></ogr:a>"
                "</gml:featureMember></ogr:FeatureCollection>",
                1,
            ),
        ),
        LAYER,
        f"{TOO_LARGE}a.zip, a.gml{VALUE}",
    ),
    "a shapefile of one long shape": Case(
        "a.zip", bombs.zipped_layer("a.shp", "ESRI Shapefile"), LAYER, f"{TOO_LARGE}a.zip, a.shp{VALUE}"
    ),
    "a FlatGeobuf of one long shape": Case(
        "a.zip", bombs.zipped_layer("a.fgb", "FlatGeobuf"), LAYER, f"{TOO_LARGE}a.zip, a.fgb: row 1 is{VALUE}"
    ),
    "a FileGDB of one long shape": Case(
        "a.zip", bombs.zipped_layer("a.gdb", "OpenFileGDB"), LAYER, f"{TOO_LARGE}a.zip: row 1{VALUE}"
    ),
}


@pytest.fixture(scope="module")
def loads(postgres: Cluster, warehouses: Warehouses, shared_database: str) -> Iterator[WatchedLoads]:
    """One process for all, as long as it lives."""
    run = RunKey("master_etl", "bombs")
    store.open_run(PsycopgSession(warehouses.asker(shared_database)), run, commit_sha=None, trigger_kind="test")
    found = WatchedLoads(postgres.url("sluiceway_loader", shared_database), run.run_id)
    yield found
    found.close()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_small_file_that_becomes_much_ends_in_one_sentence(loads: WatchedLoads, tmp_path: Path, case: Case) -> None:
    case.build(tmp_path / case.file)
    shape = '[geometry]\ntype = "Geometry"\n' if case.source.startswith(LAYER) else ""
    column = 'id = { source = "Name", type = "text" }' if "kml" in case.says else 'id = "text"'
    (tmp_path / "bomb.toml").write_text(
        f'description = "Bomb"\nkey = "content"\n[source]\n{case.source}\nuri = "{case.file}"\n'
        f"[columns]\n{column}\n{shape}"
    )
    found = loads.load(tmp_path / "bomb.toml")
    assert re.match(case.says, found.said), found.said
    assert "\n" not in found.said
    assert found.peak < MOST_BYTES, f"{found.peak / MB:,.0f} MB"
    assert found.seconds < MOST_S


WIDE = 40_000
WIDE_CASES = {
    "csv": Case("a.csv", bombs.columns_csv(10 * WIDE), 'kind = "csv"', "a.csv"),
    "json": Case("a.json", bombs.columns_json(WIDE), 'kind = "json"', "a.json"),
    "lines of json": Case(
        "a.ndjson", bombs.columns_json(4_000, "", "\n"), 'kind = "json"\nlayout = "lines"', "a.ndjson"
    ),
    "json of another key each": Case("a.json", bombs.columns_json_each(WIDE), 'kind = "json"', "a.json"),
    "parquet": Case("a.parquet", bombs.columns_parquet(WIDE), PARQUET, "a.parquet"),
    "excel": Case("a.xlsx", bombs.columns_excel(16_000), EXCEL, "a.xlsx, sheet Sheet"),
    "sqlite": Case("a.db", bombs.columns_sqlite(1_900), SQLITE, "a.db, table bomb"),
    "vector": Case("a.geojson", bombs.columns_vector(WIDE), LAYER, "a.geojson, layer a"),
}


@pytest.mark.parametrize("how", ["load", "preview", "infer"])
@pytest.mark.parametrize("case", WIDE_CASES.values(), ids=WIDE_CASES)
def test_a_file_of_more_columns_than_a_table_can_have_is_told_at_once(
    loads: WatchedLoads, tmp_path: Path, case: Case, how: str
) -> None:
    case.build(tmp_path / case.file)
    toml = tmp_path / "bomb.toml"
    toml.write_text(
        f'description = "Bomb"\nkey = "content"\n[source]\n{case.source}\nuri = "{case.file}"\n[columns]\nc1 = "text"\n'
    )
    found = loads.load(tmp_path / case.file if how == "infer" else toml, how)
    said = rf"SourceTooLargeError: \w+: {case.says} has [\d,]+ columns and source\.max_columns allows 1,600"
    assert re.match(said, found.said), found.said
    assert found.peak < MOST_BYTES
    assert found.seconds < MOST_S
