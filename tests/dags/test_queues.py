"""The graph where tables' files name queues: tasks of their own beside the others, and no level more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dags.test_flows import TABLE
from tests.dags.test_policy import DAGS, environment, run_python

__all__ = ["environment"]

SHOW = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
file, dag_id, task_id = sys.argv[1:]
if task_id:
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"], os.environ["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = dag_id, task_id
    from sluiceway.tables import files
    files.table_files = None  # a task reads no table's file
bag = DagBag(file)
assert not bag.import_errors, bag.import_errors
dag = bag.dags[dag_id]
json.dump({
    task.task_id: {
        "queue": getattr(task, "queue", None) or task.partial_kwargs.get("queue"),
        "after": sorted(task.upstream_task_ids),
        "rule": getattr(task.trigger_rule, "value", task.trigger_rule),
    }
    for task in dag.tasks
}, sys.stdout)
"""
DEFAULT = "default"


@pytest.fixture(scope="module")
def deployment(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three tables, one on a queue of its own, and flows that load them."""
    folder = tmp_path_factory.mktemp("config")
    for below in ("flows", "tables"):
        (folder / below).mkdir()
    write(folder, "tables/town", TABLE)
    write(folder, "tables/county", f'queue = "heavy"\n{TABLE}')
    write(folder, "tables/other", f'group = "elsewhere"\nqueue = "else"\n{TABLE}')
    by_hand = '[[triggers]]\nid = "by_hand"\ntype = "cli"\n'
    write(folder, "flows/light", f'flow_type = "tables"\ntables = ["town"]\n{by_hand}')
    write(folder, "flows/own", f'flow_type = "tables"\ntables = ["town", "county"]\nqueue = "heavy"\n{by_hand}')
    return {**environment, "SLUICEWAY_CONFIG_DIR": str(folder), "SLUICEWAY_GROUPS": "warehouse"}


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def graph(deployment: dict[str, str], dag_id: str, task_id: str = "") -> dict[str, Any]:
    file = DAGS / ("master_etl.py" if dag_id == "master_etl" else "flows.py")
    found: dict[str, Any] = run_python(SHOW, [str(file), dag_id, task_id], deployment)
    return found


def test_a_queue_has_tasks_of_its_own_beside_the_others(deployment: dict[str, str]) -> None:
    tasks = graph(deployment, "master_etl")
    assert {name: each["queue"] for name, each in tasks.items() if "load_table" in name} == {
        "sub.load_table": DEFAULT,
        "sub.load_table_heavy": "heavy",
    }
    assert tasks["plan_heavy"]["queue"] == DEFAULT
    assert tasks["plan_heavy"]["after"] == tasks["plan"]["after"] == ["deploy_gate"]
    assert tasks["sub.load_table"]["after"] == ["plan"]
    assert tasks["sub.load_table_heavy"]["after"] == ["plan", "plan_heavy"]
    loads = {"sub.load_table", "sub.load_table_heavy"}
    for after in ("sub.cleanup_staging", "final.validate", "final.aggregate", "verdict"):
        assert loads <= set(tasks[after]["after"])
    assert tasks["final.validate"]["rule"] == "none_failed_min_one_success"
    assert {"plan_heavy", "plan"} <= set(tasks["pre.check_sources"]["after"])


def test_a_flow_has_tasks_for_the_queues_of_its_own_tables_alone(deployment: dict[str, str]) -> None:
    tasks = graph(deployment, "light")
    assert [name for name in tasks if "heavy" in name] == []
    assert tasks["final.validate"]["rule"] == "all_success"


def test_a_flows_queue_is_that_of_its_tables_that_name_none(deployment: dict[str, str]) -> None:
    """A table that names the same one needs no task of its own."""
    tasks = graph(deployment, "own")
    loads = {name: each["queue"] for name, each in tasks.items() if "load_table" in name or "plan" in name}
    assert loads == {"sub.load_table": "heavy", "plan": DEFAULT}


@pytest.mark.parametrize("task", ["plan_heavy", "sub.load_table_heavy"])
def test_the_process_of_a_task_finds_it_without_a_look_at_any_file(deployment: dict[str, str], task: str) -> None:
    tasks = graph(deployment, "master_etl", task)
    assert {"plan_heavy", "sub.load_table_heavy"} <= set(tasks)
    assert tasks["sub.load_table_heavy"]["queue"] == "heavy"
