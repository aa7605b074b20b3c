"""One big table on many workers: LoadPartOperator stages a part of it, MergePartsOperator loads it from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluiceway.on_airflow.connections import CONN_ID, connections
from sluiceway.on_airflow.lineage import OfTable
from sluiceway.on_airflow.operators.load_table import LoadTableOperator
from sluiceway.on_airflow.recorded import recorded, run_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoadPartOperator(OfTable, BaseOperator):
    """Stage one part of a table in one transaction; what came of it stands in the ledger.

    :param table: the table's name.
    :param part: the part's number, from 1.
    :param of: how many parts there are.
    :param memory: the most that the part may have, where the table's file says none.
    :param cpu: the same of processors.
    :param conn_id: the Airflow connection of the warehouse.
    """

    # none: they come from expand_kwargs(), and rendering them costs a call to the API server per part
    template_fields: Sequence[str] = ()
    stages_only = True

    def __init__(
        self,
        *,
        table: str,
        part: int,
        of: int,
        memory: str | None = None,
        cpu: float | None = None,
        conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.memory = memory
        self.cpu = cpu
        self.table = table
        self.part = part
        self.of = of
        self.conn_id = conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Stage the part and return its counts; raises what sluiceway.load.parts.load_part raises."""
        from sluiceway.load.parts import load_part
        from sluiceway.tables import registry

        with recorded(context, table=self.table, conn_id=self.conn_id) as url:
            staged = load_part(
                registry.read_one(self.table).within(self.memory, self.cpu),
                url,
                run=run_of(context),
                part=self.part,
                try_number=context["ti"].try_number,
                connections=connections,
            )
        return staged.model_dump(include={"table_name", "part", "parts", "extracted", "staged", "rejected", "worker"})


class MergePartsOperator(LoadTableOperator):
    """As LoadTableOperator, from the parts that are staged; in one, where none were planned."""

    from_parts = True
