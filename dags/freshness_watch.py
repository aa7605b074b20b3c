"""freshness_watch: tells of promises that break without a run, and what could not be told before.

Made only where include/config/alerts.toml says who is told of what. A red run says what could not be told, and why.
docs/how-to/alerts.md explains it; SLUICEWAY_FRESHNESS_WATCH_S says how often it looks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from sluiceway.deploy.build import build_tags
from sluiceway.on_airflow import alerts
from sluiceway.on_airflow.graphs import freshness_watch
from sluiceway.on_airflow.retries import retry_arguments
from sluiceway.on_airflow.step import step
from sluiceway.settings import load_settings

if alerts.declared():
    with DAG(
        dag_id="freshness_watch",
        description="Tells whoever is to know when a promise breaks, a run is red, or a watch cannot see",
        schedule=timedelta(seconds=load_settings().freshness_watch_s),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=10),
        default_args={"owner": "data-platform", **retry_arguments()},
        tags=["sluiceway", *build_tags()],
        doc_md=__doc__,
    ):
        step(freshness_watch.look_and_tell)
