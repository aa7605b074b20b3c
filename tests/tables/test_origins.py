"""Columns that say where a row came from: what a table's file may say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import ConfigError
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec


def spec(folder: Path, source: str, columns: str, more: str = "") -> TableSpec:
    path = folder / "thing.toml"
    path.write_text(f'description = "x"\nkey = "content"\n{more}\n[source]\n{source}\n[columns]\n{columns}\n')
    return read_spec(path)


SHEET = 's = { type = "text", source = "$sheet" }\nid = "text"'
MEMBER = 's = { type = "text", source = "$member" }\nid = "text"'
CSV = 'kind = "csv"\nuri = "*.csv"'


@pytest.mark.parametrize(
    ("source", "columns", "more", "said"),
    [
        (CSV, SHEET, "", r"'\$sheet' is the sheet.* kind \"csv\" has none"),
        (CSV, MEMBER, "", r"which source\.member names; it may be a pattern"),
        (
            'kind = "excel"\nuri = "a.xlsx"',
            SHEET,
            "",
            r"columns\.s\.source: '\$sheet' is the sheet of the workbook, which source\.sheet names",
        ),
        (
            'kind = "sql"\nconnection = "erp"\ntable = "a"',
            'f = { type = "text", source = "$file" }\nid = "text"',
            "",
            r"'\$file' is of a file, and a source of kind \"sql\" is none",
        ),
        (CSV, 'f = { type = "text", source = "$file" }', "", "all of them say where a row came from"),
        (
            CSV,
            'f = { type = "text", source = "$file" }\ng = { type = "text", expression = "upper(f)" }',
            "",
            "all of them say where a row came from, or are computed of that; name one that the source holds",
        ),
        (CSV, 'f = { type = "text", source = ["id", "$file"] }', "", r"'\$file' is always there and stands alone"),
        (f'{CSV}\nsha256 = "{"0" * 64}"', 'id = "text"', "", r"source\.sha256: is of one file"),
        (
            'kind = "vector"\nuri = "*.shp"',
            'id = "text"',
            'split = "rows:5000"',
            r"split: cuts one layer of one file, and source\.uri = '.*\*\.shp' stands for several",
        ),
        (
            'kind = "vector"\nuri = "a.gpkg"\nlayer = "*"',
            'id = "text"',
            'split = "rows:5000"',
            r"source\.layer = '\*' stands for several",
        ),
    ],
)
def test_what_cannot_be_said_is_one_sentence(tmp_path: Path, source: str, columns: str, more: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spec(tmp_path, source, columns, more)


def test_how_many_files_may_fit_changes_no_row(tmp_path: Path) -> None:
    before = spec(tmp_path, CSV, 'id = "text"').fingerprint()
    assert spec(tmp_path, f"{CSV}\nmax_files = 5", 'id = "text"').fingerprint() == before


def test_a_file_without_a_header_may_have_a_column_that_says_its_name(tmp_path: Path) -> None:
    columns = 'f = { type = "text", source = "$file" }\nid = { type = "text", source = 1 }'
    assert spec(tmp_path, f"{CSV}\nheader = false", columns).columns["f"].source == "$file"
