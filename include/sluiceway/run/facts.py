"""What the ledger knows of a run: what its verdict, its page and every comparison with Airflow go by."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from sluiceway.jobs import lanes, requests
from sluiceway.jobs.lanes import LaneRun
from sluiceway.jobs.requests import Request
from sluiceway.ledger import publications, store, tasks
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.rows_seen import rows_seen
from sluiceway.ledger.store import Run, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import Session


class Facts(BaseModel):
    """All that the ledger knows of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: Run
    rows_seen: str | None = None
    """What the rows come to of which the rest was read."""
    tables: tuple[TableRun, ...] = ()
    """What it did to each."""
    tries: tuple[TableRun, ...] = ()
    """Every try at them."""
    tasks: tuple[TaskRun, ...] = ()
    """The newest try of each task."""
    publications: tuple[Publication, ...] = ()
    asked: tuple[Request, ...] = ()
    """Of a job's run: what was asked for, the newest first."""
    lanes: tuple[LaneRun, ...] = ()
    """Of a job's run: every try of each."""


def facts_of(session: Session, run: Run) -> Facts:
    """All that the ledger knows of a run."""
    return Facts(
        run=run,
        # first: what is written while the rest is read is then missed by nobody who looks again
        rows_seen=rows_seen(session, [run.key]).get(run.key),
        tables=tuple(store.table_runs(session, run.key)),
        tries=tuple(store.table_tries(session, run.key)),
        tasks=tuple(tasks.newest(session, run.key)),
        publications=tuple(publications.of_run(session, run.key)),
        asked=tuple(requests.of_run(session, run.key)),
        lanes=tuple(lanes.of_run(session, run.key)),
    )
