"""The tables of "Load many files as one table" load what the page says, from files such as agencies publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import openpyxl
import pytest
from shapely import Point

from dev.docs.page import DOCS
from sluiceway.errors import SchemaDriftError
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
from tests.dev.docs.markdown import blocks

Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., int]
PAGE = DOCS / "how-to" / "many-files.md"


@pytest.fixture
def load(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads the page's table of that description as table `thing`; how many rows were read."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "data").mkdir()
    runs: list[RunKey] = []

    def run(about: str, change: Callable[[str], str] = str) -> int:
        (block,) = (each for each in blocks(PAGE) if each.language == "toml" and about in each.text)
        path = tmp_path / "tables" / "thing.toml"
        path.write_text(change(block.text), encoding="utf-8")
        runs.append(open_run(f"r{len(runs) + 1}"))
        return load_table(read_spec(path), warehouse_url, run=runs[-1]).extracted

    return run


def test_a_file_a_month(tmp_path: Path, load: Load, query: Query) -> None:
    folder = tmp_path / "data" / "ridership"
    folder.mkdir()
    (folder / "2024-01.csv").write_text("line,riders\n7,100\n9,50\n")
    (folder / "2024-02.csv").write_text("line,riders\n7,110\n")
    assert load("Ridership") == 3
    (folder / "2024-02.csv").write_text("line,riders\n7,110\n9,40\n")
    (folder / "2024-03.csv").write_text("line,riders\n7,120\n")
    assert load("Ridership") == 3
    assert query("SELECT file, sum(riders) FROM thing GROUP BY 1 ORDER BY 1") == [
        ("2024-01.csv", 150),
        ("2024-02.csv", 150),
        ("2024-03.csv", 120),
    ]


def test_a_sheet_a_year(tmp_path: Path, load: Load, query: Query) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].title = "Notes"
    book.worksheets[0].append(["about", "these plants"])
    for year in (2024, 2023):
        sheet = book.create_sheet(str(year))
        for row in (["plant", "gallons"], ["Kern", year]):
            sheet.append(row)
    book.save(tmp_path / "data" / "plants.xlsx")
    assert load("Fuel plants") == 2
    assert query("SELECT year, gallons FROM thing ORDER BY 1") == [(2023, 2023), (2024, 2024)]
    with pytest.raises(SchemaDriftError, match="sheet Notes"):
        load("Fuel plants", lambda text: text.replace('"20*"', '"*"'))


def test_a_layer_a_county(tmp_path: Path, load: Load, query: Query) -> None:
    for number, county in enumerate(["kern", "inyo"]):
        frame = geopandas.GeoDataFrame({"well_id": [number]}, geometry=[Point(number, 1)], crs="EPSG:4326")
        frame.to_file(tmp_path / "data" / "wells.gpkg", layer=county, driver="GPKG")
    assert load("Wells") == 2
    assert query("SELECT county, well_id, ST_X(geom) FROM thing ORDER BY 1") == [("inyo", 1, 1.0), ("kern", 0, 0.0)]
