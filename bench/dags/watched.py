"""A DAG with no work for each flow of bench/watch.py: what is measured is who wakes them."""

from airflow.sdk import DAG

from sluiceway.on_airflow.graphs import flows
from sluiceway.on_airflow.graphs.flow_events import take_events
from sluiceway.on_airflow.step import step

for flow in flows.read().right.values():
    if flow.id.startswith("watched"):
        with DAG(flow.id, schedule=flows.schedule_of(flow), max_active_runs=1, params=flows.event_params(flow)):
            step(take_events)
