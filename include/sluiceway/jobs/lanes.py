"""What each lane of a run has done: a row of etl_jobs.lane, counted in the transactions in which it was done.

So the counts are true of a lane that was killed, too. Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session

COUNTS = ("asked", "done", "waiting", "dead", "due", "back", "lost", "rescued")


class LaneKey(NamedTuple):
    """Which try of which lane of which run."""

    run: RunKey
    lane: int = 0
    try_number: int = 1


class LaneRun(BaseModel):
    """One row of etl_jobs.lane."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lane: int
    try_number: int
    job: str
    started_at: datetime
    finished_at: datetime | None = None
    """None: it works, or its process was killed."""
    asked: int = 0
    """Items that it took; one that was put back and taken again counts twice."""
    done: int = 0
    waiting: int = 0
    """For a person."""
    dead: int = 0
    due: int = 0
    """Attempts that failed, of items that are tried again."""
    back: int = 0
    """Put back as they were, for their service failed and not they."""
    lost: int = 0
    """Answers that came after the lease."""
    rescued: int = 0
    """Taken back from processes that are gone."""
    waited_s: float = 0.0
    """For its turn at a service."""
    causes: dict[str, int] = {}
    """Why items are not done, by class."""
    paused: str | None = None
    """Why it ended before nothing was due."""
    left_due: int | None = None
    """Items that were due when it ended."""


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, LaneRun.model_fields))


def begin(session: Session, key: LaneKey, job: str) -> None:
    """Note that a lane begins."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl_jobs.lane (dag_id, run_id, lane, try_number, job) VALUES ({}, {}, {}, {}, {}) "
            "ON CONFLICT (dag_id, run_id, lane, try_number) DO UPDATE SET finished_at = NULL"
        ).format(*map(sql.Literal, (*key.run, key.lane, key.try_number, job)))
    )


def add(
    session: Session, key: LaneKey, counts: Mapping[str, int], causes: Mapping[str, int], *, waited_s: float = 0.0
) -> None:
    """Count what was done, in the transaction in which it was done.

    :param counts: by the names of COUNTS.
    """
    told = [
        sql.SQL("{0} = {0} + {1}").format(sql.Identifier(name), sql.Literal(count))
        for name, count in counts.items()
        if count
    ]
    if waited_s:
        told.append(sql.SQL("waited_s = waited_s + {}").format(sql.Literal(waited_s)))
    if causes:
        told.append(
            sql.SQL(
                "causes = causes || (SELECT jsonb_object_agg(c.key, coalesce((causes ->> c.key)::bigint, 0) "
                "+ c.value::bigint) FROM jsonb_each_text({}) AS c)"
            ).format(sql.Literal(Jsonb(dict(causes))))
        )
    if told:
        session.execute(sql.SQL("UPDATE etl_jobs.lane SET {} WHERE {}").format(sql.SQL(", ").join(told), _is(key)))


def finish(session: Session, key: LaneKey, *, paused: str | None, left_due: int) -> None:
    """Note that a lane has ended by itself."""
    session.execute(
        sql.SQL("UPDATE etl_jobs.lane SET finished_at = clock_timestamp(), paused = {}, left_due = {} WHERE {}").format(
            sql.Literal(paused), sql.Literal(left_due), _is(key)
        )
    )


def of_run(session: Session, run: RunKey) -> list[LaneRun]:
    """The tries of the run's lanes, in order."""
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl_jobs.lane WHERE (dag_id, run_id) = ({}, {}) ORDER BY lane, try_number").format(
            _COLUMNS, *map(sql.Literal, run)
        )
    )
    return [LaneRun.model_validate(dict(zip(LaneRun.model_fields, row, strict=True))) for row in rows]


def causes_of(lanes: Sequence[LaneRun]) -> Counter[str]:
    """Why items are not done, by class, over all lanes."""
    total: Counter[str] = Counter()
    for each in lanes:
        total.update(each.causes)
    return total


def _is(key: LaneKey) -> sql.Composed:
    return sql.SQL("(dag_id, run_id, lane, try_number) = ({}, {}, {}, {})").format(
        *map(sql.Literal, (*key.run, key.lane, key.try_number))
    )
