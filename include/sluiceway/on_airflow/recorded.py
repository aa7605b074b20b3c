"""What a task of a refresh says of itself in the ledger: that it began, how it ended, and why it failed.

A process that is killed says nothing at its end, and that is how the verdict knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    DownstreamTasksSkipped,
    TaskDeferred,
)

from sluiceway.ids import DEPLOY_RUNS
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.tasks import UNMAPPED, TaskRun
from sluiceway.ledger.warehouse import one_connection
from sluiceway.on_airflow.connections import CONN_ID, warehouse_url
from sluiceway.orphans import end_with_parent
from sluiceway.run.opening import Opening

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol

GOOD_ENDS = (AirflowRescheduleException, AirflowSkipException, DownstreamTasksSkipped, TaskDeferred)
"""What Airflow's tasks raise that have not failed."""


def run_of(context: Context) -> RunKey:
    """Which run the task belongs to."""
    return RunKey(context["dag_run"].dag_id, context["dag_run"].run_id)


def opening_of(context: Context) -> Opening:
    """What the run's ledger row begins with."""
    dag_run = context["dag_run"]
    return opening_of_run(dag_run)._replace(is_first_try=context["ti"].try_number == 1 and not dag_run.clear_number)


def opening_of_run(dag_run: DagRunProtocol) -> Opening:
    """The same of a run that no task of it opens."""
    kind = "deploy" if dag_run.run_id.startswith(DEPLOY_RUNS) else dag_run.run_type.value
    commit = (dag_run.conf or {}).get("commit_sha")
    run = RunKey(dag_run.dag_id, dag_run.run_id)
    return Opening(run, str(commit) if commit else None, kind, dag_run.run_after)


@contextmanager
def recorded(context: Context, *, table: str | None = None, conn_id: str = CONN_ID) -> Iterator[str]:
    """Runs a task's work, whose beginning and end the ledger keeps; gives the warehouse's URL.

    :param table: which one the task loads, if it loads one.
    :raises WarehouseUnavailableError: the ledger does not answer: nothing was begun.
    """
    from sluiceway.run import steps

    if _is_supervised():
        end_with_parent()
    url, instance = warehouse_url(conn_id), context["ti"]
    map_index = instance.map_index if instance.map_index is not None else UNMAPPED
    task = TaskRun(
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=map_index,
        try_number=instance.try_number,
        table_name=table,
        log_url=instance.log_url,
    )
    with one_connection(url):
        steps.begin_task(url, opening_of(context), task)
        try:
            yield url
        except GOOD_ENDS:
            steps.end_task(url, task)
            raise
        except BaseException as error:
            steps.end_task(url, task, error)
            raise
        steps.end_task(url, task)


def _is_supervised() -> bool:
    """Whether this process is a task's own; `airflow dags test` runs its tasks in the person's."""
    from airflow.sdk.execution_time import comms, task_runner

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), comms.CommsDecoder)
