"""landiq_crop: the shipped table on the real sample, on a generated statewide file and on an early year's names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
from shapely import Polygon

from bench.landiq_file import write_shapefile
from dev.environment import ROOT
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.settings import Settings
from sluiceway.tables import registry

SAMPLE = ROOT.parent / "shared" / "data" / "landiq" / "i15_crop_mapping_2023_provisional_20241127.gdb.zip"
CONFIG = ROOT / "include" / "config"
Rows = list[tuple[object, ...]]


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[..., TableRun]:
    """Loads landiq_crop from a file."""

    def run(path: Path, run_id: str = "r1") -> TableRun:
        spec = registry.read_from(registry.read_one("landiq_crop", Settings(config_dir=CONFIG)), str(path))
        return load_table(spec, warehouse_url, run=open_run(run_id))

    return run


@pytest.mark.skipif(not SAMPLE.exists(), reason="the real sample is not on this machine")
def test_the_real_sample_of_2023_is_loaded(load: Callable[..., TableRun], query: Callable[..., Rows]) -> None:
    result = load(SAMPLE)
    assert (result.extracted, result.inserted, result.rejected) == (100, 100, 0)
    assert query(
        "SELECT county, round(area_acres::numeric, 3)::text, crop_1_code, crop_2_code, crop_2, crop_2_percent, "
        "main_crop, irrigated, ST_GeometryType(geom), ST_SRID(geom) FROM landiq_crop WHERE unique_id = '4900289'"
    ) == [
        ("Sonoma", "0.554", None, "G6", "Miscellaneous Grain and Hay", 100,
         "Miscellaneous Grain and Hay", None, "ST_MultiPolygon", 4326)
    ]  # fmt: skip
    assert query("SELECT count(*) FROM landiq_crop WHERE main_crop IS NULL OR area_acres IS NULL") == [(0,)]
    assert query("SELECT count(*) FROM landiq_crop WHERE irrigated = false") == [(6,)]


def test_a_statewide_file_is_loaded_and_unchanged_the_second_time(
    load: Callable[..., TableRun], query: Callable[..., Rows], tmp_path: Path
) -> None:
    path = write_shapefile(tmp_path, 500)
    first = load(path)
    assert (first.extracted, first.inserted, first.rejected) == (500, 500, 0)
    assert load(path, "r2").status == "unchanged"
    assert query("SELECT count(*) FROM landiq_crop WHERE concat(county, crop_1, crop_2_code) ~ '[*]'") == [(0,)]


def test_the_names_of_2016_are_mapped(
    load: Callable[..., TableRun], query: Callable[..., Rows], tmp_path: Path
) -> None:
    square = Polygon([(0, 0), (0.01, 0), (0.01, 0.01), (0, 0.01)])
    fields = [Polygon([(x + number, y + 37) for x, y in square.exterior.coords]) for number in range(-121, -1)]
    frame = geopandas.GeoDataFrame(
        {"Acres": 1.5, "County": "Yolo", "Crop2016": ["Almonds", "Wheat", "Weeds"] * 40}, geometry=fields, crs=4326
    )
    frame.to_crs(3857).to_file(tmp_path / "i15_Crop_Mapping_2016.shp")
    assert load(tmp_path / "i15_Crop_Mapping_2016.shp").inserted == 120
    assert query(
        "SELECT crop_1_code, crop_1, crop_1_percent, main_crop, county, area_acres, count(*) FROM landiq_crop "
        "GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2"
    ) == [
        ("D12", "Almonds", 100, "Almonds", "Yolo", 1.5, 40),
        (None, "Weeds", None, None, "Yolo", 1.5, 40),
        ("G2", "Wheat", 100, "Wheat", "Yolo", 1.5, 40),
    ]
    assert query("SELECT count(DISTINCT unique_id) FROM landiq_crop WHERE unique_id LIKE 'outline-%'") == [(120,)]
