"""WorkItemsOperator: one task is one lane of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluiceway.on_airflow.connections import CONN_ID, JOBS_CONN_ID, connections, warehouse_url
from sluiceway.on_airflow.recorded import recorded, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluiceway.jobs.work import Asked


class WorkItemsOperator(BaseOperator):
    """Work on a job's items until nothing is due, the lane's time is over, or its service may not be asked.

    What a killed lane held is taken back by whoever runs after its lease; its second try goes on where it was.

    :param job: the name of a file of include/config/jobs/.
    :param lane: its number; lanes differ in nothing else.
    :param conn_id: the Airflow connection of the warehouse, as the role that works on items.
    :param ledger_conn_id: the same for the role that writes the ledger.
    """

    # none: rendering costs a call to the API server
    template_fields: Sequence[str] = ()

    def __init__(
        self, *, job: str, lane: int = 0, conn_id: str = JOBS_CONN_ID, ledger_conn_id: str = CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job, self.lane = job, lane
        self.conn_id, self.ledger_conn_id = conn_id, ledger_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Work, and return what was done.

        :raises JobSetupError: what every item needs is missing, such as a token; no item was touched by that.
        :raises BrokenWorkError: the job's function fails for every item.
        """
        from sluiceway.jobs import work
        from sluiceway.jobs.lanes import LaneKey

        with recorded(context, conn_id=self.ledger_conn_id):
            key = LaneKey(run_of(context), self.lane, context["ti"].try_number)
            tally = work.work(warehouse_url(self.conn_id), self.job, key, asked_of(context), connections=connections)
        return {"asked": tally.asked, "ended": dict(tally.ended), "back": tally.back, "paused": tally.paused}


def asked_of(context: Context) -> Asked:
    """Which items the run's params ask for."""
    from sluiceway.jobs.work import Asked

    return Asked.of({name: context["params"].get(name) for name in ("items", "where", "all")})
