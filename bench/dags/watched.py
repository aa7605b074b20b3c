"""A DAG with no work for each flow of bench/watch.py: what is measured is who wakes them."""

from airflow.sdk import DAG

from sluiceway.operators import flows
from sluiceway.operators.flow_events import take_events
from sluiceway.operators.step import step

for flow in flows.read().right.values():
    if flow.id.startswith("watched"):
        with DAG(flow.id, schedule=flows.schedule_of(flow), max_active_runs=1, params=flows.event_params(flow)):
            step(take_events)
