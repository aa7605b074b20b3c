"""The graph that works on a job's items: what one run of a flow of type job does in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import chain
from airflow.sdk.exceptions import DownstreamTasksSkipped

from sluiceway.ids import ENQUEUE_TASK, VERDICT_TASK, WORKING_TASK
from sluiceway.on_airflow.connections import JOBS_CONN_ID, warehouse_url
from sluiceway.on_airflow.graphs import refresh_tasks
from sluiceway.on_airflow.graphs.flow_events import take_events
from sluiceway.on_airflow.operators.verdict import VerdictOperator
from sluiceway.on_airflow.operators.work_items import WorkItemsOperator, asked_of
from sluiceway.on_airflow.recorded import run_of
from sluiceway.on_airflow.step import recorded_step, step

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    from sluiceway.flows.files import Flow


def work_items(flow: Flow) -> BaseOperator:
    """Add the graph to the DAG of the `with` block.

    :returns: the task that decides the run's colour.
    """
    opened = step(refresh_tasks.opened)
    begin = [opened, recorded_step(take_events)] if flow.takes_events else [opened]
    due = recorded_step(enqueue)
    work = WorkItemsOperator.partial(
        task_id=WORKING_TASK,
        job=flow.id,
        pool="services",
        **({"queue": flow.spec.queue} if flow.spec.queue else {}),
        conn_id=JOBS_CONN_ID,
    ).expand(lane=list(range(flow.spec.lanes)))
    verdict = VerdictOperator(task_id=VERDICT_TASK)
    verdict.as_teardown(setups=opened, on_failure_fail_dagrun=True)
    chain(*begin, due, work)
    [*begin[1:], due, work] >> verdict
    assert due.task_id == ENQUEUE_TASK
    return verdict


def _lanes() -> int:
    """Of all jobs: at a bad moment they run together."""
    from sluiceway.on_airflow.graphs.flows import read

    return sum(each.spec.lanes for each in read().right.values() if each.spec.flow_type == "job")


def enqueue(context: Context) -> int:
    """The items that are due, or that somebody asks for, become rows; what the job found is shown in schema public."""
    from sluiceway.jobs import work
    from sluiceway.jobs.errors import JobPausedError
    from sluiceway.ledger import store
    from sluiceway.ledger.warehouse import connect
    from sluiceway.run import steps

    steps.check_conf(context["dag_run"].conf or {}, context["dag"].params)
    run = run_of(context)
    dag_run = context["dag_run"]
    who = dag_run.triggering_user_name or dag_run.run_type.value
    try:
        count = work.enqueue(
            warehouse_url(JOBS_CONN_ID), run.dag_id, asked_of(context), run=run, who=who, lanes=_lanes()
        )
    except JobPausedError as paused:
        with connect(warehouse_url()) as session:
            store.record_outcome(session, run, "idle", str(paused))
        raise DownstreamTasksSkipped(tasks=[WORKING_TASK]) from paused  # type: ignore[no-untyped-call]
    work.publish(warehouse_url(), run.dag_id)
    return count
