"""A dataset of the stand-in, and the settings and the connection that lead there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.bigquery import dataset as module
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection, Connections
from sluiceway.tables.spec import TableSpec
from tests.stand_ins.bigquery import BigQuery


@pytest.fixture
def dataset(setting: Callable[..., None]) -> Iterator[BigQuery]:
    with BigQuery() as service:
        setting(bigquery_dataset="own.warehouse", bigquery_connection="bigquery")
        yield service


@pytest.fixture
def connections(dataset: BigQuery) -> Connections:
    def find(conn_id: str) -> Connection:
        assert conn_id == "bigquery"
        return Connection(conn_id=conn_id, conn_type="google_cloud_platform", extra={"rest_endpoint": dataset.uri})

    return find


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 3.0)
    monkeypatch.setattr(module, "UPLOAD_RETRIES", 1)


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey], connections: Connections) -> Callable[..., TableRun]:
    """Loads as run r1, r2, ..., or as the named one."""
    count = 0

    def run(spec: TableSpec, run_id: str | None = None, **options: object) -> TableRun:
        nonlocal count
        count += 1
        run = open_run(run_id or f"r{count}")
        return load_table(spec, warehouse_url, run=run, connections=connections, **options)  # type: ignore[arg-type]

    return run
