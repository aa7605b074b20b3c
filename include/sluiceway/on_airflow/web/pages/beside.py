"""What stands beside the tables: runs that wait, go on or were superseded, what fails, and what was given up. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sluiceway.freshness.around import Around, DeadLetters, FailingTrigger
from sluiceway.ids import MASTER
from sluiceway.ledger.rows import CLI, RunKey
from sluiceway.on_airflow.web.airflow_runs import Queue


class ShownRun(NamedTuple):
    """One of them."""

    dag_id: str
    run_id: str
    state: str
    """waits, waits: its DAG is paused, runs, superseded."""
    kind: str
    """Its class on the page: planned, running, superseded."""
    since: datetime | None
    note: str | None
    in_airflow: bool
    in_ledger: bool


class Beside(NamedTuple):
    """All of it, of the DAGs that the reader may read."""

    paused: str | None
    """The master DAG, if it is: no run of it begins."""
    runs: list[ShownRun]
    failing: list[FailingTrigger]
    dead: list[DeadLetters]


def beside(known: Around, airflow: Queue, readable: Collection[str]) -> Beside:
    """What the ledger and Airflow know together.

    :param airflow: of readable DAGs alone.
    :param readable: the DAGs whose runs the reader may read. The runs of the command line belong to none.
    """
    of_ledger = {RunKey(run.dag_id, run.run_id): run for run in known.runs if run.dag_id in {*readable, CLI}}
    runs = []
    for run in airflow.runs:
        row = of_ledger.pop(RunKey(run.dag_id, run.run_id), None)
        state = "runs" if not run.waits else "waits: its DAG is paused" if run.is_paused else "waits"
        kind = "planned" if run.waits else "running"
        runs.append(ShownRun(run.dag_id, run.run_id, state, kind, run.since, None, True, row is not None))
    for key, row in of_ledger.items():
        state, note = ("runs", None) if row.status == "running" else ("superseded", row.note)
        in_airflow = key.dag_id != CLI
        runs.append(ShownRun(*key, state, str(row.status), row.began_at, note, in_airflow, True))
    return Beside(
        paused=MASTER if MASTER in airflow.paused else None,
        runs=runs,
        failing=[each for each in known.failing if each.flow_id in readable],
        dead=[each for each in known.dead if each.job in readable],
    )
