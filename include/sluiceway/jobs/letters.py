"""Dead letters and what waits for a person: found, replayed, discarded, decided, with who and why.

What an item was before stays in etl_jobs.decision. Every function runs in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.errors import ConfigError, nearest
from sluiceway.jobs import files, results
from sluiceway.jobs.definition import DECADES, Job
from sluiceway.jobs.items import Item, State
from sluiceway.jobs.requests import Action, Request, write
from sluiceway.ledger.warehouse import Session

NAMES_NEAR = 2000


class Letter(BaseModel):
    """An item as it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    item: str
    state: State
    last_code: str | None
    last_error: str | None
    attempts: int
    lapses: int
    due_at: datetime
    source_version: str | None
    first_seen_at: datetime
    updated_at: datetime
    input: dict[str, Any]


class Chosen(BaseModel):
    """Which items are meant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State = "dead"
    job: str | None = None
    items: tuple[str, ...] = ()
    code: str | None = None
    """The class of their last failure."""
    older_than: timedelta | None = None
    """Since when they are so."""


class Decision(BaseModel):
    """What a person did to an item, and what it was before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    action: Action
    who: str
    why: str | None
    state: State
    attempts: int
    lapses: int
    last_code: str | None
    last_error: str | None


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Letter.model_fields))


def find(session: Session, chosen: Chosen, *, limit: int | None = None) -> list[Letter]:
    """The items, the newest first."""
    cut = sql.SQL("") if limit is None else sql.SQL("LIMIT {}").format(sql.Literal(limit))
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl_jobs.item WHERE {} ORDER BY updated_at DESC, job, item {}").format(
            _COLUMNS, _are(chosen), cut
        )
    )
    return [Letter.model_validate(dict(zip(Letter.model_fields, row, strict=True))) for row in rows]


def count(session: Session, chosen: Chosen) -> int:
    """How many there are."""
    rows = session.execute(sql.SQL("SELECT count(*) FROM etl_jobs.item WHERE {}").format(_are(chosen)))
    return int(rows[0][0])


def show(session: Session, job: str, item: str) -> Letter:
    """One item.

    :raises ConfigError: the job has no such item; names the nearest.
    """
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl_jobs.item WHERE (job, item) = ({}, {})").format(
            _COLUMNS, sql.Literal(job), sql.Literal(item)
        )
    )
    if rows:
        return Letter.model_validate(dict(zip(Letter.model_fields, rows[0], strict=True)))
    near = session.execute(
        sql.SQL(
            "SELECT item FROM etl_jobs.item WHERE job = {} ORDER BY lower(left(item, 3)) <> lower(left({}, 3)), item "
            "LIMIT {}"
        ).format(sql.Literal(job), sql.Literal(item), sql.Literal(NAMES_NEAR))
    )
    check_job(session, job)
    hint = nearest(item, [name for (name,) in near], listing=False)
    raise ConfigError(f"{job} has no item {item!r}{hint}; `sluiceway jobs run {job} --item` asks for one that is new.")


def check_job(session: Session, job: str) -> None:
    """Raises ConfigError, with the nearest name, where there is no such job and nothing is left of one."""
    known = files.names()
    rows = sql.SQL("SELECT 1 FROM etl_jobs.item WHERE job = {} LIMIT 1").format(sql.Literal(job))
    if job not in known and not session.execute(rows):
        raise ConfigError(f"There is no job {job!r}{nearest(job, known)}")


def history(session: Session, job: str, item: str) -> list[Decision]:
    """What people did to an item, the newest first."""
    rows = session.execute(
        sql.SQL(
            "SELECT r.at, r.action, r.who, r.why, d.state, d.attempts, d.lapses, d.last_code, d.last_error "
            "FROM etl_jobs.decision d JOIN etl_jobs.request r ON r.id = d.request "
            "WHERE (d.job, d.item) = ({}, {}) ORDER BY r.at DESC"
        ).format(sql.Literal(job), sql.Literal(item))
    )
    return [Decision.model_validate(dict(zip(Decision.model_fields, row, strict=True))) for row in rows]


