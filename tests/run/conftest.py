"""A deployment of a few small tables, and a run of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.run import steps
from sluiceway.tables import registry
from tests.run.runs import RUN, opening

Setting = Callable[..., None]


@pytest.fixture
def config(tmp_path: Path, setting: Setting) -> Path:
    """Three tables whose sources have 1, 100 and 10 rows, and one of another group."""
    for folder in ("tables", "sql"):
        (tmp_path / folder).mkdir()
    for name, rows, group in (("a", 1, ""), ("b", 100, ""), ("c", 10, ""), ("demo", 5, 'group = "quickstart"')):
        (tmp_path / "tables" / f"{name}.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(rows)))
        (tmp_path / "tables" / f"{name}.toml").write_text(
            f'description = "Table {name}"\n{group}\nkey = "id"\nsource = {{ kind = "csv", uri = "{name}.csv" }}\n'
            'columns = { id = "integer" }\n'
        )
    setting(config_dir=tmp_path)
    return tmp_path


@pytest.fixture
def run(config: Path, warehouse_url: str) -> RunKey:
    """An open run."""
    steps.open_ledger(warehouse_url, opening(RUN))
    return RUN


@pytest.fixture
def loaded(run: RunKey, warehouse_url: str) -> dict[str, TableRun]:
    """The run's tables, loaded."""
    return {
        name: load_table(registry.read_one(name), warehouse_url, run=run)
        for name in steps.plan(warehouse_url, run, only=[])
    }
