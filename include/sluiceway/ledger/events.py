"""What triggers have seen: the events, which run took each, and up to where the next look begins.

This is the outbox of every trigger that looks outside. An event stands here once, from the look that saw it on; what
Airflow is told only wakes a run, and the run claims what stands here. So whatever is killed, nothing is lost or
doubled. Every function runs in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql
from pydantic import BaseModel, ConfigDict, JsonValue

from sluiceway.errors import LookOvertakenError
from sluiceway.events import Event, Look
from sluiceway.ledger.warehouse import Session

BATCH = 500
"""Events of one statement."""


class TriggerState(BaseModel):
    """One row of etl.trigger_state, and what stands in etl.trigger_event about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_id: str
    trigger_id: str
    config_hash: str | None = None
    """Of what the cursor was made for: with another configuration it means nothing."""
    cursor: JsonValue = None
    looks: int = 0
    """How many looks were written down."""
    looked_at: datetime | None = None
    """The last look that saw the place, to the minute: a look that finds nothing is not always written down."""
    fired_at: datetime | None = None
    """The last look that found something new."""
    error: str | None = None
    """The last one, also when it has gone."""
    error_at: datetime | None = None
    unclaimed: int = 0
    """Events that no run has taken."""
    last_run_id: str | None = None
    """The run that took events last."""

    @property
    def is_failing(self) -> bool:
        """Whether the place could not be seen the last time."""
        return self.error_at is not None and (self.looked_at is None or self.looked_at < self.error_at)


class StoredEvent(BaseModel):
    """One row of etl.trigger_event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    flow_id: str
    trigger_id: str
    event_key: str
    facts: dict[str, JsonValue]
    seen_at: datetime
    run_id: str | None = None
    claimed_at: datetime | None = None


_STATES = sql.SQL(
    "SELECT flow_id, trigger_id, config_hash, cursor, looks, looked_at, fired_at, error, error_at, "
    "(SELECT count(*) FROM etl.trigger_event AS e WHERE (e.flow_id, e.trigger_id) = (s.flow_id, s.trigger_id) "
    "AND e.run_id IS NULL), "
    "(SELECT e.run_id FROM etl.trigger_event AS e WHERE (e.flow_id, e.trigger_id) = (s.flow_id, s.trigger_id) "
    "AND e.run_id IS NOT NULL ORDER BY e.claimed_at DESC LIMIT 1) "
    "FROM etl.trigger_state AS s "
)
_EVENT = sql.SQL(", ").join(map(sql.Identifier, StoredEvent.model_fields))


def state(session: Session, flow_id: str, trigger_id: str) -> TriggerState:
    """What is known about a trigger; the empty state before its first look."""
    found = _states(session, _among(flow_id, [trigger_id]))
    return found[0] if found else TriggerState(flow_id=flow_id, trigger_id=trigger_id)


def states(session: Session) -> list[TriggerState]:
    """What is known about every trigger, by flow and id."""
    return _states(session, sql.SQL("true"))


def record_look(session: Session, known: TriggerState, look: Look, *, config_hash: str | None = None) -> int:
    """Write what a look found, and where the next begins.

    :param known: the state that the look began from.
    :returns: how many of its events are new.
    :raises LookOvertakenError: that is no longer the state: two processes look, as when a triggerer was taken for dead.
    """
    flow_id, trigger_id = known.flow_id, known.trigger_id
    written = session.execute(
        sql.SQL(
            "INSERT INTO etl.trigger_state AS s (flow_id, trigger_id, config_hash, cursor, looks, looked_at) "
            "VALUES ({}, {}, {}, {}, {} + 1, clock_timestamp()) ON CONFLICT (flow_id, trigger_id) DO UPDATE SET "
            "config_hash = excluded.config_hash, cursor = excluded.cursor, looks = excluded.looks, "
            "looked_at = excluded.looked_at WHERE s.looks + 1 = excluded.looks RETURNING looks"
        ).format(*map(sql.Literal, (flow_id, trigger_id, config_hash)), _json(look.cursor), sql.Literal(known.looks))
    )
    if not written:
        raise LookOvertakenError(f"{flow_id}.{trigger_id}: another process has looked meanwhile; look again")
    return record_events(session, flow_id, trigger_id, look.events)


def record_events(session: Session, flow_id: str, trigger_id: str, events: Sequence[Event]) -> int:
    """Write events that came without a look; an event whose key is known already is left as it is.

    :returns: how many are new.
    """
    new = 0
    for begin in range(0, len(events), BATCH):
        rows = session.execute(
            sql.SQL(
                "INSERT INTO etl.trigger_event (flow_id, trigger_id, event_key, facts) VALUES {} "
                "ON CONFLICT (flow_id, trigger_id, md5(event_key)) DO NOTHING RETURNING id"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("({}, {}, {}, {})").format(
                        *map(sql.Literal, (flow_id, trigger_id, _text(event.key))), _json(dict(event.facts))
                    )
                    for event in events[begin : begin + BATCH]
                )
            )
        )
        new += len(rows)
    if new:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.trigger_state (flow_id, trigger_id, fired_at) VALUES ({}, {}, clock_timestamp()) "
                "ON CONFLICT (flow_id, trigger_id) DO UPDATE SET fired_at = excluded.fired_at"
            ).format(*map(sql.Literal, (flow_id, trigger_id)))
        )
    return new


def record_alive(session: Session, watched: Collection[tuple[str, str]]) -> None:
    """Note that these triggers, flow and id, were looked at and nothing has changed."""
    if watched:
        session.execute(
            sql.SQL(
                "UPDATE etl.trigger_state SET looked_at = clock_timestamp() WHERE (flow_id, trigger_id) IN ({})"
            ).format(
                sql.SQL(", ").join(sql.SQL("({}, {})").format(*map(sql.Literal, pair)) for pair in sorted(watched))
            )
        )


def record_error(session: Session, flow_id: str, trigger_id: str, error: str) -> None:
    """Note why the place could not be seen."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl.trigger_state (flow_id, trigger_id, error, error_at) "
            "VALUES ({}, {}, {}, clock_timestamp()) ON CONFLICT (flow_id, trigger_id) DO UPDATE SET "
            "error = excluded.error, error_at = excluded.error_at"
        ).format(*map(sql.Literal, (flow_id, trigger_id, _text(error))))
    )


