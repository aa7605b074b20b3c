"""Several files, sheets, layers, tables and members as one source, and columns that say where a row came from."""

from __future__ import annotations

import gzip
import io
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely import Point, box

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnreadableError,
)
from sluiceway.sources import bounds
from sluiceway.sources.extraction import Extraction
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]


def toml(source: str, columns: str, more: str = "") -> str:
    return f'description = "Things"\nkey = "content"\n[source]\n{source}\n[columns]\n{columns}\n{more}'


def rows(spec: TableSpec) -> list[tuple[Any, ...]]:
    with opened(spec) as extraction:
        return rows_of(extraction)


def rows_of(extraction: Extraction) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in extraction.batches for row in batch.to_pylist()]


def workbook(**sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    kept = io.BytesIO()
    book.save(kept)
    return kept.getvalue()


BY_YEAR = {"y2024": [["id", "size"], [3, 30]], "y2023": [["size", "id"], [10, 1], [20, 2]]}


def test_every_sheet_is_read_by_name_and_says_so(write_spec: WriteSpec) -> None:
    spec = write_spec(
        "plant",
        toml(
            'kind = "excel"\nuri = "plant.xlsx"\nsheet = "*"', 'year = {type = "text", source = "$sheet"}\nid = "text"'
        ),
        plant__xlsx=workbook(**BY_YEAR),
    )
    assert rows(spec) == [("y2023", "1"), ("y2023", "2"), ("y2024", "3")]


def test_a_sheet_without_the_columns_is_named_and_a_narrower_pattern_leaves_it_out(write_spec: WriteSpec) -> None:
    book = workbook(**BY_YEAR, Notes=[["about"], ["these plants"]])
    said = 'kind = "excel"\nuri = "plant.xlsx"\nsheet = "{}"'
    wrong = write_spec("plant", toml(said.format("*"), 'id = "integer"'), plant__xlsx=book)
    with pytest.raises(
        SchemaDriftError,
        match=r"in plant\.xlsx, sheet Notes, column 'id' is missing.*source\.sheet = '\*' takes it for one of",
    ):
        rows(wrong)
    assert rows(write_spec("plant", toml(said.format("y20*"), 'id = "integer"'))) == [(1,), (2,), (3,)]
    with pytest.raises(EmptyExtractionError, match=r"no sheet fits source\.sheet = '19\*'.*Notes, y2023, y2024"):
        rows(write_spec("plant", toml(said.format("19*"), 'id = "integer"')))
    with pytest.raises(SourceTooLargeError, match=r"2 parts of it fit, and source\.max_files allows 1"):
        rows(write_spec("plant", toml(said.format("y*") + "\nmax_files = 1", 'id = "integer"')))


def test_files_and_their_sheets_may_both_be_patterns(write_spec: WriteSpec) -> None:
    where = 'county = {type = "text", source = "$file"}\nyear = {type = "text", source = "$sheet"}\nid = "integer"'
    spec = write_spec(
        "plant",
        toml('kind = "excel"\nuri = "*_plants.xlsx"\nsheet = "y*"', where),
        kern_plants__xlsx=workbook(y2023=[["id"], [1]], y2024=[["id"], [2]]),
        inyo_plants__xlsx=workbook(y2023=[["id"], [3]]),
    )
    assert rows(spec) == [
        ("inyo_plants.xlsx", "y2023", 3),
        ("kern_plants.xlsx", "y2023", 1),
        ("kern_plants.xlsx", "y2024", 2),
    ]


def test_tables_of_an_sqlite_file_are_one_source(tmp_path: Path, write_spec: WriteSpec) -> None:
    with closing(sqlite3.connect(tmp_path / "permit.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE permits_2023 (id INTEGER); INSERT INTO permits_2023 VALUES (1);"
            "CREATE TABLE permits_2024 (id INTEGER); INSERT INTO permits_2024 VALUES (2);"
            "CREATE TABLE other (name TEXT);"
        )
    where = 'part = {type = "text", source = "$table"}\nid = "integer"'
    spec = write_spec("permit", toml('kind = "sqlite"\nuri = "permit.sqlite"\ntable = "permits_*"', where))
    assert rows(spec) == [("permits_2023", 1), ("permits_2024", 2)]


def layers(path: Path, **crs: str) -> None:
    for number, (name, each) in enumerate(crs.items()):
        frame = geopandas.GeoDataFrame({"id": [number]}, geometry=[Point(number, 1)], crs=each)
        frame.to_file(path, layer=name, driver="GPKG")


SHAPES = '[geometry]\ntype = "Point"\n'


def test_every_layer_is_read_and_the_styles_of_qgis_are_none(tmp_path: Path, write_spec: WriteSpec) -> None:
    layers(tmp_path / "well.gpkg", kern="EPSG:4326", inyo="EPSG:4326")
    with closing(sqlite3.connect(tmp_path / "well.gpkg")) as connection:
        connection.executescript(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, styleQML TEXT);"
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'x');"
        )
    where = 'county = {type = "text", source = "$layer"}\nid = "integer"'
    spec = write_spec("well", toml('kind = "vector"\nuri = "well.gpkg"\nlayer = "*"', where, SHAPES))
    assert [row[:2] for row in rows(spec)] == [("inyo", 1), ("kern", 0)]