def replay(session: Session, chosen: Chosen, *, who: str, why: str | None) -> dict[str, int]:
    """Make dead letters due again, with all their attempts; how many by job."""
    return _change(session, chosen, "replay", who, why, sql.SQL("state = 'due', due_at = clock_timestamp()"))


def discard(session: Session, chosen: Chosen, *, who: str, why: str | None) -> dict[str, int]:
    """Call dead letters done without a result, until their input changes; how many by job."""
    change = sql.SQL("state = 'done', last_code = 'discarded', due_at = clock_timestamp() + {}").format(
        sql.Literal(DECADES)
    )
    return _change(session, chosen, "discard", who, why, change)


def decide(session: Session, name: str, job: Job, item: str, key: str, *, who: str, why: str | None) -> None:
    """Answer for an item that waits: its result is what the job makes of the key.

    :raises ConfigError: the item does not wait, its job takes no decisions, or the key is none of its own.
    """
    letter = show(session, name, item)
    if letter.state != "waiting":
        raise ConfigError(f"{item!r} of {name} waits for nobody: it is {letter.state}.")
    if job.decide is None:
        raise ConfigError(f"{name} has no `decide` in its file: write one, or repair what the item is made of.")
    so_far = results.read(session, job.results, item)
    try:
        answer = job.decide(Item(item, letter.input, letter.attempts, letter.lapses), key, so_far)
    except ValueError as error:
        raise ConfigError(f"{item!r} of {name}: {error}") from error
    results.check(job.results, item, answer.values)
    due_in = answer.again_in or job.recheck_after or DECADES
    change = sql.SQL("state = 'done', last_code = 'decided', last_error = NULL, due_at = clock_timestamp() + {}")
    chosen = Chosen(state="waiting", job=name, items=(item,))
    _change(session, chosen, "decide", who, why, change.format(sql.Literal(due_in)), {"key": key})
    results.write(session, job.results, {item: answer.values})


def _change(
    session: Session,
    chosen: Chosen,
    action: Action,
    who: str,
    why: str | None,
    change: sql.Composable,
    detail: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Change the items, and write down what they were: a request for each job."""
    rows = session.execute(
        sql.SQL("SELECT job, count(*) FROM etl_jobs.item WHERE {} GROUP BY job ORDER BY job").format(_are(chosen))
    )
    changed: dict[str, int] = {}
    for job, _ in rows:
        of_job = chosen.model_copy(update={"job": job})
        asked = {**of_job.model_dump(mode="json", exclude_defaults=True), **(detail or {})}
        request = write(session, Request(job=job, action=action, who=who, why=why, detail=asked))
        found = session.execute(
            sql.SQL(
                "WITH before AS MATERIALIZED (SELECT * FROM etl_jobs.item WHERE {} FOR UPDATE), kept AS ("
                "INSERT INTO etl_jobs.decision "
                "SELECT {}, job, item, state, attempts, lapses, last_code, last_error, updated_at FROM before) "
                "UPDATE etl_jobs.item AS i SET {}, attempts = 0, lapses = 0, updated_at = clock_timestamp() "
                "FROM before WHERE (i.job, i.item) = (before.job, before.item) RETURNING 1"
            ).format(_are(of_job), sql.Literal(request), change)
        )
        session.execute(
            sql.SQL("UPDATE etl_jobs.request SET items = {} WHERE id = {}").format(
                sql.Literal(len(found)), sql.Literal(request)
            )
        )
        changed[job] = len(found)
    return changed


def _are(chosen: Chosen) -> sql.Composed:
    conditions: list[sql.Composable] = [sql.SQL("state = {}").format(sql.Literal(chosen.state))]
    if chosen.job is not None:
        conditions.append(sql.SQL("job = {}").format(sql.Literal(chosen.job)))
    if chosen.items:
        conditions.append(sql.SQL("item = ANY({})").format(sql.Literal(list(chosen.items))))
    if chosen.code is not None:
        conditions.append(sql.SQL("last_code = {}").format(sql.Literal(chosen.code)))
    if chosen.older_than is not None:
        conditions.append(sql.SQL("updated_at < clock_timestamp() - {}").format(sql.Literal(chosen.older_than)))
    return sql.SQL(" AND ").join(conditions)
