"""The DAGs that dags/jobs.py makes of flow files of type job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluiceway.flows.check import JOB_TASKS, TAKE_EVENTS
from tests.dags.airflow_process import Deployment
from tests.dags.test_policy import DAGS, LOOK

FLOWS = {
    "resolve": """
        flow_type = "job"
        lanes = 3
        [[triggers]]
        id = "often"
        type = "schedule"
        schedule = "0 */6 * * *"
    """,
    "hooked": """
        flow_type = "job"
        [[triggers]]
        id = "hook"
        type = "api"
        connection = "hook"
    """,
    "after": """
        flow_type = "job"
        [[triggers]]
        id = "resolved"
        type = "flow"
        source_flow_id = "resolve"
    """,
}


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory, airflow: Deployment) -> dict[str, Any]:
    """What Airflow makes of the flows; their jobs' Python is not there, for no parsing needs it."""
    config = tmp_path_factory.mktemp("jobs") / "config"
    (config / "flows").mkdir(parents=True)
    for name, text in FLOWS.items():
        (config / "flows" / f"{name}.toml").write_text(text, encoding="utf-8")
    return dict(airflow.having(SLUICEWAY_CONFIG_DIR=str(config)).run(LOOK, str(DAGS)))


def tasks(bag: dict[str, Any], dag_id: str) -> dict[str, Any]:
    found: dict[str, Any] = bag["dags"][dag_id]["tasks"]
    return found


def test_each_job_has_a_dag_and_no_file_of_python_is_needed(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    assert {"resolve", "hooked", "after", "hooked__events"} <= bag["dags"].keys()
    assert {Path(bag["dags"][each]["file"]).name for each in FLOWS} == {"jobs.py"}


def test_the_tasks_are_those_that_the_check_of_flows_knows(bag: dict[str, Any]) -> None:
    assert set(tasks(bag, "after")) == set(JOB_TASKS)
    assert set(tasks(bag, "hooked")) == {*JOB_TASKS, TAKE_EVENTS}


def test_lanes_run_in_the_pool_of_services(bag: dict[str, Any]) -> None:
    assert {dag: tasks(bag, dag)["work"]["pool"] for dag in FLOWS} == dict.fromkeys(FLOWS, "services")


def test_who_follows_a_job_is_told_how_it_ended(bag: dict[str, Any]) -> None:
    assert [task for task in tasks(bag, "resolve") if task.startswith("followers.")] == ["followers.success"]