def test_layers_in_several_crs_are_refused_by_their_names(tmp_path: Path, write_spec: WriteSpec) -> None:
    layers(tmp_path / "well.gpkg", inyo="EPSG:26911", kern="EPSG:26910")
    spec = write_spec("well", toml('kind = "vector"\nuri = "well.gpkg"\nlayer = "*"', 'id = "integer"', SHAPES))
    with pytest.raises(
        SchemaDriftError, match=r"layer kern is in the CRS EPSG:26910 and layer inyo in EPSG:26911; save them in one"
    ):
        rows(spec)


def test_shapefiles_of_a_folder_are_one_source(tmp_path: Path, write_spec: WriteSpec) -> None:
    for number, county in enumerate(["inyo", "kern"]):
        frame = geopandas.GeoDataFrame({"id": [number]}, geometry=[box(0, 0, 1, 1)], crs="EPSG:3310")
        (tmp_path / county).mkdir()
        frame.to_file(tmp_path / county / "parcels.shp")
    where = 'file = {type = "text", source = "$file"}\nid = "integer"'
    spec = write_spec("parcel", toml('kind = "vector"\nuri = "**/*.shp"', where, '[geometry]\ntype = "MultiPolygon"\n'))
    assert [row[:2] for row in rows(spec)] == [("inyo/parcels.shp", 0), ("kern/parcels.shp", 1)]


def zipped(**members: str) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return kept.getvalue()


def test_the_parts_of_all_members_together_are_counted(write_spec: WriteSpec, tmp_path: Path) -> None:
    layers(tmp_path / "a.gpkg", inyo="EPSG:4326", kern="EPSG:4326")
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for name in ("a.gpkg", "b.gpkg"):
            archive.write(tmp_path / "a.gpkg", name)
    said = 'kind = "vector"\nuri = "pack.zip"\nmember = "*.gpkg"\nlayer = "*"\nmax_files = {}'
    assert len(rows(write_spec("well", toml(said.format(4), 'id = "integer"', SHAPES)))) == 4
    with pytest.raises(SourceTooLargeError, match=r"pack\.zip: 4 parts of it fit, and source\.max_files allows 3"):
        rows(write_spec("well", toml(said.format(3), 'id = "integer"', SHAPES)))


def test_members_are_counted_before_one_is_read(write_spec: WriteSpec) -> None:
    said = 'kind = "csv"\nuri = "pack.zip"\nmember = "*.csv"\nmax_files = {}'
    pack = zipped(feb__csv="id\n2\n", jan__csv="id\n1\n")
    assert rows(write_spec("reading", toml(said.format(2), 'id = "integer"'), pack__zip=pack)) == [("2",), ("1",)]
    with pytest.raises(SourceTooLargeError, match=r"pack\.zip: 2 parts of it fit, and source\.max_files allows 1"):
        rows(write_spec("reading", toml(said.format(1), 'id = "integer"')))