def unclaimed(
    session: Session, flow_id: str, trigger_ids: Collection[str] | None = None, *, limit: int = 1000
) -> list[StoredEvent]:
    """The first events of a flow that no run has taken, oldest first.

    :param trigger_ids: of these triggers; None for all.
    """
    return _events(
        session.execute(
            sql.SQL("SELECT {} FROM etl.trigger_event WHERE {} AND run_id IS NULL ORDER BY id LIMIT {}").format(
                _EVENT, _among(flow_id, trigger_ids), sql.Literal(limit)
            )
        )
    )


def count_unclaimed(session: Session, flow_id: str, trigger_ids: Collection[str] | None = None) -> int:
    """How many events no run has taken."""
    return int(
        session.execute(
            sql.SQL("SELECT count(*) FROM etl.trigger_event WHERE {} AND run_id IS NULL").format(
                _among(flow_id, trigger_ids)
            )
        )[0][0]
    )


def claim(session: Session, flow_id: str, run_id: str, trigger_ids: Collection[str] | None = None) -> list[StoredEvent]:
    """Take every event that no run has taken for this run.

    :param trigger_ids: of these triggers; None for all.
    :returns: all events of this run, oldest first, also those that an earlier try of the same task has taken.
    """
    return _claim(session, flow_id, run_id, _among(flow_id, trigger_ids))


def claim_one(session: Session, flow_id: str, run_id: str, event_id: int) -> list[StoredEvent]:
    """Take this one event for this run, unless another has it.

    :returns: all events of this run.
    """
    return _claim(
        session, flow_id, run_id, sql.SQL("flow_id = {} AND id = {}").format(*map(sql.Literal, (flow_id, event_id)))
    )


def events_of_run(session: Session, flow_id: str, run_id: str) -> list[StoredEvent]:
    """What a run has taken, oldest first."""
    return _events(
        session.execute(
            sql.SQL("SELECT {} FROM etl.trigger_event WHERE flow_id = {} AND run_id = {} ORDER BY id").format(
                _EVENT, *map(sql.Literal, (flow_id, run_id))
            )
        )
    )


def forget_events(session: Session, *, older_than_days: int) -> tuple[int, int]:
    """Delete events older than that, and the state of triggers that nobody has looked at for as long.

    Events stay that would count a second time if they were forgotten.

    :returns: how many events were deleted, and how many of them no run had taken.
    """
    from sluiceway.events import UNTIMED

    days = sql.Literal(older_than_days)
    rows = session.execute(
        sql.SQL(
            "DELETE FROM etl.trigger_event WHERE seen_at < clock_timestamp() - {} * interval '1 day' "
            "AND NOT starts_with(event_key, {}) RETURNING run_id IS NULL"
        ).format(days, sql.Literal(UNTIMED))
    )
    session.execute(
        sql.SQL(
            "DELETE FROM etl.trigger_state WHERE greatest(looked_at, fired_at, error_at) "
            "< clock_timestamp() - {} * interval '1 day'"
        ).format(days)
    )
    return len(rows), sum(untaken for (untaken,) in rows)


def _states(session: Session, where: sql.Composable) -> list[TriggerState]:
    rows = session.execute(sql.SQL("{} WHERE {} ORDER BY flow_id, trigger_id").format(_STATES, where))
    return [TriggerState.model_validate(dict(zip(TriggerState.model_fields, row, strict=True))) for row in rows]


def _claim(session: Session, flow_id: str, run_id: str, where: sql.Composable) -> list[StoredEvent]:
    session.execute(
        sql.SQL(
            "UPDATE etl.trigger_event SET run_id = {}, claimed_at = clock_timestamp() WHERE {} AND run_id IS NULL"
        ).format(sql.Literal(run_id), where)
    )
    return events_of_run(session, flow_id, run_id)


def _events(rows: list[tuple[Any, ...]]) -> list[StoredEvent]:
    return [StoredEvent.model_validate(dict(zip(StoredEvent.model_fields, row, strict=True))) for row in rows]


def _among(flow_id: str, trigger_ids: Collection[str] | None) -> sql.Composable:
    flow = sql.SQL("flow_id = {}").format(sql.Literal(flow_id))
    if trigger_ids is None:
        return flow
    return sql.SQL("{} AND trigger_id = ANY({}::text[])").format(flow, sql.Literal(sorted(trigger_ids)))


def _json(value: JsonValue) -> sql.Composable:
    return sql.SQL("{}::json").format(sql.Literal(json.dumps(value)))


def _text(value: str) -> str:
    """PostgreSQL's text holds neither a zero byte nor what is no UTF-8 in a file's name."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
