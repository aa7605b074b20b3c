"""Where the rows of a table stand: in the warehouse, or in a BigQuery dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluiceway.ledger.warehouse import Session
from sluiceway.sources.connections import Connections
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.bigquery.dataset import Dataset


def dataset_of(spec: TableSpec, connections: Connections) -> Dataset | None:
    """The BigQuery dataset of the table; None: its rows stand in the warehouse.

    :raises SettingsError: the deployment names no dataset, or its connection is not there.
    """
    if spec.target == "postgresql":
        return None
    # Google's client, a second and 60 MB
    from sluiceway.load.bigquery.dataset import Dataset

    return Dataset.of(spec, connections)


def count_rows(session: Session, spec: TableSpec, dataset: Dataset | None) -> int | None:
    """Live rows of the table; None where there is no such table.

    :param session: of the warehouse.
    :param dataset: as dataset_of.
    """
    if dataset is not None:
        return dataset.count_rows()
    from sluiceway.load import merge

    return merge.count_rows(session, spec) if merge.table_exists(session, spec) else None
