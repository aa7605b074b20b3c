"""A file of every kind, drafted and loaded as it is: every row arrives, with its letters, numbers and shapes."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import geopandas as gpd
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from sluiceway.errors import EmptyExtractionError, SourceMissingError, SourceUnreadableError
from sluiceway.ledger.store import TableRun
from tests.infer.drafted import zipped

Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
OPENED = [dt.datetime.fromisoformat("2020-01-31"), dt.datetime.fromisoformat("2020-02-01")]
NAMES = ["Mayagüez", "Łódź", "Ærø"]
SQUARE = shapely.box(10, 50, 11, 51)
BOW_TIE = shapely.Polygon([(10, 50), (11, 51), (11, 50), (10, 51)])


def towns(crs: int | None = 4326, kind: str = "point") -> gpd.GeoDataFrame:
    shapes = {"point": [shapely.Point(10 + n, 50) for n in range(3)], "polygon": [SQUARE, SQUARE, SQUARE]}
    return gpd.GeoDataFrame({"id": [1, 2, 3], "name": NAMES}, geometry=shapes[kind], crs=crs)


def test_a_text_with_everything_that_is_usual_in_germany(load: Load, query: Query) -> None:
    content = (
        "Bericht über Orte\r\n\r\nNr;Ort;Fläche;Tag\r\n"
        "01;Köln;1.234,5;31.12.2020\r\n02;Bad Tölz;0,25;01.02.2021\r\n03;Łabc?;;\r\nSumme über alles\r\n"
    ).replace("Ł", "L")
    found = load("orte.csv", content.encode("cp1252"))
    assert (found.extracted, found.inserted, found.rejected) == (3, 3, 0)
    assert query("SELECT nr, ort, flache, tag FROM drafted ORDER BY nr") == [
        ("01", "Köln", 1234.5, dt.date(2020, 12, 31)),
        ("02", "Bad Tölz", 0.25, dt.date(2021, 2, 1)),
        ("03", "Labc?", None, None),
    ]


def test_a_text_without_a_header(load: Load, query: Query) -> None:
    load("airports.dat", '1,"Goroka","PNG",-6.08,\\N\n2,"Madang","PNG",-5.2,3\n')
    assert query("SELECT column_2, column_5 FROM drafted ORDER BY column_1") == [("Goroka", None), ("Madang", 3)]


def test_rows_that_cannot_be_loaded_are_rejects_of_a_draft_that_loads(load: Load) -> None:
    found = load("a.csv", "id,name\n" + "".join(f"{n},x\n" for n in range(30)) + "98,a,b\n99\n")
    assert (found.extracted, found.inserted, found.rejected) == (32, 30, 2)


def test_many_rows_that_are_alike_in_full_are_all_loaded(load: Load, tmp_path: Path, query: Query) -> None:
    """A list of surplus has a line for each thing, and no number of it."""
    lines = [
        f"{item},{state}" for n, (item, state) in enumerate((i, s) for i in "ABCD" for s in "XY") for _ in range(n)
    ]
    found = load("surplus.csv", "item,state\n" + "\n".join(lines) + "\n")
    assert (found.extracted, found.inserted, found.rejected) == (28, 28, 0)
    assert query("SELECT count(*) FROM drafted WHERE item = 'D' AND state = 'Y'") == [(7,)]
    draft = (tmp_path / "drafted.toml").read_text()
    assert 'duplicates = "keep"  # 21 rows are alike in full with others, of 28, and all are kept; "reject"' in draft


@pytest.mark.parametrize(
    ("lines", "remark"),
    [
        (["a,1", "b,2", "b,2", "c,3"], "1 row is alike in full with another one, of 4: so few are rather a mistake"),
        (
            [f"{n},{n}" for n in range(2_000)] + ["7,7"] * 11,
            "11 rows are alike in full with others, of 2,011: so few are",
        ),
        ([f"x,{n}" for n in range(20)] * 2, "20 rows are alike in full with others, of 40: each row stands 2 times"),
    ],
)
def test_few_rows_that_are_alike_in_full_are_rejects_and_said(
    load: Load, tmp_path: Path, lines: list[str], remark: str
) -> None:
    found = load("a.csv", "name,size\n" + "\n".join(lines) + "\n")
    assert found.inserted == len(set(lines)) == found.extracted - found.rejected
    assert remark in (tmp_path / "drafted.toml").read_text().replace("\n# ", " ")


def test_rows_repeated_in_full_are_rejects_of_a_draft_that_loads(load: Load) -> None:
    found = load("a.csv", "a,b\nx,1\nx,1\ny,2\n")
    assert (found.extracted, found.inserted, found.rejected) == (3, 2, 1)


def test_a_text_that_is_null_of_one_column_is_a_value_of_another(load: Load, query: Query) -> None:
    found = load("a.csv", "id,n,country\n1,NA,NA\n2,5,DE\n3,4,FR\n")
    assert (found.inserted, found.rejected) == (3, 0)
    assert query("SELECT n, country FROM drafted ORDER BY id") == [(None, "NA"), (5, "DE"), (4, "FR")]


def test_longitude_and_latitude_become_points(load: Load, query: Query) -> None:
    found = load("a.csv", "id,latitude,longitude\n1,48.1,11.5\n2,,\n3,50,8\n")
    assert (found.inserted, found.rejected) == (3, 0)
    assert query("SELECT ST_AsText(geom), ST_SRID(geom), longitude FROM drafted ORDER BY id") == [
        ("POINT(11.5 48.1)", 4326, 11.5),
        (None, None, None),
        ("POINT(8 50)", 4326, 8.0),
    ]


@pytest.mark.parametrize("spell", ["wkt", "wkb_hex", "geojson"])
def test_a_geometry_in_a_text_becomes_one(load: Load, query: Query, spell: str) -> None:
    shown = {"wkt": SQUARE.wkt, "wkb_hex": SQUARE.wkb_hex, "geojson": shapely.to_geojson(SQUARE)}[spell]
    quoted = shown.replace('"', '""')
    found = load("a.csv", f'id,shape\n1,"{quoted}"\n')
    assert (found.inserted, found.rejected) == (1, 0)
    assert query("SELECT GeometryType(geom), ST_Area(geom) FROM drafted") == [("MULTIPOLYGON", 1.0)]


def test_json_keeps_numbers_and_documents(load: Load, query: Query) -> None:
    records = '[{"id": 1, "n": 12345678901234567, "v": 1.10, "o": {"a": [1, 2]}}, {"id": 2, "n": 1, "v": 2.20}]'
    load("a.json", f'{{"meta": {{"n": 2}}, "data": {{"items": {records}}}}}')
    assert query("SELECT id, n, v, o FROM drafted ORDER BY id") == [
        (1, 12345678901234567, Decimal("1.10"), {"a": [1, 2]}),
        (2, 1, Decimal("2.20"), None),
    ]


def test_one_json_object_per_line(load: Load) -> None:
    lines = "".join(json.dumps({"id": n, "name": NAMES[n % 3]}) + "\n" for n in range(100))
    found = load("a.ndjson", lines + "{broken\n")
    assert (found.extracted, found.inserted, found.rejected) == (101, 100, 1)


def test_parquet_keeps_its_types(load: Load, tmp_path: Path, query: Query) -> None:
    moment = dt.datetime(2020, 1, 31, 5, tzinfo=dt.UTC)
    table = pa.table(
        {
            "id": pa.array([1, 2, 2**62], pa.int64()),
            "code": ["007", "8", "9"],
            "day": pa.array([dt.date(2020, 1, 31)] * 3),
            "at": pa.array([moment] * 3, pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal("1.10")] * 3),
            "tags": [["a"], [], None],
            "raw": [b"x", b"y", b"z"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    load("a.parquet")
    assert query("SELECT id, code, day, at, price, tags FROM drafted ORDER BY id LIMIT 1") == [
        (1, "007", dt.date(2020, 1, 31), moment, Decimal("1.10"), ["a"])
    ]


def test_geoparquet_keeps_its_crs(load: Load, tmp_path: Path, query: Query) -> None:
    towns().to_crs(25832).to_parquet(tmp_path / "a.parquet")
    load("a.parquet")
    assert query("SELECT name, round(ST_X(geom)::numeric, 6) FROM drafted ORDER BY id LIMIT 1") == [
        ("Mayagüez", Decimal("10.000000"))
    ]


@pytest.mark.parametrize("names", [",1,name", "id,name,name,2", ",2,1,name,kind,place", "1,,2,name,kind,place"])
def test_a_number_as_a_name_is_no_other_columns_position(load: Load, query: Query, names: str) -> None:
    width = names.count(",") + 1
    rows = "".join(",".join(f"{letter}{n}" for letter in "abcdef"[:width]) + "\n" for n in range(9))
    assert load("a.csv", f"{names}\n{rows}").inserted == 9
    values = query("SELECT * FROM drafted")
    assert sorted(row[:width] for row in values) == [tuple(f"{c}{n}" for c in "abcdef"[:width]) for n in range(9)]


def test_bytes_of_a_fixed_size_are_left_out_with_a_remark(load: Load, tmp_path: Path, query: Query) -> None:
    table = pa.table({"id": [1, 2], "mark": pa.array([bytes(16), None], pa.binary(16))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert load("a.parquet").inserted == 2
    assert query("SELECT * FROM drafted ORDER BY id") == [(1, "master_etl/r1"), (2, "master_etl/r1")]
    assert "# 'mark' is left out: its values are bytes" in (tmp_path / "drafted.toml").read_text()


def test_shapes_of_a_fixed_size_are_the_geometry(load: Load, tmp_path: Path, query: Query) -> None:
    points = [shapely.to_wkb(shapely.Point(10 + n, 50)) for n in range(3)]
    pq.write_table(pa.table({"id": [1, 2, 3], "place": pa.array(points, pa.binary(21))}), tmp_path / "a.parquet")
    assert load("a.parquet").inserted == 3
    assert query("SELECT ST_AsText(geom) FROM drafted ORDER BY id") == [(f"POINT({10 + n} 50)",) for n in range(3)]


@pytest.mark.parametrize("named", [False, True])
def test_parquet_in_a_zip_is_to_be_unpacked(load: Load, tmp_path: Path, named: bool) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    content = zipped(a__parquet=(tmp_path / "a.parquet").read_bytes(), readme__txt=b"Notes")
    with pytest.raises(SourceUnreadableError, match=r"^b\.zip is a \.zip of Parquet \(a\.parquet\), .* unpack it$"):
        load("b.zip", content, **({"member": "a.parquet"} if named else {}))


def test_a_sheet_below_a_title(load: Load, tmp_path: Path, query: Query) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (
        ["Plants of the county"],
        [],
        ["Id", "Name", "Opened", "Output"],
        [1, NAMES[0], OPENED[0], 1.5],
        [2, NAMES[1], None, "N/A"],
        [3, NAMES[2], OPENED[1], 7],
    ):
        sheet.append(row)
    book.create_sheet("Notes")
    book.save(tmp_path / "a.xlsx")
    found = load("a.xlsx", sheet="Sheet")
    assert (found.extracted, found.inserted) == (3, 3)
    assert query("SELECT id, name, opened, output FROM drafted ORDER BY id") == [
        (1, "Mayagüez", dt.date(2020, 1, 31), 1.5),
        (2, "Łódź", None, None),
        (3, "Ærø", dt.date(2020, 2, 1), 7.0),
    ]


def test_a_workbook_of_several_sheets_lists_them(load: Load, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.create_sheet("Notes")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(SourceMissingError, match="Sheet, Notes"):
        load("a.xlsx")


def test_a_table_of_sqlite_with_wkb(load: Load, tmp_path: Path, query: Query) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE town (id INTEGER, name TEXT, code TEXT, shape BLOB)")
        connection.executemany("INSERT INTO town VALUES (?, ?, '1', ?)", [(n, NAMES[n], SQUARE.wkb) for n in range(3)])
    found = load("a.sqlite")
    assert (found.inserted, found.rejected) == (3, 0)
    assert query("SELECT name, code, GeometryType(geom) FROM drafted ORDER BY id LIMIT 1") == [
        ("Mayagüez", "1", "MULTIPOLYGON")
    ]


def test_a_database_of_several_tables_lists_them(load: Load, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE a (id INTEGER)")
        connection.execute("CREATE TABLE b (id INTEGER)")
        connection.execute("INSERT INTO b VALUES (1)")
    with pytest.raises(SourceMissingError, match="a, b; name one with --table"):
        load("a.sqlite")
    assert load("a.sqlite", table="b").inserted == 1


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.fgb", "a.shp", "a.gml"])
@pytest.mark.parametrize("kind", ["point", "polygon"])
def test_a_vector_file_is_loaded(load: Load, tmp_path: Path, query: Query, name: str, kind: str) -> None:
    towns(kind=kind).to_file(tmp_path / name)
    found = load(name)
    assert (found.extracted, found.inserted) == (3, 3)
    type_ = {"point": "POINT", "polygon": "MULTIPOLYGON"}[kind]
    assert query("SELECT name, GeometryType(geom), ST_SRID(geom) FROM drafted ORDER BY id LIMIT 1") == [
        ("Mayagüez", type_, 4326)
    ]


@pytest.mark.parametrize(("encoding", "names"), [("UTF-8", NAMES), ("cp1252", ["Mayagüez", "Ærø", "Åbo"])])
def test_a_shapefile_that_does_not_say_its_encoding_keeps_its_letters(
    load: Load, tmp_path: Path, query: Query, encoding: str, names: list[str]
) -> None:
    frame = towns()
    frame["name"] = names
    frame.to_file(tmp_path / "a.shp", encoding=encoding)
    (tmp_path / "a.cpg").unlink()
    load("a.shp")
    assert [name for (name,) in query("SELECT name FROM drafted ORDER BY id")] == names


def test_a_zipped_shapefile_in_a_folder_without_a_cpg_keeps_its_letters(
    load: Load, tmp_path: Path, query: Query
) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    towns().to_file(folder / "a.shp", encoding="UTF-8")
    parts = {f"deep/er/{part.name}".replace(".", "__"): part.read_bytes() for part in folder.glob("a.*")}
    del parts["deep/er/a__cpg"]
    load("a.zip", zipped(**parts))
    assert query("SELECT name FROM drafted ORDER BY id LIMIT 2") == [("Mayagüez",), ("Łódź",)]


def test_a_vector_file_without_a_crs_in_degrees_is_loaded_with_a_remark(load: Load, tmp_path: Path) -> None:
    towns(crs=None).to_file(tmp_path / "a.shp")
    assert load("a.shp").inserted == 3
    assert "look like degrees" in (tmp_path / "drafted.toml").read_text(encoding="utf-8")


def test_a_vector_file_without_a_crs_in_metres_waits_for_a_person(load: Load, tmp_path: Path) -> None:
    towns().to_crs(25832).set_crs(None, allow_override=True).to_file(tmp_path / "a.shp")
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        load("a.shp")
    text = (tmp_path / "drafted.toml").read_text(encoding="utf-8")
    assert '# source_crs = "EPSG:..."' in text


def test_shapes_that_cross_themselves_are_repaired_with_a_remark(load: Load, tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"id": [1, 2]}, geometry=[SQUARE, BOW_TIE], crs=4326)
    frame.to_file(tmp_path / "a.gpkg")
    found = load("a.gpkg")
    assert (found.inserted, found.repaired) == (2, 1)


def test_rows_without_a_shape_are_loaded_with_a_remark(load: Load, tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"id": [1, 2]}, geometry=[SQUARE, None], crs=4326)
    frame.to_file(tmp_path / "a.gpkg")
    assert load("a.gpkg").inserted == 2


def test_heights_are_kept_where_there_are_some(load: Load, tmp_path: Path, query: Query) -> None:
    frame = gpd.GeoDataFrame({"id": [1, 2]}, geometry=[shapely.Point(10, 50, 7), shapely.Point(1, 2, 0)], crs=4326)
    frame.to_file(tmp_path / "a.gpkg")
    load("a.gpkg")
    assert query("SELECT ST_Z(geom) FROM drafted ORDER BY id") == [(7.0,), (0.0,)]


def test_shapes_of_several_kinds_are_loaded_as_they_are(load: Load, tmp_path: Path, query: Query) -> None:
    frame = gpd.GeoDataFrame({"id": [1, 2]}, geometry=[SQUARE, shapely.Point(1, 2)], crs=4326)
    frame.to_file(tmp_path / "a.geojson")
    load("a.geojson")
    assert query("SELECT GeometryType(geom) FROM drafted ORDER BY id") == [("POLYGON",), ("POINT",)]


def test_a_layer_without_geometry_is_a_table(load: Load, tmp_path: Path) -> None:
    import pyogrio

    pyogrio.write_dataframe(towns().drop(columns="geometry"), tmp_path / "a.gpkg", layer="t")
    assert load("a.gpkg").inserted == 3


def test_a_file_of_two_layers_lists_them_and_takes_one(load: Load, tmp_path: Path) -> None:
    towns().to_file(tmp_path / "a.gpkg", layer="towns")
    towns(kind="polygon").to_crs(25832).to_file(tmp_path / "a.gpkg", layer="areas")
    with pytest.raises(SourceMissingError, match="towns, areas"):
        load("a.gpkg")
    assert load("a.gpkg", layer="areas").inserted == 3


def test_a_shapefile_that_is_cut_off_is_not_taken_for_one_with_rows_without_a_shape(load: Load, tmp_path: Path) -> None:
    towns(kind="polygon").to_file(tmp_path / "a.shp")
    content = (tmp_path / "a.shp").read_bytes()
    with pytest.raises(SourceUnreadableError, match="is cut off"):
        load("a.shp", content[:-20])


def test_an_empty_layer_gives_a_draft_and_no_load(load: Load, tmp_path: Path, query: Query) -> None:
    towns().iloc[:0].to_file(tmp_path / "a.fgb", driver="FlatGeobuf", geometry_type="Point")
    with pytest.raises(EmptyExtractionError):
        load("a.fgb")
    assert (tmp_path / "drafted.toml").exists()
    assert query("SELECT to_regclass('drafted')") == [(None,)]
