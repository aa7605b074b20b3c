"""The DAGs of jobs: one per flow of type job. Its items become due, lanes work on them, and a verdict says how it went.

docs/how-to/jobs.md explains them. The job's own Python is imported in its tasks alone.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, get_parsing_context

from sluiceway.on_airflow.graphs import flows
from sluiceway.on_airflow.graphs.followers import tell_followers
from sluiceway.on_airflow.graphs.jobs import work_items

# a task's process needs its own DAG alone
for flow in flows.read(get_parsing_context().dag_id).right.values():
    if flow.spec.flow_type == "job":
        with DAG(
            dag_id=flow.id,
            description=flow.spec.description or f"Works on the items of {flow.id}",
            schedule=flows.schedule_of(flow),
            dagrun_timeout=timedelta(hours=6),
            # it asks somebody else's service: a person switches it on
            is_paused_upon_creation=True,
            params=flows.job_form(flow),
            **flows.arguments(flow),
        ) as dag:
            verdict = work_items(flow)
            tell_followers(dag, flows.following(flow.id), [verdict])
