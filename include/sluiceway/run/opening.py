"""Opens a run's row in the ledger, and tells it from that of a deleted run which had the same id.

A run is known by the moment at which Airflow first enqueued it, which no retry and no clear changes. A timetable's run
has the moment of its id: there the first try of its first task tells that nothing of it can have a row yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sluiceway.ledger import store
from sluiceway.ledger.deleted import put_aside
from sluiceway.ledger.store import Run, RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.run.facts import facts_of
from sluiceway.run.reconcile import without_airflow


class Opening(NamedTuple):
    """What a run's ledger row begins with, and who opens it."""

    run: RunKey
    commit_sha: str | None
    trigger_kind: str
    enqueued_at: datetime | None
    is_first_try: bool = False
    """Whether it is the first try of a task of a run of which nothing was ever cleared."""


def open_row(session: Session, opening: Opening, pending: Sequence[str] | None = None) -> None:
    """Open the row, or open it again, as the run's first task does.

    :param pending: the tasks that had still to begin.
    """
    found = store.run(session, opening.run, locked=True)
    # a first task may be new to a run of before, which goes on
    if found is not None and (
        not found.may_be_enqueued_at(opening.enqueued_at) or (opening.is_first_try and found.enqueued_at is not None)
    ):
        _put_aside(session, found)
    store.open_run(session, *opening[:4], pending=pending)


def open_unless_open(session: Session, opening: Opening) -> None:
    """Open the row if the run's first task could not, as every other task does."""
    if _is_open(store.run(session, opening.run), opening):
        return
    # several tasks can be the first to write: who waited for the lock finds the other's row, and leaves it
    found = store.run(session, opening.run, locked=True)
    if _is_open(found, opening):
        return
    if found is not None:
        _put_aside(session, found)
    store.open_run(session, *opening[:4], pending=None)


def _is_open(found: Run | None, opening: Opening) -> bool:
    """Whether the row is that of the run which the opening is for."""
    if found is None:
        return False
    # of a run that is judged no task can begin for the first time
    is_judged = opening.is_first_try and found.finished_at is not None and found.enqueued_at is not None
    return found.may_be_enqueued_at(opening.enqueued_at) and not is_judged


def _put_aside(session: Session, found: Run) -> None:
    truth = without_airflow(facts_of(session, found))
    put_aside(session, found, truth.status, truth.sentence)
