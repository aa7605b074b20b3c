"""bench/dags/bare.py is what master_etl is measured against: it must have the same tasks and the same arrows."""

from __future__ import annotations

from typing import Any

from dev.environment import ROOT
from tests.dags.airflow_process import Deployment
from tests.dags.test_policy import DAGS

LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
(dag,) = [dag for name, dag in bag.dags.items() if name in ("bare", "master_etl")]
def shown(task):
    rule = getattr(task.trigger_rule, "value", task.trigger_rule)
    return sorted(task.upstream_task_ids), rule, task.is_setup, task.is_teardown
json.dump({task.task_id: shown(task) for task in dag.tasks}, sys.stdout)
"""


def test_the_bare_dag_has_the_graph_of_the_master(airflow: Deployment) -> None:
    def graph(file: str) -> dict[str, Any]:
        found: dict[str, Any] = airflow.run(LOOK, file)
        return found

    assert graph(str(ROOT / "bench" / "dags" / "bare.py")) == graph(str(DAGS / "master_etl.py"))
