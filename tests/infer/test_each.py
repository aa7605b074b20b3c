"""A draft for each part of a file: sheets, layers, tables, members, and for each file of several."""

from __future__ import annotations

import io
import sqlite3
import tomllib
import zipfile
from contextlib import closing
from pathlib import Path

import geopandas
import openpyxl
import pytest
from shapely import Point

from sluiceway.errors import SourceMissingError
from sluiceway.infer.asked import Asked
from sluiceway.infer.each import Drafted, infer_each


def drafts(path: Path, **asked: str) -> dict[str, Drafted]:
    return {each.table: each for each in infer_each(Asked(str(path), **asked), path.parent)}


def sources(found: dict[str, Drafted]) -> dict[str, dict[str, object]]:
    return {name: tomllib.loads(each.draft)["source"] for name, each in found.items() if each.draft is not None}


def test_a_table_for_each_sheet_and_an_empty_one_hinders_none(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Empty"
    for name in ("Plants", "2023", "2024"):
        sheet = book.create_sheet(name)
        for row in (["id", "size"], [1, 2]):
            sheet.append(row)
    book.save(tmp_path / "fuel.xlsx")
    found = drafts(tmp_path / "fuel.xlsx")
    assert {name: source["sheet"] for name, source in sources(found).items()} == {
        "plants": "Plants",
        "fuel_2023": "2023",
        "fuel_2024": "2024",
    }
    assert found["empty"].draft is None
    assert "is empty" in str(found["empty"].wrong)


def test_a_table_for_each_layer(tmp_path: Path) -> None:
    for name in ("wells", "roads"):
        frame = geopandas.GeoDataFrame({"id": [1]}, geometry=[Point(1, 1)], crs="EPSG:4326")
        frame.to_file(tmp_path / "base.gpkg", layer=name, driver="GPKG")
    assert sources(drafts(tmp_path / "base.gpkg"))["wells"] == {"kind": "vector", "uri": "base.gpkg", "layer": "wells"}


def test_a_table_for_each_table_of_an_sqlite_file(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "base.sqlite")) as connection:
        connection.executescript("CREATE TABLE a (id INTEGER); INSERT INTO a VALUES (1); CREATE TABLE b AS SELECT 2 x;")
    assert sources(drafts(tmp_path / "base.sqlite")).keys() == {"a", "b"}


def test_a_table_for_each_member_and_none_for_what_is_beside_them(tmp_path: Path) -> None:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        for name, content in {"x/a.csv": "id\n1\n", "y/a.csv": "id\n2\n", "readme.txt": "read me"}.items():
            archive.writestr(name, content)
    (tmp_path / "pack.zip").write_bytes(kept.getvalue())
    found = sources(drafts(tmp_path / "pack.zip"))
    assert {name: source["member"] for name, source in found.items()} == {"a": "x/a.csv", "pack_a": "y/a.csv"}


def test_a_table_for_each_file_that_fits(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "b.json").write_text('[{"id": 1}]')
    assert {name: source["uri"] for name, source in sources(drafts(tmp_path / "*.*")).items()} == {
        "a": "a.csv",
        "b": "b.json",
    }


def test_one_thing_alone_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert drafts(tmp_path / "a.csv").keys() == {"a"}
    with pytest.raises(SourceMissingError):
        drafts(tmp_path / "none.csv")
