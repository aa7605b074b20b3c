"""LoadTableOperator: one task loads one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluiceway.on_airflow.assets import tell_of_load
from sluiceway.on_airflow.connections import CONN_ID, connections
from sluiceway.on_airflow.lineage import OfTable
from sluiceway.on_airflow.recorded import recorded, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoadTableOperator(OfTable, BaseOperator):
    """Load one table of include/config/tables/ in one transaction.

    Fails without a retry when the extraction is empty or anything else is wrong that a retry does not change;
    what the run did to the table stands in the ledger either way.

    :param table: the table's name.
    :param memory: the most that its load may have, where the table's file says none.
    :param cpu: the same of processors.
    :param conn_id: the Airflow connection of the warehouse.
    """

    # none: the table comes from expand(), and rendering it costs a call to the API server per table
    template_fields: Sequence[str] = ()
    from_parts = False

    def __init__(
        self,
        *,
        table: str,
        memory: str | None = None,
        cpu: float | None = None,
        conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.memory = memory
        self.cpu = cpu
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Load the table and return its counts; nothing of one that is unchanged, which spares Airflow a request.

        :raises EmptyExtractionError: nothing was extracted, or fewer rows than checks.min_rows.
        :raises SluicewayError: any other reason; see sluiceway.load.limited.load_within_memory.
        """
        from sluiceway.load.limited import load_within_memory
        from sluiceway.run import steps

        run, try_number = run_of(context), context["ti"].try_number
        with recorded(context, table=self.table, conn_id=self.conn_id) as url:
            spec = steps.read_table(url, run, self.table, try_number)
            result = load_within_memory(
                spec.within(self.memory, self.cpu),
                url,
                run=run,
                try_number=try_number,
                force=bool(context["params"].get("force", False)),
                connections=connections,
                from_parts=self.from_parts,
            )
            tell_of_load(context, url, result)
        if result.status == "unchanged":
            return None
        return result.model_dump(exclude={"source_columns", "finished_at", "fingerprint", "spec_hash"})
