"""What the task that loads a table returns; how one ends in a run is tested on a real Airflow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from sluiceway.on_airflow.operators.load_table import LoadTableOperator

TABLE = """\
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", title = "text" }
"""


@pytest.fixture
def city(warehouse_url: str, tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of a table."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "city.toml").write_text(TABLE)
    source = tmp_path / "tables" / "city.csv"
    source.write_text("id,title\n1,Rome\n2,Oslo\n")
    setting(config_dir=tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    return source


def executed(run_id: str) -> Any:
    """What the task of a run returns."""
    task = LoadTableOperator(task_id="load_table", table="city")
    ids = {"dag_id": "master_etl", "run_id": run_id}
    asked = {"run_type": SimpleNamespace(value="manual"), "run_after": datetime.now(UTC), "conf": {}, "clear_number": 0}
    tried = {"task_id": "sub.load_table", "map_index": 0, "try_number": 1, "log_url": "http://localhost/log"}
    context: Any = {
        "dag_run": SimpleNamespace(**ids, **asked),
        "ti": SimpleNamespace(**ids, **tried, task=task),
        "params": {},
        "outlet_events": OutletEventAccessors(),
    }
    return task.execute(context)


def test_a_load_returns_its_counts_and_one_that_finds_nothing_new_returns_nothing(city: Path) -> None:
    loaded = executed("r1")
    assert {loaded[name] for name in ("table_name", "status", "inserted", "table_rows")} == {"city", "loaded", 2}
    assert executed("r2") is None
    city.write_text("id,title\n1,Rome\n2,Bonn\n")
    assert (executed("r3") or {})["updated"] == 1
