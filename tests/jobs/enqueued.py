"""What a SELECT gives becomes rows, as a run of a job begins."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from sluiceway.jobs import due, items
from sluiceway.jobs.definition import Job
from sluiceway.ledger.locks import LockedSession


def enqueue(
    session: LockedSession,
    job: str,
    select: str,
    *,
    where: str | None = None,
    again: bool = False,
    key: Callable[[str], str] | None = None,
) -> int:
    """How many items are due now that were not."""
    due.find(session, select, where, key=key)
    return items.enqueue(session, job, sql.SQL("SELECT item, input, input_hash FROM pg_temp.due"), again=again)


def enqueue_job(session: LockedSession, name: str, job: Job) -> int:
    """The same of all that a job's file says."""
    due.prepare(session, job)
    return enqueue(session, name, job.due, key=job.key)
