"""What becomes of a run after its verdict, or without one: the ledger follows what Airflow has of it, without Airflow.

on_airflow/graphs/run_watch.py wraps it as a task.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sluiceway.ledger import store, watched_dags
from sluiceway.ledger.newest import open_and_newest
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.rows_seen import rows_seen
from sluiceway.ledger.store import Run, RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.run.facts import facts_of
from sluiceway.run.opening import Opening, open_unless_open
from sluiceway.run.reconcile import Seen, Truth, as_written, reconcile

TAKEN_IN_WITHIN = timedelta(days=1)
"""A run without a row that ended longer ago was forgotten, or is of a time before this ledger."""

Ask = Callable[[str], tuple[Opening, Seen] | None]
"""From a run's id to what Airflow has of a run that has ended."""


class Watched(NamedTuple):
    """A run that may have changed after its verdict."""

    run: Run
    wrote_since: bool
    """Whether a task of it has written into the ledger since it was judged."""


def watched_runs(url: str, *, newest: int) -> list[Watched]:
    """The runs of DAGs that may have changed: those that are open, and the newest that were judged."""
    with connect(url) as session:
        check_revision(session)
        runs = [run for run in open_and_newest(session, newest=newest) if run.dag_id != store.CLI]
        rows = rows_seen(session, [run.key for run in runs])
    return [Watched(run, wrote_since=run.judged_rows != rows.get(run.key)) for run in runs]


def reconcile_run(url: str, run: Run, seen: Seen) -> Truth | None:
    """Write into the ledger what has become of a run after its verdict, or instead of it; None: nothing has.

    :param run: what the ledger said before Airflow was asked. If it says something else now, the run goes on meanwhile
        and what was seen is old.
    """
    with connect(url) as session:
        found = store.run(session, run.key, locked=True)
        if found != run:
            return None
        truth = reconcile(facts_of(session, found), seen)
        if truth == as_written(found):
            return None
        store.rewrite(session, run.key, truth.status, truth.sentence, truth.judged, truth.judged_rows, truth.remark)
    return truth


def runs_looked_through(url: str, dag_id: str) -> int | None:
    """How many ended runs of a DAG Airflow had when they were looked through; None: never."""
    with connect(url) as session:
        return watched_dags.ended_runs(session, dag_id)


def take_in(url: str, dag_id: str, ended: int, run_ids: Collection[str], ask: Ask) -> list[RunKey]:
    """Give a row to each ended run that has none, for none of its tasks ever began; not to those of long ago.

    :param ended: how many ended runs of the DAG Airflow has.
    :param run_ids: those of its runs that may have ended.
    :param ask: asks Airflow for one; None: it goes on, or is gone.
    :returns: the runs that have one now.
    """
    with connect(url) as session:
        unknown = watched_dags.unknown(session, dag_id, run_ids)
    taken, old = [], []
    for run_id in unknown:
        if (found := ask(run_id)) is None:
            continue
        opening, seen = found
        if (seen.ended_at or datetime.now(UTC)) < datetime.now(UTC) - TAKEN_IN_WITHIN:
            old.append(run_id)
            continue
        take_in_run(url, opening, seen)
        taken.append(opening.run)
    with connect(url) as session:
        watched_dags.looked_through(session, dag_id, ended, run_ids, old)
    return taken


def take_in_run(url: str, opening: Opening, seen: Seen) -> None:
    """Give a row to a run that has ended and of which no task began; another run's that has its id is put aside."""
    with connect(url) as session:
        open_unless_open(session, opening)
        (run,) = store.runs(session, dag_id=opening.run.dag_id, run_id=opening.run.run_id)
        truth = reconcile(facts_of(session, run), seen)
        store.rewrite(session, run.key, truth.status, truth.sentence, truth.judged, truth.judged_rows, truth.remark)
