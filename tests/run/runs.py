"""Runs that tests of steps share."""

from __future__ import annotations

from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.run.opening import Opening

RUN = RunKey("master_etl", "deploy__1")

OTHER = RunKey("shop", "deploy__1")
"""Of another DAG: Airflow's run ids are unique per DAG only."""


def opening(run: RunKey) -> Opening:
    return Opening(run, None, "test", None)


def run_of(url: str, run: RunKey) -> store.Run:
    with connect(url) as session:
        found = store.run(session, run)
    assert found is not None
    return found
