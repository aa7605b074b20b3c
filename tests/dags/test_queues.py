"""The graph where tables' files name queues, or limits that are pods: tasks of their own, and no level more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_process import Deployment
from tests.dags.test_flows import TABLE
from tests.dags.test_policy import DAGS

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


PODS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from datetime import UTC, datetime
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(bag.dags[sys.argv[2]]))))
def limits(config):
    if not config:
        return None
    # what the executor makes of it: the worker's template with the override laid over
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from kubernetes.client import models
    eight = models.V1ResourceRequirements(limits={"cpu": "8"})
    base = models.V1Container(name="base", image="sluiceway", resources=eight)
    pod = PodGenerator.construct_pod(
        dag_id="d", task_id="t", pod_id="p", try_number=1, kube_image="sluiceway", date=datetime.now(UTC), args=["x"],
        pod_override_object=PodGenerator.from_obj(config),
        base_worker_pod=models.V1Pod(spec=models.V1PodSpec(containers=[base])),
        namespace="default", scheduler_job_id="1", run_id="r", map_index=0,
    )
    (container,) = pod.spec.containers
    assert (container.image, container.resources.requests) == ("sluiceway", container.resources.limits)
    return container.resources.limits
json.dump({
    "tasks": {
        task.task_id: [task.queue, getattr(task, "executor", None), limits(task.executor_config)]
        for task in dag.tasks if "load_" in task.task_id or "merge" in task.task_id
    },
    "imported": "kubernetes" in sys.modules,
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def deployment(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
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
    return airflow.having(SLUICEWAY_CONFIG_DIR=str(folder), SLUICEWAY_GROUPS="warehouse")


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def graph(deployment: Deployment, dag_id: str, task_id: str = "") -> dict[str, Any]:
    file = DAGS / ("master_etl.py" if dag_id == "master_etl" else "flows.py")
    found: dict[str, Any] = deployment.run(SHOW, str(file), dag_id, task_id)
    return found


def test_a_queue_has_tasks_of_its_own_beside_the_others(deployment: Deployment) -> None:
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


def test_a_flow_has_tasks_for_the_queues_of_its_own_tables_alone(deployment: Deployment) -> None:
    tasks = graph(deployment, "light")
    assert [name for name in tasks if "heavy" in name] == []
    assert tasks["final.validate"]["rule"] == "all_success"


def test_a_flows_queue_is_that_of_its_tables_that_name_none(deployment: Deployment) -> None:
    """A table that names the same one needs no task of its own."""
    tasks = graph(deployment, "own")
    loads = {name: each["queue"] for name, each in tasks.items() if "load_table" in name or "plan" in name}
    assert loads == {"sub.load_table": "heavy", "plan": DEFAULT}


@pytest.mark.parametrize("task", ["plan_heavy", "sub.load_table_heavy"])
def test_the_process_of_a_task_finds_it_without_a_look_at_any_file(deployment: Deployment, task: str) -> None:
    tasks = graph(deployment, "master_etl", task)
    assert {"plan_heavy", "sub.load_table_heavy"} <= set(tasks)
    assert tasks["sub.load_table_heavy"]["queue"] == "heavy"


@pytest.fixture(scope="module")
def limited(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Tables that may have so much, one of them in parts, and a flow that says what its own may have."""
    folder = tmp_path_factory.mktemp("limited")
    for below in ("flows", "tables"):
        (folder / below).mkdir()
    write(folder, "tables/town", TABLE)
    write(folder, "tables/county", f'memory = "1.5GiB"\ncpu = 2  # both\n{TABLE}')
    write(folder, "tables/state", f"queue = \"heavy\"\nmemory = '4GiB'\n{TABLE}")
    fields = (
        'description = "Fields"\nkey = "id"\nsplit = "rows:250000"\nmemory = "1GiB"\n'
        'source = { kind = "vector", uri = "fields.gpkg" }\ncolumns = { id = "integer" }\n'
    )
    write(folder, "tables/field", fields)
    of = 'flow_type = "tables"\ntables = ["town", "county"]\n[[triggers]]\nid = "by_hand"\ntype = "cli"\n'
    write(folder, "flows/small", f'memory = "1GiB"\n{of}')
    return airflow.having(SLUICEWAY_CONFIG_DIR=str(folder), SLUICEWAY_GROUPS="warehouse")


def pods(deployment: Deployment, dag_id: str, executor: str) -> dict[str, Any]:
    file = DAGS / ("master_etl.py" if dag_id == "master_etl" else "flows.py")
    found: dict[str, Any] = deployment.having(AIRFLOW__CORE__EXECUTOR=executor).run(PODS, str(file), dag_id)
    return found


@pytest.mark.parametrize("executor", ["LocalExecutor", "CeleryExecutor"])
def test_without_pods_a_table_that_is_limited_is_in_the_group_of_its_queue(limited: Deployment, executor: str) -> None:
    found = pods(limited, "master_etl", executor)
    assert found == {
        "tasks": {
            "sub.load_table": [DEFAULT, None, None],
            "sub.load_table_heavy": ["heavy", None, None],
            "sub.load_part": [DEFAULT, None, None],
            "sub.merge_parts": [DEFAULT, None, None],
        },
        "imported": False,
    }


ALIAS = "pods:airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor"


@pytest.mark.parametrize(
    ("executor", "beside"),
    [
        ("KubernetesExecutor", None),
        ("CeleryExecutor,KubernetesExecutor", "KubernetesExecutor"),
        (f"CeleryExecutor,{ALIAS}", "pods"),
    ],
)
def test_where_there_are_pods_each_has_what_its_table_may_have_and_room_for_airflow(
    limited: Deployment, executor: str, beside: str | None
) -> None:
    pytest.importorskip("airflow.providers.cncf.kubernetes")
    tasks = pods(limited, "master_etl", executor)["tasks"]
    assert tasks == {
        "sub.load_table": [DEFAULT, None, None],
        "sub.load_table_pod-1_5GiB-2cpu": [DEFAULT, beside, {"memory": "2048Mi", "cpu": "2000m"}],
        "sub.load_table_heavy-4GiB": ["heavy", beside, {"memory": "4608Mi"}],
        "sub.load_part": [DEFAULT, beside, {"memory": "1536Mi"}],
        "sub.merge_parts": [DEFAULT, beside, {"memory": "1536Mi"}],
    }


def test_a_flows_limits_are_those_of_its_tables_that_name_none(limited: Deployment) -> None:
    pytest.importorskip("airflow.providers.cncf.kubernetes")
    assert pods(limited, "small", "KubernetesExecutor")["tasks"] == {
        "sub.load_table": [DEFAULT, None, {"memory": "1536Mi"}],
        "sub.load_table_pod-1_5GiB-2cpu": [DEFAULT, None, {"memory": "2048Mi", "cpu": "2000m"}],
    }
