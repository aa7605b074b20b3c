"""Whether a table holds as many rows as the ledger counted, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping

from sluiceway.amounts import counted
from sluiceway.ledger import last_loads, locks
from sluiceway.ledger.store import TableRun
from sluiceway.ledger.warehouse import Session
from sluiceway.load.target import count_rows, dataset_of
from sluiceway.sources.connections import Connections
from sluiceway.tables.spec import TableSpec


def differs(
    session: Session, url: str, spec: TableSpec, own: TableRun, left: Mapping[str, int], connections: Connections
) -> str | None:
    """How the table differs from what its newest load left, which may be another run's; None: it does not.

    :param session: sees the warehouse and the ledger as of one moment.
    :param own: the run's own load of the table.
    :param left: how many rows the newest load of each table left, as that moment has it.
    :raises SluicewayError: BigQuery cannot be asked.
    """
    dataset = dataset_of(spec, connections)
    if dataset is None:
        return _differs(count_rows(session, spec, None), left, own, "the warehouse")
    # BigQuery knows nothing of that moment: in the table's turn, nobody is between its MERGE and its row of the ledger
    waiting = f"{spec.name}: a load of this table is under way; its rows are counted after it"
    name = f"sluiceway count {spec.name}"
    turn, writing = locks.of_load(spec.name), locks.of_writing(spec.name)
    with locks.hold(url, turn, after=writing, application_name=name, waiting=waiting) as lock:
        now = last_loads.rows_left(lock, [spec.name])
        return _differs(dataset.count_rows(), now, own, f"BigQuery's dataset {dataset.project}.{dataset.name}")


def _differs(count: int | None, left: Mapping[str, int], own: TableRun, where: str) -> str | None:
    if count is None:
        return f"is not in {where}"
    rows = left.get(own.table_name, own.table_rows or 0)
    return f"holds {counted(count, 'row')}, the ledger says {rows:,}" if count != rows else None
