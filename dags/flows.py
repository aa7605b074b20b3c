"""The DAGs of include/config/flows/: one per flow of type tables, and small ones beside flows that need them.

<flow>__events starts a run per event, <flow>__poll looks where no triggerer does, <flow>__<trigger>__clock tells the
time of a second time zone, <flow>__broken says what is wrong with a flow's file. docs/reference/flows.md explains them.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, get_parsing_context

from sluiceway.on_airflow.graphs import flow_events, flows
from sluiceway.on_airflow.graphs.followers import tell_followers
from sluiceway.on_airflow.graphs.refresh import refresh
from sluiceway.on_airflow.step import StepOperator, step

# a task's process needs its own DAG alone
every = flows.read(get_parsing_context().dag_id)

for flow in every.right.values():
    if flow.spec.flow_type == "tables":
        with DAG(
            dag_id=flow.id,
            description=flow.spec.description or f"Refreshes {', '.join(flow.spec.tables)}",
            schedule=flows.schedule_of(flow),
            dagrun_timeout=timedelta(hours=6),
            params=flows.refresh_params(flow),
            **flows.arguments(flow),
        ) as dag:
            verdict = refresh(**flows.refresh_arguments(flow))
            tell_followers(dag, flows.following(flow.id), [verdict])

    if alone := [trigger.config.id for trigger in flows.per_event(flow)]:
        with DAG(
            dag_id=f"{flow.id}__events",
            description=f"Starts a run of {flow.id} for each event of {', '.join(alone)}",
            schedule=flows.events_schedule(flow),
            dagrun_timeout=timedelta(hours=1),
            **flows.arguments(flow),
        ):
            step(flow_events.start_runs_of(flow.id, alone))

    if polled := flows.polled(flow):
        with DAG(
            dag_id=f"{flow.id}__poll",
            description=f"Looks for events of {flow.id}",
            schedule=flows.poll_schedule(flow),
            dagrun_timeout=timedelta(minutes=30),
            **flows.arguments(flow),
        ):
            for trigger in polled:
                look = flow_events.look_of(flow.id, trigger.config.id)
                StepOperator(task_id=trigger.config.id, step=look, outlets=[flows.asset_of(trigger)])

    for clock in flows.clocks(flow):
        with DAG(
            dag_id=f"{flow.id}__{clock.config.id}__clock",
            description=f"Wakes {flow.id} at {clock.config.schedule} in {clock.config.timezone}",
            schedule=CronTriggerTimetable(clock.config.schedule, timezone=clock.config.timezone),
            dagrun_timeout=timedelta(minutes=30),
            **flows.arguments(flow),
        ):
            step(flow_events.tell_time, outlets=[flows.asset_of(clock)])

for name, problem in every.wrong.items():
    with DAG(
        dag_id=f"{name}__broken",
        description=f"The file of {name} is wrong",
        schedule=None,
        dagrun_timeout=timedelta(minutes=30),
        doc_md=f"~~~~\n{problem}\n~~~~",  # a file's values are no Markdown
        **flows.arguments(None),
    ):
        step(flow_events.say_of(problem))
