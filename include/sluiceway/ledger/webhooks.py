"""Takes what webhooks bring into the ledger: once each, and no more in a minute than the trigger allows."""

from __future__ import annotations

import math
from typing import NamedTuple

from psycopg import sql
from pydantic import JsonValue

from sluiceway.events import Event, Signed
from sluiceway.ledger import events, row_locks
from sluiceway.ledger.warehouse import Session

MINUTE_S = 60


class Taken(NamedTuple):
    """The event's row."""

    event_id: int
    is_new: bool
    is_claimed: bool
    age_s: float


class TooMany(NamedTuple):
    """The trigger has had its events of this minute; nothing was written."""

    retry_after_s: int


def take(
    session: Session,
    flow_id: str,
    trigger_id: str,
    signed: Signed,
    params: dict[str, JsonValue],
    *,
    per_minute: int,
    window_s: float,
) -> Taken | TooMany:
    """Write the event, unless it is there already or the minute is full.

    The lock makes both exact, however many API servers there are. Those of the release before take another one: while
    both are at work the same request is still one event, by its key, and a few more than `per_minute` may get through.

    :param window_s: for how long what was signed could be sent again.
    """
    row_locks.take(session, f"flow/{flow_id}/trigger/{trigger_id}")
    known = _known(session, flow_id, trigger_id, signed, window_s)
    if known is not None:
        return known
    wait_s = _wait(session, flow_id, trigger_id, per_minute)
    if wait_s is not None:
        return TooMany(wait_s)
    facts: dict[str, JsonValue] = {"params": params, "delivery": signed.delivery, "signed": signed.digest}
    is_new = bool(events.record_events(session, flow_id, trigger_id, [Event(signed.key, facts)]))
    written = _known(session, flow_id, trigger_id, signed, window_s)
    assert written is not None
    return written._replace(is_new=is_new)


def forget(session: Session, event_id: int) -> bool:
    """Take an event back that could not be told to anybody; False when a run has it already."""
    return bool(
        session.execute(
            sql.SQL("DELETE FROM etl.trigger_event WHERE id = {} AND run_id IS NULL RETURNING id").format(
                sql.Literal(event_id)
            )
        )
    )


def _known(session: Session, flow_id: str, trigger_id: str, signed: Signed, window_s: float) -> Taken | None:
    # a delivery's id is unsigned, so within the window what was signed counts too; a time may lie ahead by one window
    rows = session.execute(
        sql.SQL(
            "SELECT id, run_id IS NOT NULL, extract(epoch FROM clock_timestamp() - seen_at)::float8 "
            "FROM etl.trigger_event WHERE (flow_id, trigger_id) = ({}, {}) AND (md5(event_key) = md5({}) "
            "OR (seen_at > clock_timestamp() - {} * interval '1 second' "
            "AND (facts->>'signed' = {} OR facts->>'delivery' = {}))) ORDER BY id LIMIT 1"
        ).format(
            *map(
                sql.Literal,
                (flow_id, trigger_id, signed.key, max(2 * window_s, 3600), signed.digest, signed.delivery),
            )
        )
    )
    return Taken(rows[0][0], False, rows[0][1], rows[0][2]) if rows else None


def _wait(session: Session, flow_id: str, trigger_id: str, per_minute: int) -> int | None:
    """Seconds until one more fits; None when one fits now."""
    rows = session.execute(
        sql.SQL(
            "SELECT extract(epoch FROM clock_timestamp() - seen_at)::float8 FROM etl.trigger_event "
            "WHERE (flow_id, trigger_id) = ({}, {}) AND seen_at > clock_timestamp() - {} * interval '1 second' "
            "ORDER BY seen_at DESC OFFSET {} LIMIT 1"
        ).format(*map(sql.Literal, (flow_id, trigger_id, MINUTE_S, per_minute - 1)))
    )
    return max(1, math.ceil(MINUTE_S - rows[0][0])) if rows else None
