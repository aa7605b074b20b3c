"""Arrow comes without pandas, and a transform that wants pandas gets it whole."""

from __future__ import annotations

from pathlib import Path

from tests.sources.formats.vector.test_gdal import ran

TOML = """
description = "Spots"
key = "id"
source = { kind = "vector", uri = "spot.geojson" }
columns = { id = "integer" }
geometry = { type = "Point" }
checks = { max_rejects = 1 }
"""
SPOTS = """{"type": "FeatureCollection", "features": [
{"type": "Feature", "properties": {"id": 1}, "geometry": {"type": "Point", "coordinates": [1, 2]}},
{"type": "Feature", "properties": {"id": 2}, "geometry": {"type": "LineString", "coordinates": [[1, 2], [2, 3]]}}]}"""


def test_preparing_rows_does_not_import_pandas(tmp_path: Path) -> None:
    (tmp_path / "spot.toml").write_text(TOML)
    (tmp_path / "spot.geojson").write_text(SPOTS)
    found = ran(
        "import sys\n"
        "from pathlib import Path\n"
        "from sluiceway.sources.formats.arrow import leave_pandas_out\n"
        "leave_pandas_out()\n"
        "from sluiceway.load.reject_spool import RejectSpool\n"
        "from sluiceway.load.staging import Staged, loadable\n"
        "from sluiceway.sources import open_source\n"
        "from sluiceway.sources.connections import from_environment\n"
        "from sluiceway.sources.locate import located\n"
        "from sluiceway.tables.registry import read_spec\n"
        f"spec, spool, staged = read_spec(Path({str(tmp_path / 'spot.toml')!r})), RejectSpool([]), Staged()\n"
        "with located(spec.source, from_environment) as place, open_source(spec, place, from_environment) as source:\n"
        "    rows = sum(batch.num_rows for batch in loadable(spec, source, spool, staged))\n"
        "print(rows, spool.count, 'pandas' in sys.modules)\n"
    )
    assert found == "1 1 False\n"


def test_pandas_is_there_for_whoever_asks_for_it() -> None:
    found = ran(
        "from sluiceway.sources.formats.arrow import leave_pandas_out\n"
        "leave_pandas_out()\n"
        "import pyarrow\n"
        "frame = pyarrow.table({'a': [1, None], 'b': ['x', None]}).to_pandas()\n"
        "print(frame.a.tolist(), [pyarrow.array(frame[name], from_pandas=True).null_count for name in 'ab'])\n"
    )
    assert found == "[1.0, nan] [1, 1]\n"


def test_where_pandas_is_imported_already_nothing_changes() -> None:
    found = ran(
        "import pandas\n"
        "from sluiceway.sources.formats.arrow import leave_pandas_out\n"
        "leave_pandas_out()\n"
        "import pyarrow\n"
        "print(pyarrow.array(pandas.Series(['x', None])).to_pylist())\n"
    )
    assert found == "['x', None]\n"
