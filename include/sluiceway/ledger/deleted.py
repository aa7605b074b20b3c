"""The row of a run that was deleted in Airflow, where a later one has its id. Runs in the caller's transaction."""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger.store import Run, RunStatus
from sluiceway.ledger.warehouse import Session


def put_aside(session: Session, run: Run, status: RunStatus, note: str | None) -> None:
    """The row goes on under an id of its own, and nothing that it did counts for the later run.

    :param status: what is to be said of it, with `note`.
    """
    session.execute(
        sql.SQL(
            "UPDATE etl.run SET "
            "run_id = run_id || to_char(started_at AT TIME ZONE 'UTC', '~YYYYMMDD\"T\"HH24MISSUS'), "
            "status = {}, note = {}, finished_at = coalesce(finished_at, clock_timestamp()), "
            "remark = 'It was deleted in Airflow, where a later run has its id, ' || run_id || '; rows that it wrote "
            "bear that id still.' WHERE (dag_id, run_id) = ({}, {})"
        ).format(*map(sql.Literal, (status, note, *run.key)))
    )
