"""The graph where a table's file says `split`: tasks that list, load and merge parts, and elsewhere none of them."""

from __future__ import annotations

import pytest

from sluiceway.ids import SPLIT_TASKS
from tests.dags.airflow_process import Deployment
from tests.dags.test_flows import TABLE
from tests.dags.test_queues import graph, write

FIELDS = """
description = "Fields"
key = "id"
split = "rows:250000"
source = { kind = "vector", uri = "fields.gpkg" }
columns = { id = "integer" }
"""


@pytest.fixture(scope="module")
def deployment(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A table that is loaded in parts, another one, and a flow of each."""
    folder = tmp_path_factory.mktemp("config")
    for below in ("flows", "tables"):
        (folder / below).mkdir()
    write(folder, "tables/town", TABLE)
    write(folder, "tables/field", FIELDS)
    by_hand = '[[triggers]]\nid = "by_hand"\ntype = "cli"\n'
    write(folder, "flows/light", f'flow_type = "tables"\ntables = ["town"]\n{by_hand}')
    write(folder, "flows/heavy", f'flow_type = "tables"\ntables = ["field"]\nqueue = "big"\n{by_hand}')
    return airflow.having(SLUICEWAY_CONFIG_DIR=str(folder), SLUICEWAY_GROUPS="warehouse")


def test_parts_are_listed_beside_the_loads_and_merged_whatever_became_of_them(deployment: Deployment) -> None:
    tasks = graph(deployment, "master_etl")
    assert [tasks[name]["after"] for name in SPLIT_TASKS] == [
        ["plan"],
        ["plan"],
        ["sub.plan_parts"],
        ["sub.load_part", "sub.split_tables"],
    ]
    assert [tasks[name]["rule"] for name in SPLIT_TASKS] == ["all_success", "all_success", "all_success", "all_done"]
    for after in ("sub.cleanup_staging", "final.validate", "final.aggregate"):
        assert {"sub.load_table", "sub.merge_parts"} <= set(tasks[after]["after"])
    assert set(SPLIT_TASKS) <= set(tasks["verdict"]["after"]), "a part that runs again is judged again"
    assert tasks["final.validate"]["rule"] == "none_failed_min_one_success"


def test_a_flow_without_such_a_table_has_the_graph_of_before(deployment: Deployment) -> None:
    tasks = graph(deployment, "light")
    assert not set(SPLIT_TASKS) & set(tasks)
    assert tasks["final.validate"]["rule"] == "all_success"


def test_parts_go_to_the_queue_of_the_flow(deployment: Deployment) -> None:
    tasks = graph(deployment, "heavy")
    assert {name: tasks[name]["queue"] for name in SPLIT_TASKS} == {
        "sub.split_tables": "default",
        "sub.plan_parts": "default",
        "sub.load_part": "big",
        "sub.merge_parts": "big",
    }


@pytest.mark.parametrize("task", SPLIT_TASKS)
def test_the_process_of_a_task_finds_it_without_a_look_at_any_file(deployment: Deployment, task: str) -> None:
    assert set(SPLIT_TASKS) <= set(graph(deployment, "master_etl", task))
