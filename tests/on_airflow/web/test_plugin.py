from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.types import TaskInstanceKey

from sluiceway.on_airflow.links import ReportLink

ROOT = Path(__file__).parents[3]
HEAVY = {"pandas", "geopandas", "pyarrow", "duckdb", "google.cloud", "pyogrio", "adbc_driver_postgresql", "sluiceway"}


def imported_by(file: Path) -> set[str]:
    """Names of the modules a fresh interpreter holds after it ran `file`, less those Airflow itself loads."""
    code = (
        "import sys, runpy; import airflow.plugins_manager; before = set(sys.modules); "
        f"runpy.run_path({str(file)!r}); sys.stdout.write(' '.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_plugin_imports_nothing_heavy_and_no_business_code() -> None:
    assert imported_by(ROOT / "plugins" / "sluiceway_plugin.py") & HEAVY == set()


def test_the_import_check_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad_plugin.py"
    bad.write_text("import duckdb")
    assert imported_by(bad) & HEAVY == {"duckdb"}


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("http://localhost:8080", "/sluiceway/runs/shop/a%2Fb%2B1"),
        ("https://host/airflow/", "/airflow/sluiceway/runs/shop/a%2Fb%2B1"),
        ("", "/sluiceway/runs/shop/a%2Fb%2B1"),
    ],
)
def test_the_link_leads_to_the_report_below_the_base_url(
    base_url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    key = cast("TaskInstanceKey", SimpleNamespace(dag_id="shop", run_id="a/b+1"))
    assert ReportLink().get_link(cast("BaseOperator", None), ti_key=key) == path
