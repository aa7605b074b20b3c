"""What a deployment's alerts.toml makes of the DAGs: freshness_watch, and a deadline of master_etl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_process import Deployment
from tests.dags.test_policy import DAGS

SHOW = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
found = {}
for name in ("master_etl", "freshness_watch"):
    bag = DagBag(f"{sys.argv[1]}/{name}.py")
    assert not bag.import_errors, bag.import_errors
    for dag_id, dag in bag.dags.items():
        found[dag_id] = {
            "tasks": sorted(dag.task_ids),
            "every_s": dag.schedule.total_seconds() if hasattr(dag.schedule, "total_seconds") else None,
            "deadlines": [
                [each.reference.reference_name, each.interval, each.callback.path]
                for each in dag.deadline or []
            ],
        }
json.dump(found, sys.stdout)
"""
ALERT = '[alerts.team]\nconnection = "team"\ntell_of = ["{kind}"]\n'


def dags(tmp_path: Path, deployment: Deployment, text: str | None, **settings: str) -> dict[str, Any]:
    for folder in ("tables", "flows"):
        (tmp_path / folder).mkdir()
    if text is not None:
        (tmp_path / "alerts.toml").write_text(text)
    found: dict[str, Any] = deployment.having(SLUICEWAY_CONFIG_DIR=str(tmp_path), **settings).run(SHOW, str(DAGS))
    return found


def test_without_the_file_nothing_is_there(tmp_path: Path, airflow: Deployment) -> None:
    found = dags(tmp_path, airflow, None)
    assert set(found) == {"master_etl"}
    assert found["master_etl"]["deadlines"] == []


def test_whoever_is_told_of_runs_that_do_not_begin_has_a_deadline(tmp_path: Path, airflow: Deployment) -> None:
    text = ALERT.format(kind="waiting")
    found = dags(tmp_path, airflow, text, SLUICEWAY_START_WITHIN_S="600", SLUICEWAY_FRESHNESS_WATCH_S="60")
    assert found["freshness_watch"]["tasks"] == ["look_and_tell"]
    assert found["freshness_watch"]["every_s"] == 60
    callback = "sluiceway.on_airflow.triggers.never_began.tell_if_never_began"
    assert found["master_etl"]["deadlines"] == [["DagRunQueuedAtDeadline", 600, callback]]


@pytest.mark.parametrize("text", [ALERT.format(kind="red"), ALERT.format(kind="rde"), "["])
def test_no_other_file_makes_a_deadline_and_a_wrong_one_hinders_no_dag(
    text: str, tmp_path: Path, airflow: Deployment
) -> None:
    found = dags(tmp_path, airflow, text)
    assert set(found) == {"master_etl", "freshness_watch"}
    assert found["master_etl"]["deadlines"] == []
