"""Who asked for what, and why: every run of a job and everything that a person decides is a row of etl_jobs.request.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session

Action = Literal["run", "pause", "resume", "replay", "discard", "decide", "renew"]


class Request(BaseModel):
    """One row of etl_jobs.request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime | None = None
    job: str | None = None
    service: str | None = None
    """Of a pause that is a service's."""
    action: Action
    who: str
    why: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    detail: dict[str, Any] = {}
    """What was chosen: items, a condition, all."""
    items: int = 0
    """How many it made due, dead or decided."""


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Request.model_fields))


def write(session: Session, request: Request) -> int:
    """Write one down; its time is now. Returns its number."""
    values = request.model_dump(exclude={"at"})
    values["detail"] = Jsonb(values["detail"])
    rows = session.execute(
        sql.SQL("INSERT INTO etl_jobs.request ({}) VALUES ({}) RETURNING id").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Literal, values.values()))
        )
    )
    return int(rows[0][0])


def of_run(session: Session, run: RunKey) -> list[Request]:
    """The requests of a run, the newest first; none of a run that is no job's, or has enqueued nothing yet."""
    return _found(
        session, sql.SQL("(dag_id, run_id) = ({}, {}) AND action = 'run'").format(*map(sql.Literal, run)), 1000
    )


def newest(session: Session, job: str, *, limit: int = 20) -> list[Request]:
    """The newest of a job."""
    return _found(session, sql.SQL("job = {}").format(sql.Literal(job)), limit)


def is_paused(session: Session, job: str) -> Request | None:
    """Who paused the job, while it is paused."""
    found = _first(session, sql.SQL("job = {} AND action IN ('pause', 'resume')").format(sql.Literal(job)))
    return found if found is not None and found.action == "pause" else None


def forget(session: Session, *, older_than_days: int) -> None:
    """Forget what was asked for, decided and worked on before that; but never who paused a job last."""
    past = sql.SQL("clock_timestamp() - {} * interval '1 day'").format(sql.Literal(older_than_days))
    session.execute(
        sql.SQL(
            "DELETE FROM etl_jobs.request AS r WHERE at < {} AND NOT (action IN ('pause', 'resume') AND NOT EXISTS ("
            "SELECT FROM etl_jobs.request AS n WHERE n.action IN ('pause', 'resume') AND n.at > r.at "
            "AND (n.job = r.job OR n.service = r.service)))"
        ).format(past)
    )
    session.execute(sql.SQL("DELETE FROM etl_jobs.lane WHERE started_at < {}").format(past))


def _first(session: Session, condition: sql.Composed) -> Request | None:
    return next(iter(_found(session, condition, 1)), None)


def _found(session: Session, condition: sql.Composed, limit: int) -> list[Request]:
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl_jobs.request WHERE {} ORDER BY at DESC, id DESC LIMIT {}").format(
            _COLUMNS, condition, sql.Literal(limit)
        )
    )
    return [Request.model_validate(dict(zip(Request.model_fields, row, strict=True))) for row in rows]
