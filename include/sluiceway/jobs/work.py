"""What a run of a job does, without Airflow: its items become due, and lanes work on them.

on_airflow/graphs/jobs.py makes tasks of it, `sluiceway jobs run --local` does it in its own process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg import sql
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from sluiceway.errors import ConfigError, TargetMismatchError
from sluiceway.jobs import due, files, items, requests, results
from sluiceway.jobs.definition import WRITTEN_AT, Job, Results
from sluiceway.jobs.errors import JobPausedError
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.requests import Request
from sluiceway.jobs.room import check_room
from sluiceway.jobs.tally import Tally
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session, connect, connection, error_of
from sluiceway.settings import load_settings
from sluiceway.sources.connections import Connections, from_environment

log = logging.getLogger(__name__)


class Asked(BaseModel):
    """Which items somebody asks for; nothing said: those that are due."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[str, ...] = ()
    """These, also where they are done, dead, wait or are no part of the job's SELECT; the run works on no other."""
    where: str | None = None
    """Those of the SELECT for which the condition holds, also where they are done."""
    all: bool = False
    """All of the SELECT, also where they are done."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(map(bool, (self.items, self.where, self.all))) > 1:
            raise ValueError("items, where and all exclude each other: write one of them")
        return self

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Asked:
        """What a run's params ask for.

        :raises ConfigError: more than one of them does.
        """
        try:
            where = str(params.get("where") or "").strip() or None
            return cls(items=params.get("items") or (), where=where, all=bool(params.get("all")))
        except ValidationError as error:
            raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def enqueue(url: str, name: str, asked: Asked, *, run: RunKey, who: str, lanes: int = 1) -> int:
    """Make the job's items due that are asked for, and note who asked; a second time changes nothing more.

    Forgets, too, what was asked for and decided before SLUICEWAY_HISTORY_DAYS.

    :param url: the warehouse, as the role that writes etl_jobs.
    :param lanes: of all jobs together, for which there must be room.
    :returns: how many items are due now that were not.
    :raises ConfigError: the job's file, its SELECT or the condition is wrong.
    :raises JobPausedError: a person has paused it.
    :raises WarehouseUnavailableError: it does not answer, or has too few connections for all lanes.
    """
    job = files.read(name)
    with _session(url, name) as session:
        check_revision(session)
        if (paused := requests.is_paused(session, name)) is not None:
            raise JobPausedError(
                f"{name} is paused by {paused.who}{f' ({paused.why})' if paused.why else ''}; "
                f"`sluiceway jobs resume {name}` lets it run."
            )
        check_room(session, lanes)
        with session.transaction():
            if results.ensure(session, job.results) and (lost := items.counts(session, name).get("done", 0)):
                log.warning(
                    "%s: etl_jobs.%s was gone and is made anew, empty, while %d items count as done; "
                    "`sluiceway jobs run %s --all` asks for them again",
                    *(name, job.results.table, lost, name),
                )
            requests.forget(session, older_than_days=load_settings().history_days)
        due.prepare(session, job)
        due.find(session, job.due, asked.where, key=job.key)
        with session.transaction():
            # what is asked for once more is asked once: the task may be a second try, or was cleared
            is_first = not requests.of_run(session, run)
            count = _enqueue(session, name, job, asked if is_first else Asked())
            detail = asked.model_dump(mode="json", exclude_defaults=True)
            requests.write(
                session,
                Request(
                    job=name, action="run", who=who, dag_id=run.dag_id, run_id=run.run_id, detail=detail, items=count
                ),
            )
    log.info("%s: %d items are due that were not", name, count)
    return count


def would_be_due(url: str, name: str, asked: Asked) -> list[str]:
    """The items that `enqueue` would make due, and those that are due already; nothing is changed."""
    job = files.read(name)
    with _session(url, name) as session:
        check_revision(session)
        due.prepare(session, job)
        due.find(session, job.due, asked.where, key=job.key)
        return items.would_be_due(session, name, only=_named(job, asked), again=asked.where is not None or asked.all)


def work(
    url: str,
    name: str,
    key: LaneKey,
    asked: Asked,
    *,
    connections: Connections = from_environment,
    budget_s: float | None = None,
    waits: bool = True,
) -> Tally:
    """One lane of a run: work on what is due until nothing is, or its time is over.

    :raises JobSetupError: what every item needs is missing; no item was touched by that.
    :raises BrokenWorkError: the job's function fails for every item.
    """
    job = files.read(name)
    lane = Lane(url, name, job, key, connections, _named(job, asked))
    return lane.drain(budget_s=budget_s or job.lane_seconds, waits=waits)


def publish(url: str, name: str) -> str | None:
    """Make the view in schema public that shows the job's results; returns its name, None where it has none.

    :param url: the warehouse, as the role that loads: jobs write no schema but their own.
    :raises TargetMismatchError: something else has the name.
    """
    shown = files.read(name).results
    if not shown.public:
        return None
    view = sql.Identifier("public", shown.table)
    with connect(url) as session:
        kind = session.execute(
            sql.SQL("SELECT relkind FROM pg_class WHERE oid = to_regclass({})").format(
                sql.Literal(view.as_string(None))
            )
        )
        if kind and kind[0][0] != "v":
            raise TargetMismatchError(
                f"public.{shown.table} is a table; the results of {name} need its name for their view: "
                f"give results.table another name."
            )
        if kind and _shows(session, shown):
            return shown.table
        if kind:
            session.execute(sql.SQL("DROP VIEW {}").format(view))
        session.execute(
            sql.SQL("CREATE VIEW {} AS SELECT {} FROM {}").format(
                view,
                sql.SQL(", ").join(map(sql.Identifier, _columns(shown))),
                sql.Identifier("etl_jobs", shown.table),
            )
        )
        if shown.comment:
            session.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(shown.comment)))
    return shown.table


def _columns(shown: Results) -> list[str]:
    return [shown.key, *shown.public, WRITTEN_AT]


def _shows(session: Session, shown: Results) -> bool:
    rows = session.execute(
        sql.SQL(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0 ORDER BY attnum"
        ).format(sql.Literal(sql.Identifier("public", shown.table).as_string(None)))
    )
    return [column for (column,) in rows] == _columns(shown)


def _enqueue(session: LockedSession, name: str, job: Job, asked: Asked) -> int:
    found = sql.SQL("SELECT item, input, input_hash FROM pg_temp.due")
    if not asked.items:
        return items.enqueue(session, name, found, again=asked.where is not None or asked.all)
    return items.ask_again(session, name, _named(job, asked) or ())


def _named(job: Job, asked: Asked) -> list[str] | None:
    """The items that somebody names, as the job calls them; None: nobody names any."""
    if not asked.items:
        return None
    return [each if job.key is None else due.key_of(each, job.key) for each in asked.items]


@contextmanager
def _session(url: str, name: str) -> Iterator[LockedSession]:
    try:
        with connection(url) as found:
            found.execute("SELECT set_config('application_name', %s, false)", [f"sluiceway job {name}"[:63]])
            yield LockedSession(found, url)
    except psycopg.Error as error:
        raise error_of(error, url) from error
