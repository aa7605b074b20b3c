"""GDAL's bindings come without pandas, and leave pandas, geopandas and pyogrio whole for whoever wants them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COLLECTION = '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": null}]}'


def ran(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_reading_vector_files_does_not_import_pandas() -> None:
    assert ran("import sys, sluiceway.sources.formats.vector.vector as _; print('pandas' in sys.modules)") == "False\n"


@pytest.mark.parametrize("first", ["import pandas", "import geopandas", "import pyogrio", ""])
def test_whoever_wants_geopandas_gets_it_whole(tmp_path: Path, first: str) -> None:
    file = tmp_path / "a.geojson"
    file.write_text(COLLECTION)
    found = ran(
        f"{first}\n"
        "import sluiceway.sources.formats.vector.vector\n"
        "import geopandas, pandas, pyogrio, pyogrio.errors\n"
        f"print(type(geopandas.read_file({str(file)!r})).__name__, pandas.DataFrame.__name__)\n"
        "try:\n"
        "    geopandas.read_file('/no/such.geojson')\n"
        "except pyogrio.errors.DataSourceError:\n"
        "    print('refused')\n"
    )
    assert found == "GeoDataFrame DataFrame\nrefused\n"
