"""VerdictOperator: the task that decides the run's colour, when every other has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluiceway.errors import RunFailedError, SluicewayError, TransientError
from sluiceway.ledger.warehouse import one_connection
from sluiceway.on_airflow.alerts import tell_after_run
from sluiceway.on_airflow.connections import CONN_ID, warehouse_url
from sluiceway.on_airflow.links import ReportLink
from sluiceway.on_airflow.recorded import opening_of, run_of
from sluiceway.run.verdict import judged_states

if TYPE_CHECKING:
    from airflow.sdk import Context


class VerdictOperator(BaseOperator):
    """Judge the run, close its ledger row, write its page, tell whoever is to know, and fail when the run is red.

    Make it the teardown of the run's first task, with an arrow from every task that it judges: then it waits for all of
    them, runs whatever happened to them, and runs again when one of them does.

    :param conn_id: the Airflow connection of the warehouse.
    """

    operator_extra_links = (ReportLink(),)

    def __init__(self, *, conn_id: str = CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id

    def execute(self, context: Context) -> str:
        """Return the verdict's sentence; raises RunFailedError with it when the run is red."""
        from sluiceway.run import steps

        url, run = warehouse_url(self.conn_id), run_of(context)
        found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
        with one_connection(url):
            verdict = steps.close_ledger(url, opening_of(context), judged_states(found.get(run.run_id, {})))
            try:
                steps.write_report(url, run)
            except TransientError:
                raise
            except (SluicewayError, OSError) as error:
                sentence = f"{verdict.sentence} The page of the run could not be written: {error}"
                steps.fail_run(url, run, sentence)
                tell_after_run(url)
                raise RunFailedError(sentence) from error
        tell_after_run(url)
        if verdict.status not in {"success", "superseded"}:
            raise RunFailedError(verdict.sentence)
        return verdict.sentence
