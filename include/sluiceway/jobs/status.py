"""How jobs stand: items by state, ages, dead letters by class, speed, pauses, and what they cost the database."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.jobs import requests
from sluiceway.ledger.warehouse import Session
from sluiceway.sources.services.api_client import LOCAL_HOSTS

STATES = ("due", "claimed", "done", "waiting", "dead")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JobStatus(_Frozen):
    """One job; ages are in seconds."""

    job: str
    due: int = 0
    """Also those that are tried again later."""
    claimed: int = 0
    done: int = 0
    waiting: int = 0
    dead: int = 0
    dead_by_class: dict[str, int] = {}
    oldest_due_s: float | None = None
    """Since when the first may be claimed; None: nothing may be."""
    oldest_waiting_s: float | None = None
    lapses: int = 0
    """Of items that are not done."""
    attempts: int = 0
    """The same."""
    items_per_s: float | None = None
    """Of the newest lane that did anything."""
    waited_s: float = 0.0
    """For its turn at its service, over all lanes that are remembered."""
    lapsed: int = 0
    """Items whose lease is over and that nobody has taken back yet."""
    paused_by: str | None = None


class ServiceStatus(_Frozen):
    """One service that jobs ask."""

    service: str
    address: str | None
    """Where it was asked last."""
    requests: int
    waited_s: float
    paused_until: datetime | None
    pause_reason: str | None

    @property
    def is_here(self) -> bool:
        """Whether it is asked on this machine: then it is a stand-in, or a proxy, and not the public service."""
        return self.address is not None and (urlsplit(self.address).hostname or "") in LOCAL_HOSTS


class DatabaseStatus(_Frozen):
    """What jobs cost the warehouse."""

    connections: int
    """Of lanes, now."""
    all_connections: int
    max_connections: int
    dead_rows: int
    """Of etl_jobs.item, which autovacuum has not taken away yet (n_dead_tup)."""
    oldest_transaction_s: float | None
    """The oldest open transaction, which pins dead rows."""


def jobs(session: Session, *, only: str | None = None) -> list[JobStatus]:
    """Every job that has items, by name."""
    condition = sql.SQL("TRUE") if only is None else sql.SQL("job = {}").format(sql.Literal(only))
    rows = session.execute(
        sql.SQL("""
            SELECT job, count(*) FILTER (WHERE state = 'due'), count(*) FILTER (WHERE state = 'claimed'),
                count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'waiting'),
                count(*) FILTER (WHERE state = 'dead'),
                extract(epoch FROM clock_timestamp() - min(due_at) FILTER (
                    WHERE state = 'due' AND due_at <= clock_timestamp()))::float8,
                extract(epoch FROM clock_timestamp() - min(updated_at) FILTER (WHERE state = 'waiting'))::float8,
                coalesce(sum(lapses) FILTER (WHERE state <> 'done'), 0)::bigint,
                coalesce(sum(attempts) FILTER (WHERE state <> 'done'), 0)::bigint,
                count(*) FILTER (WHERE state = 'claimed' AND lease_until < clock_timestamp())
            FROM etl_jobs.item WHERE {} GROUP BY job ORDER BY job
        """).format(condition)
    )
    found = []
    for job, due, claimed, done, waiting, dead, oldest_due, oldest_waiting, lapses, attempts, lapsed in rows:
        paused = requests.is_paused(session, job)
        speed, waited = _speed(session, job)
        found.append(
            JobStatus(
                job=job,
                due=due,
                claimed=claimed,
                done=done,
                waiting=waiting,
                dead=dead,
                dead_by_class=_dead_by_class(session, job),
                oldest_due_s=oldest_due,
                oldest_waiting_s=oldest_waiting,
                lapses=lapses,
                attempts=attempts,
                lapsed=lapsed,
                items_per_s=speed,
                waited_s=waited,
                paused_by=None if paused is None else paused.who,
            )
        )
    return found


def services(session: Session) -> list[ServiceStatus]:
    """Every service that was asked, by name."""
    rows = session.execute(
        sql.SQL(
            "SELECT service, address, requests, waited_s, "
            "CASE WHEN paused_until > clock_timestamp() THEN paused_until END, "
            "CASE WHEN paused_until > clock_timestamp() THEN pause_reason END FROM etl_jobs.rate ORDER BY service"
        )
    )
    return [ServiceStatus.model_validate(dict(zip(ServiceStatus.model_fields, row, strict=True))) for row in rows]


def database(session: Session) -> DatabaseStatus:
    """What jobs cost the warehouse now."""
    rows = session.execute(
        sql.SQL(
            "SELECT count(*) FILTER (WHERE application_name LIKE 'sluiceway job %'), count(*), "
            "current_setting('max_connections')::integer, "
            "coalesce((SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'etl_jobs.item'::regclass), 0), "
            "max(extract(epoch FROM clock_timestamp() - xact_start)) "
            "FILTER (WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid())::float8 "
            "FROM pg_stat_activity WHERE datname = current_database()"
        )
    )
    return DatabaseStatus.model_validate(dict(zip(DatabaseStatus.model_fields, rows[0], strict=True)))


def _dead_by_class(session: Session, job: str) -> dict[str, int]:
    rows = session.execute(
        sql.SQL(
            "SELECT coalesce(last_code, 'unknown'), count(*) FROM etl_jobs.item WHERE job = {} AND state = 'dead' "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        ).format(sql.Literal(job))
    )
    return dict(rows)


def _speed(session: Session, job: str) -> tuple[float | None, float]:
    """Items a second of the newest lane that asked any, and what all lanes have waited for their turns."""
    rows = session.execute(
        sql.SQL(
            "SELECT (SELECT asked / "
            "nullif(extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at), 0)::float8 "
            "FROM etl_jobs.lane WHERE job = {0} AND asked > 0 ORDER BY started_at DESC LIMIT 1), "
            "coalesce((SELECT sum(waited_s) FROM etl_jobs.lane WHERE job = {0}), 0)"
        ).format(sql.Literal(job))
    )
    speed, waited = rows[0]
    return (None if speed is None else float(speed)), float(waited)
