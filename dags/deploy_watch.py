"""deploy_watch: starts master_etl when an environment serves a new commit, whether or not CI says so.

A green run has started `deploy__<sha>`, or found that it exists. A red one says that the environment cannot be seen.
docs/how-to/deploy.md explains it; SLUICEWAY_ENVIRONMENT and SLUICEWAY_DEPLOY_WATCH turn it on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from sluiceway.deploy.build import build_tags
from sluiceway.ids import MASTER
from sluiceway.on_airflow.graphs import deploy_watch
from sluiceway.on_airflow.retries import retry_arguments

with DAG(
    dag_id="deploy_watch",
    description="Starts master_etl when the environment serves a new commit",
    schedule=deploy_watch.schedule(MASTER),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args={"owner": "data-platform", **retry_arguments()},
    tags=["sluiceway", "deploy", *build_tags()],
    doc_md=__doc__,
):
    deploy_watch.TriggerNewCommitOperator(task_id="start_run", trigger_dag_id=MASTER)