def test_each_file_may_become_max_ratio_times_as_much(write_spec: WriteSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SMALL_BYTES", 10)
    spec = write_spec(
        "reading",
        toml('kind = "csv"\nuri = "*.csv.gz"\nmax_ratio = 20', 'id = "integer"'),
        a__csv__gz=gzip.compress(b"id\n1\n2\n"),
        b__csv__gz=gzip.compress(b"id\n" + b"1\n" * 1_000),
    )
    with pytest.raises(SourceTooLargeError, match=r"^reading: b\.csv\.gz has \d+ bytes and becomes more than"):
        rows(spec)


def test_members_of_a_zip_are_one_source(write_spec: WriteSpec) -> None:
    pack = zipped(feb__csv="id\n2\n", jan__csv="id\n1\n", readme__txt="no data")
    where = 'month = {type = "text", source = "$member"}\nid = "integer"'
    source = 'kind = "csv"\nuri = "pack.zip"\nmember = "{}"'
    spec = write_spec("reading", toml(source.format("*.csv"), where), pack__zip=pack)
    assert rows(spec) == [("feb.csv", "2"), ("jan.csv", "1")]
    with pytest.raises(EmptyExtractionError, match=r"pack\.zip: no member fits source\.member = '\*\.tsv'"):
        rows(write_spec("reading", toml(source.format("*.tsv"), where)))
    with pytest.raises(SourceMissingError, match=r"a\.csv is no \.zip; remove source\.member"):
        rows(write_spec("reading", toml('kind = "csv"\nuri = "a.csv"\nmember = "*"', where), a__csv="id\n1\n"))


def test_a_single_file_says_its_name_too(write_spec: WriteSpec) -> None:
    spec = write_spec(
        "city", toml('kind = "csv"\nuri = "c 1.csv"', 'id = "integer"\nf = {type = "text", source = "$file"}')
    )
    Path(spec.source.uri).write_text("id\n1\n")  # type: ignore[union-attr]
    assert rows(spec) == [("1", "c 1.csv")]


def test_a_file_without_a_header_says_its_name_too(write_spec: WriteSpec) -> None:
    columns = 'f = {type = "text", source = "$file"}\nid = {type = "integer", source = 1}'
    spec = write_spec("city", toml('kind = "csv"\nuri = "*.csv"\nheader = false', columns), a__csv="1\n", b__csv="2\n")
    assert rows(spec) == [("a.csv", "1"), ("b.csv", "2")]


def test_alternative_names_are_chosen_in_each_file_by_itself(write_spec: WriteSpec) -> None:
    spec = write_spec(
        "tract",
        toml('kind = "csv"\nuri = "*.csv"', 'geoid = {type = "text", source = ["GEOID20", "GEOID10"]}'),
        a__csv="GEOID10\n1\n",
        b__csv="x,GEOID20\n0,2\n",
    )
    assert rows(spec) == [("1",), ("2",)]


def test_a_file_of_another_kind_is_named(write_spec: WriteSpec, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / "x" / "a.parquet")
    (tmp_path / "x" / "b.parquet").write_text("id\n1\n")
    spec = write_spec("thing", toml('kind = "parquet"\nuri = "x/*.parquet"', 'id = "integer"'))
    with pytest.raises(SourceUnreadableError, match=r"b\.parquet"):
        rows(spec)


def test_a_number_here_and_a_text_there_are_refused_but_nothing_at_all_is_not(
    write_spec: WriteSpec, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"fips": [6001]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"fips": pa.nulls(1)}), tmp_path / "b.parquet")
    spec = write_spec("county", toml('kind = "parquet"\nuri = "*.parquet"', 'fips = "text"'))
    assert rows(spec) == [(6001,), (None,)]
    pq.write_table(pa.table({"fips": ["06001"]}), tmp_path / "c.parquet")
    with pytest.raises(SchemaDriftError, match=r"'fips' holds text in c\.parquet and number in a\.parquet"):
        rows(spec)


def test_a_broken_file_is_named_by_its_folder_too(write_spec: WriteSpec, tmp_path: Path) -> None:
    for name, content in (("2023", b"id\n1\n"), ("2024", b"id\n\xff\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_bytes(content)
    spec = write_spec("thing", toml('kind = "csv"\nuri = "20*/a.csv"', 'name = "text"'))
    with pytest.raises(SchemaDriftError, match=r"in a\.csv, column 'name' is missing.* \(in 2023/a\.csv\)"):
        rows(spec)


def test_what_several_files_are_is_known_of_each_row(write_spec: WriteSpec) -> None:
    spec = write_spec(
        "thing",
        toml('kind = "csv"\nuri = "*.csv"', 'id = "integer"'),
        a__csv="id\n1\n2\n",
        b__csv="id\n",
        c__csv="id\n3\n4,4\n5\n",
    )
    with opened(spec) as extraction:
        assert len(rows_of(extraction)) == 4
        found = extraction.rows_from
        assert found is not None
        assert [found.said(number) for number in (1, 2, 3, 5)] == [
            *("a.csv, row 1", "a.csv, row 2", "c.csv, row 1", "c.csv, row 3")
        ]
        assert found.rows(5) == {"a.csv": 2, "b.csv": 0, "c.csv": 3}
        assert [(bad.row_number, bad.reason) for bad in extraction.unreadable] == [
            (4, "has 2 columns instead of 1 (c.csv, row 2)")
        ]


def test_a_spelling_of_an_origin_that_is_wrong_names_the_right_one(write_spec: WriteSpec) -> None:
    spec = write_spec(
        "thing", toml('kind = "csv"\nuri = "*.csv"', 'f = {type = "text", source = "$fil"}'), a__csv="id\n1\n"
    )
    with pytest.raises(SchemaDriftError, match=r"column '\$fil' is missing; did you mean '\$file'\?"):
        rows(spec)
