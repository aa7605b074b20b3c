"""master_etl: refreshes the warehouse after a deploy. One run at a time; graphs/refresh.py shows what one does.

CI triggers it with run id `deploy__<sha>` and conf `{"commit_sha": "<sha>"}`.
include/config/flows/master_etl.toml says what else starts it; docs/reference/master_etl.md explains each step.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from sluiceway.deploy.build import build_tags
from sluiceway.on_airflow.graphs import flows, freshness_watch
from sluiceway.on_airflow.graphs.followers import tell_followers
from sluiceway.on_airflow.graphs.refresh import refresh
from sluiceway.on_airflow.retries import retry_arguments

flow = flows.declared("master_etl")

with DAG(
    dag_id="master_etl",
    description="Refreshes the PostGIS warehouse after a deploy",
    schedule=flows.schedule_of(flow),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    deadline=freshness_watch.start_deadline(),
    default_args={"owner": "data-platform", **retry_arguments()},
    params=flows.refresh_params(flow),
    tags=["sluiceway", "master", *build_tags()],
    doc_md=__doc__,
) as dag:
    verdict = refresh(**flows.refresh_arguments(flow))
    tell_followers(dag, flows.following(dag.dag_id), [verdict])
