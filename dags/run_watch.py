"""run_watch: compares the ledger with Airflow, for a run can be changed after its verdict, or end without one.

Whoever clears or marks a task of a judged run, or a time limit that ends a run before its verdict: within a minute the
ledger, the run's page and `sluiceway runs` say so. docs/reference/master_etl.md explains it. Where the
environment's file has a table [github], the commit says it, too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from sluiceway.deploy.build import build_tags
from sluiceway.on_airflow.graphs import run_watch
from sluiceway.on_airflow.retries import retry_arguments
from sluiceway.on_airflow.step import step

with DAG(
    dag_id="run_watch",
    description="Keeps the verdicts true when somebody changes a run",
    schedule=timedelta(seconds=30),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    default_args={"owner": "data-platform", **retry_arguments()},
    tags=["sluiceway", *build_tags()],
    doc_md=__doc__,
):
    compared = step(run_watch.compare_runs)
    if run_watch.tells_commits():
        compared >> step(run_watch.tell_commits)
