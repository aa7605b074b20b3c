"""VerdictOperator: the leaf that decides the run's colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule

from sluiceway.errors import RunFailedError
from sluiceway.operators.connections import CONN_ID, warehouse_url
from sluiceway.operators.followers import GROUP
from sluiceway.web.links import ReportLink

if TYPE_CHECKING:
    from airflow.sdk import Context


def task_states(context: Context) -> dict[str, str | None]:
    """The states of this run's other tasks, mapped ones as `<task id>_<map index>`; who tells followers is no part."""
    task_instance, dag_run = context["ti"], context["dag_run"]
    states = task_instance.get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id]).get(dag_run.run_id, {})
    return {task: state for task, state in states.items() if task != task_instance.task_id and not _tells(task)}


def _tells(task_id: str) -> bool:
    return task_id.startswith(f"{GROUP}.")


class VerdictOperator(BaseOperator):
    """Close the ledger row and fail when the run is red. Runs whatever happened before it.

    :param conn_id: the Airflow connection of the warehouse.
    """

    operator_extra_links = (ReportLink(),)

    def __init__(self, *, conn_id: str = CONN_ID, **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": TriggerRule.ALL_DONE, **kwargs})
        self.conn_id = conn_id

    def execute(self, context: Context) -> str:
        """Return the verdict's sentence; raises RunFailedError with it when the run is red."""
        from sluiceway import steps

        verdict = steps.close_ledger(warehouse_url(self.conn_id), str(context["run_id"]), task_states(context))
        if verdict.status not in {"success", "superseded"}:
            raise RunFailedError(verdict.sentence)
        return verdict.sentence
