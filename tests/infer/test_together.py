"""A draft over several files, or sheets and layers of one: one table, and what differs among them is told."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import geopandas
import openpyxl
import pytest
from shapely import Point

from sluiceway.errors import ConfigError, EmptyExtractionError, SourceUnreadableError
from sluiceway.infer.asked import Asked, table_name
from sluiceway.infer.infer import infer
from sluiceway.infer.preview import preview
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec


def put(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def drafted(folder: Path, what: str, **asked: Any) -> tuple[dict[str, Any], TableSpec, str]:
    """The draft's content, its spec, and its text."""
    out = folder / "thing.toml"
    text = infer(Asked(str(folder / what), **asked), out)
    out.write_text(text, encoding="utf-8")
    return tomllib.loads(text), read_spec(out), text


def test_files_that_fit_are_one_table_with_a_column_that_says_which(tmp_path: Path) -> None:
    put(tmp_path, a__csv="id,size\n1,5\n2,6\n", b__csv="size,id\n7,1\n8,2\n")
    data, spec, text = drafted(tmp_path, "*.csv")
    assert data["source"] == {"kind": "csv", "uri": "*.csv"}
    assert data["columns"] == {"id": "integer", "size": "integer", "file": {"source": "$file", "type": "text"}}
    assert "# 2 files in one table, by name: from a.csv to b.csv." in text
    assert [list(row.values()) for row in preview(spec).rows] == [
        *([1, 5, "a.csv"], [2, 6, "a.csv"], [1, 7, "b.csv"], [2, 8, "b.csv"])
    ]


def test_a_column_that_a_file_lacks_is_left_out_and_the_file_named(tmp_path: Path) -> None:
    put(tmp_path, a__csv="id,old\n1,5\n", b__csv="id,new\n2,6\n", c__csv="id,new\n3,6\n")
    data, spec, text = drafted(tmp_path, "*.csv")
    assert set(data["columns"]) == {"id", "file"}
    assert "# 'old' is left out: 2 of 3 lack it, b.csv, c.csv" in text
    assert "# 'new' is left out: a.csv lacks it" in text
    assert preview(spec).rejected == 0


def test_a_file_that_is_written_otherwise_is_named(tmp_path: Path) -> None:
    put(tmp_path, a__csv="id,size\n1,5\n2,6\n", b__csv="id;size\n3;7\n4;8\n")
    with pytest.raises(
        SourceUnreadableError, match=r"b\.csv is read otherwise than a\.csv: delimiter = ';' and nothing; make them"
    ):
        drafted(tmp_path, "*.csv")


def test_plain_letters_are_in_whatever_encoding_the_others_are(tmp_path: Path) -> None:
    plain, accents = b"id,name\n1,Ponce\n", "id,name\n2,Mayag\xfcez\n3,A\xf1asco\n"
    put(tmp_path, a__csv=plain, b__csv=accents.encode("cp1252"), c__csv=plain.replace(b"1", b"4"))
    data, spec, _ = drafted(tmp_path, "*.csv")
    assert data["source"]["encoding"] == "cp1252"
    assert [row["name"] for row in preview(spec).rows] == ["Ponce", "Mayagüez", "Añasco", "Ponce"]
    put(tmp_path, d__csv=accents.replace("2", "5").encode())
    with pytest.raises(SourceUnreadableError, match=r"d\.csv is in UTF-8 and a\.csv in cp1252"):
        drafted(tmp_path, "*.csv")


def test_an_empty_file_among_others_hinders_no_draft(tmp_path: Path) -> None:
    put(tmp_path, a__csv="", b__csv="id\n1\n")
    assert drafted(tmp_path, "*.csv")[0]["columns"]["id"] == "integer"
    put(tmp_path, b__csv="")
    with pytest.raises(EmptyExtractionError):
        drafted(tmp_path, "*.csv")


def test_json_keys_that_come_late_are_seen_in_every_file(tmp_path: Path) -> None:
    late = [{"id": number} for number in range(40_000)] + [{"id": -1, "late": 1}]
    put(tmp_path, a__json=json.dumps(late), b__json='[{"id": 50000, "late": 2}]', c__json='[{"id": 60000}]')
    data, _, text = drafted(tmp_path, "*.json")
    assert set(data["columns"]) == {"id", "file"}
    assert "'late' is left out: c.json lacks it" in text


def test_sheets_that_fit_are_one_table(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Notes"
    for year in (2024, 2023):
        sheet = book.create_sheet(str(year))
        for row in (["Plant", "Gallons"], ["Kern", year], ["Inyo", 5]):
            sheet.append(row)
    book.save(tmp_path / "plant.xlsx")
    data, spec, text = drafted(tmp_path, "plant.xlsx", sheet="20*")
    assert data["source"] == {"kind": "excel", "uri": "plant.xlsx", "sheet": "20*"}
    assert data["columns"]["sheet"] == {"source": "$sheet", "type": "text"}
    assert "# 2 sheets in one table, by name: from plant.xlsx, sheet 2023 to plant.xlsx, sheet 2024." in text
    assert [row["sheet"] for row in preview(spec).rows] == ["2023", "2023", "2024", "2024"]


def test_a_sheet_of_what_has_none_is_a_usage_error(tmp_path: Path) -> None:
    put(tmp_path, a__csv="id\n1\n")
    with pytest.raises(ConfigError, match=r"^--sheet: a source of kind csv has none; leave it out$"):
        drafted(tmp_path, "*.csv", sheet="20*")


def test_layers_that_fit_are_one_table_with_their_shapes(tmp_path: Path) -> None:
    for number, county in enumerate(["kern", "inyo"]):
        frame = geopandas.GeoDataFrame({"apn": [number]}, geometry=[Point(number, 1)], crs="EPSG:4326")
        frame.to_file(tmp_path / "parcel.gpkg", layer=county, driver="GPKG")
    data, spec, _ = drafted(tmp_path, "parcel.gpkg", layer="*")
    assert data["columns"]["layer"] == {"source": "$layer", "type": "text"}
    assert data["geometry"]["type"] == "Point"
    assert [row["layer"] for row in preview(spec).rows] == ["inyo", "kern"]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (Asked("data/2024/readings_*.csv"), "readings"),
        (Asked("data/flood/*.csv"), "flood"),
        (Asked("s3://bucket/flood/**/*.parquet"), "flood"),
        (Asked("plants.xlsx", sheet="*"), "plants"),
        (Asked("plants.xlsx", sheet="20*"), "n_20"),
        (Asked("-", name="flood"), "flood"),
    ],
)
def test_a_table_of_several_files_is_named_by_what_they_share(asked: Asked, name: str) -> None:
    assert table_name(asked) == name
