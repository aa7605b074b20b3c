"""The params of runs that load tables: Airflow judges a run by them when it is asked for, and no task does later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dags.airflow_process import Deployment
from tests.dags.test_flows import TABLE
from tests.dags.test_policy import DAGS

JUDGE = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import ParamValidationError
task_id, asked = sys.argv[1], json.loads(sys.argv[2])
if task_id:
    from sluiceway.tables import files
    files.table_files = None  # a task reads no table's file
def answer(dag_id, conf):
    if task_id:
        os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"], os.environ["_AIRFLOW_PARSING_CONTEXT_TASK_ID"] = dag_id, task_id
    path = os.path.join(sys.argv[3], ("flows" if dag_id == "shop" else dag_id) + ".py")
    dag = dags.setdefault(path, DagBag(path).dags[dag_id] if path not in dags else None)
    try:
        return process_params(dag, dag.get_task("plan"), conf, suppress_exception=False)
    except ParamValidationError as error:
        return str(error).splitlines()[0]
dags = {}
json.dump([answer(*each) for each in asked], sys.stdout)
"""
DAG_IDS = ("master_etl", "shop")
WRONG: dict[str, Any] = {
    "commit_sha": "main",
    "repository": "app",
    "actor": "x" * 101,
    "ci_run_url": "ci.example.org",
    "tables": ["gone"],
    "force": "no",
}


CONFS: list[dict[str, Any]] = [{}, WRONG, *({name: value} for name, value in WRONG.items())]
Answers = dict[tuple[str, str, str], Any]


@pytest.fixture(scope="module")
def answers(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """By DAG, task ("": the DAG processor) and conf: a run's params, or the sentence that refuses it.

    In a deployment of one table, and one flow that loads it.
    """
    folder = tmp_path_factory.mktemp("config")
    for below in ("flows", "tables"):
        (folder / below).mkdir()
    (folder / "tables" / "town.toml").write_text(TABLE, encoding="utf-8")
    (folder / "flows" / "shop.toml").write_text('flow_type = "tables"\ntables = ["town"]\n', encoding="utf-8")
    asked = [(dag_id, conf) for dag_id in DAG_IDS for conf in CONFS]
    found: Answers = {}
    for task_id in ("", "plan"):
        arguments = [task_id, json.dumps(asked), str(DAGS)]
        answered = airflow.having(SLUICEWAY_CONFIG_DIR=str(folder)).run(JUDGE, *arguments)
        found |= {
            (dag_id, task_id, json.dumps(conf)): each for (dag_id, conf), each in zip(asked, answered, strict=True)
        }
    return found


@pytest.mark.parametrize("dag_id", DAG_IDS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_when_a_run_is_asked_for(answers: Answers, dag_id: str, name: str) -> None:
    assert f"Invalid input for param {name}: " in answers[dag_id, "", json.dumps({name: WRONG[name]})]


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_what_later_code_would_refuse_ends_no_task(answers: Answers, dag_id: str) -> None:
    assert answers[dag_id, "plan", json.dumps(WRONG)].items() >= WRONG.items()


@pytest.mark.parametrize(("dag_id", "tables"), [("master_etl", []), ("shop", ["town"])])
def test_a_task_has_the_defaults_of_the_form(answers: Answers, dag_id: str, tables: list[str]) -> None:
    assert answers[dag_id, "plan", "{}"] == answers[dag_id, "", "{}"]
    assert answers[dag_id, "plan", "{}"]["tables"] == tables
