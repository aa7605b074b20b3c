"""Of which loads and views Airflow tells, by the ledger; whether DAGs start by that is tested on a real Airflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from sluiceway.ids import LOADING_TASK, MERGING_TASK, PART_TASK, PUBLISHING_TASK
from sluiceway.ledger import publications, store, tasks
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.on_airflow.assets import ALIAS, tell_of_load, tell_of_views, warehouse_asset
from sluiceway.on_airflow.operators.load_table import LoadTableOperator
from sluiceway.tables import registry

RUN = RunKey("master_etl", "r1")
SHA = "c" * 40
TABLE = """\
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", title = "text" }
checks = { max_rejects = 1 }
"""


@pytest.fixture
def city(warehouse_url: str, tmp_path: Path, setting: Callable[..., None]) -> Path:
    """The source of a table whose run is open."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "city.toml").write_text(TABLE)
    source = tmp_path / "tables" / "city.csv"
    source.write_text("id,title\n1,Rome\n2,Oslo\nx,Bonn\n")
    setting(config_dir=tmp_path)
    with connect(warehouse_url) as session:
        store.open_run(session, RUN, SHA, "manual")
    return source


def context(task_id: str = LOADING_TASK) -> Any:
    """What Airflow gives to a task."""
    task = LoadTableOperator(task_id=task_id, table="city")
    return {
        "dag_run": SimpleNamespace(**RUN._asdict()),
        "ti": SimpleNamespace(task=task, task_id=task_id),
        "outlet_events": OutletEventAccessors(),
    }


def load(url: str, *, force: bool = False) -> TableRun:
    return load_table(registry.read_one("city"), url, run=RUN, force=force)


def told(url: str, result: TableRun, task_id: str = LOADING_TASK) -> list[dict[str, Any]]:
    """What a task tells whose try ended so."""
    given = context(task_id)
    tell_of_load(given, url, result)
    return of(given)


def of(given: Any) -> list[dict[str, Any]]:
    """What is told to Airflow."""
    events = given["outlet_events"][ALIAS].asset_alias_events
    # without its alias among the task's outlets Airflow drops an event
    assert given["ti"].task.outlets == ([ALIAS] if events else [])
    return [{"asset": each.dest_asset_key.name, **each.extra} for each in events]


def end(url: str, task_id: str, try_number: int = 1, error: BaseException | None = None) -> None:
    """A try of a task of the table has ended."""
    task = TaskRun(**RUN._asdict(), task_id=task_id, try_number=try_number, table_name="city")
    with connect(url) as session:
        tasks.begin(session, task)
        tasks.end(session, task, error)


def test_a_load_that_changed_its_table_is_told_with_its_counts_its_run_and_its_commit(
    city: Path, warehouse_url: str
) -> None:
    (event,) = told(warehouse_url, load(warehouse_url))
    assert event.pop("loaded_at").endswith("+00:00")
    assert event == {
        "asset": "warehouse/city",
        "table": "city",
        **RUN._asdict(),
        "commit": SHA,
        "deployed": None,
        "try_number": 1,
        "extracted": 3,
        "inserted": 2,
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "rejected": 1,
        "repaired": 0,
        "table_rows": 2,
    }


def test_an_assets_name_is_its_address_whatever_the_warehouse_is_called(warehouse_url: str) -> None:
    asset = warehouse_asset("city")
    assert (asset.name, asset.uri) == ("warehouse/city", "warehouse/city")


@pytest.mark.parametrize("force", [False, True], ids=["unchanged", "read again"])
def test_a_load_that_changed_no_row_is_not_told(city: Path, warehouse_url: str, *, force: bool) -> None:
    assert told(warehouse_url, load(warehouse_url))
    end(warehouse_url, LOADING_TASK)
    assert told(warehouse_url, load(warehouse_url, force=force)) == []


def test_a_first_try_that_finds_nothing_new_asks_the_ledger_nothing(city: Path, warehouse_url: str) -> None:
    result = TableRun(**RUN._asdict(), table_name="city", status="unchanged")
    assert told("postgresql://nobody@localhost:1/none", result) == []


def test_what_a_try_committed_that_was_killed_is_told_by_the_next(city: Path, warehouse_url: str) -> None:
    load(warehouse_url)
    result = load(warehouse_url)
    assert (result.status, result.try_number) == ("unchanged", 2)
    (event,) = told(warehouse_url, result)
    assert (event["inserted"], event["try_number"]) == (2, 1)


def test_two_loads_that_nobody_was_told_of_are_two_events(city: Path, warehouse_url: str) -> None:
    load(warehouse_url)
    end(warehouse_url, LOADING_TASK, error=RuntimeError("the ledger did not answer"))
    city.write_text("id,title\n1,Roma\n2,Oslo\n3,Bonn\n")
    events = told(warehouse_url, load(warehouse_url))
    assert [(each["try_number"], each["inserted"], each["updated"]) for each in events] == [(1, 2, 0), (2, 1, 1)]


def test_parts_that_ended_well_have_told_nothing_of_their_table(city: Path, warehouse_url: str) -> None:
    load(warehouse_url)
    end(warehouse_url, PART_TASK)
    (event,) = told(warehouse_url, load(warehouse_url), MERGING_TASK)
    assert event["inserted"] == 2


def test_views_are_told_with_their_run_and_the_tables_that_feed_them(city: Path, warehouse_url: str) -> None:
    views = [Publication(view_name=name, tables=("city",)) for name in ("same", "titles")]
    with connect(warehouse_url) as session:
        publications.record(session, RUN, views)
    given = context(PUBLISHING_TASK)
    tell_of_views(given, warehouse_url, ["titles"])
    assert of(given) == [
        {
            "asset": "warehouse/titles",
            "view": "titles",
            "tables": ["city"],
            **RUN._asdict(),
            "commit": SHA,
            "deployed": None,
        }
    ]


def test_views_that_hold_what_they_held_are_not_told(warehouse_url: str) -> None:
    given = context(PUBLISHING_TASK)
    tell_of_views(given, "postgresql://nobody@localhost:1/none", [])
    assert of(given) == []
