"""Who was told of which incident, and who is to be told now. Functions run in the caller's transaction.

A notice is claimed before it is sent, for as long as a lease lasts: two who tell at once tell it once. Of one who is
killed in between nobody knows whether it has told: once the lease is over it is told again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from psycopg import sql

from sluiceway.alerts.incidents import interval
from sluiceway.alerts.model import Incident, Notice, What
from sluiceway.alerts.spec import Alert
from sluiceway.amounts import counted
from sluiceway.ledger.warehouse import Session

LEASE = timedelta(minutes=2)
"""Longer than any sending takes."""
FIRST_WAIT_S, LONGEST_WAIT_S = 30, 3600
"""After what could not be sent; doubles from try to try."""
LONGEST_ERROR = 300

_PICKED = """
    UPDATE etl.notice n SET claim = {claim}, claimed_until = clock_timestamp() + {lease}, attempts = n.attempts + 1
    FROM (
        SELECT d.incident FROM etl.notice d JOIN etl.incident i ON i.id = d.incident
        WHERE d.incident = ANY ({ids}) AND (d.alert, d.channel, d.what) = ({alert}, {channel}, {what})
            AND d.next_at <= clock_timestamp() AND (d.claimed_until IS NULL OR d.claimed_until < clock_timestamp())
            AND {is_due}
        FOR UPDATE OF d SKIP LOCKED
    ) picked
    WHERE n.incident = picked.incident AND (n.alert, n.channel, n.what) = ({alert}, {channel}, {what})
    RETURNING n.incident, (
        SELECT o.told_at FROM etl.notice o
        WHERE (o.incident, o.alert, o.channel, o.what) = (n.incident, n.alert, n.channel, 'opened')
    )
"""
_MAY_BE_TOLD = sql.SQL(
    "i.recovered_at IS NULL AND i.tell_from <= clock_timestamp() AND i.acknowledged_at IS NULL "
    "AND (i.snoozed_until IS NULL OR i.snoozed_until <= clock_timestamp())"
)


def claim(
    session: Session, alert: Alert, channel: str, what: What, incidents: Collection[Incident]
) -> tuple[UUID, list[Notice]]:
    """Take what is to be told by this channel now, of these incidents, so that nobody else tells it."""
    by_id = {each.id: each for each in incidents}
    where = {
        "ids": sql.SQL("{}::bigint[]").format(sql.Literal(list(by_id))),
        **{key: sql.Literal(value) for key, value in (("alert", alert.name), ("channel", channel), ("what", what))},
    }
    _make_due(session, alert, what, where)
    mine = uuid4()
    rows = session.execute(
        sql.SQL(_PICKED).format(claim=sql.Literal(mine), lease=interval(LEASE), is_due=_is_due(alert, what), **where)
    )
    found = [Notice(incident=by_id[number], what=what, told_at=told_at) for number, told_at in rows]
    return mine, sorted(found, key=lambda each: each.incident.id)


def _make_due(session: Session, alert: Alert, what: What, where: dict[str, sql.Composable]) -> None:
    """Write a row for what this channel is to be told for the first time."""
    if what == "opened":
        condition = sql.SQL("{} AND i.opened_at <= clock_timestamp() - {}").format(
            _MAY_BE_TOLD, interval(alert.patience)
        )
    else:
        # what was never tried to be told is not taken back either
        condition = sql.SQL(
            "i.recovered_at IS NOT NULL AND EXISTS (SELECT 1 FROM etl.notice o WHERE (o.incident, o.alert, o.channel, "
            "o.what) = (i.id, {alert}, {channel}, 'opened'))"
        ).format(**where)
    session.execute(
        sql.SQL(
            "INSERT INTO etl.notice (incident, alert, channel, what) SELECT i.id, {alert}, {channel}, {what} "
            "FROM etl.incident i WHERE i.id = ANY ({ids}) AND {condition} ON CONFLICT DO NOTHING"
        ).format(condition=condition, **where)
    )


def _is_due(alert: Alert, what: What) -> sql.Composable:
    if what == "recovered":
        return sql.SQL("d.told_at IS NULL AND i.recovered_at IS NOT NULL")
    again: list[sql.Composable] = [sql.SQL("d.told_at IS NULL"), sql.SQL("i.snoozed_until > d.last_told_at")]
    if alert.reminder is not None:
        again.append(sql.SQL("d.last_told_at <= clock_timestamp() - {}").format(interval(alert.reminder)))
    return sql.SQL("{} AND ({})").format(_MAY_BE_TOLD, sql.SQL(" OR ").join(again))


def told(session: Session, claimed: UUID) -> None:
    """Note that what was claimed has arrived."""
    session.execute(
        sql.SQL(
            "UPDATE etl.notice SET told_at = coalesce(told_at, clock_timestamp()), last_told_at = clock_timestamp(), "
            "claim = NULL, claimed_until = NULL, attempts = 1, next_at = clock_timestamp(), error = NULL "
            "WHERE claim = {}"
        ).format(sql.Literal(claimed))
    )


def not_told(session: Session, claimed: UUID, error: str) -> None:
    """Note why it could not be sent; it is tried again later, ever more seldom."""
    session.execute(
        sql.SQL(
            "UPDATE etl.notice SET claim = NULL, claimed_until = NULL, error = {}, next_at = clock_timestamp() "
            "+ least({} * 2 ^ least(attempts - 1, 20), {}) * interval '1 second' WHERE claim = {}"
        ).format(
            sql.Literal(error.replace("\0", "")[:LONGEST_ERROR]),
            sql.Literal(FIRST_WAIT_S),
            sql.Literal(LONGEST_WAIT_S),
            sql.Literal(claimed),
        )
    )


class Untold(NamedTuple):
    """What one alert could not tell by one channel so far."""

    alert: str
    channel: str
    incidents: int
    next_at: datetime
    """When it is tried again, at the earliest."""
    error: str | None
    """Why the last try failed; None: another process has it in hand."""

    @property
    def sentence(self) -> str:
        """How many wait for whom, until when, and why."""
        waits = counted(self.incidents, "incident waits", "incidents wait")
        return (
            f"{waits} to be told to {self.alert} ({self.channel}), next at {self.next_at:%Y-%m-%d %H:%M:%S} UTC: "
            f"{self.error or 'another process is telling it'}"
        )


def untold(session: Session, wanted: Mapping[str, Collection[int]] | None = None) -> list[Untold]:
    """What could not be sent so far, and is tried again; not what nobody is told of any more.

    :param wanted: the incidents that each alert is to tell of; None: whatever was tried.
    """
    rows = session.execute(
        sql.SQL("""
            SELECT alert, channel, count(*), min(greatest(next_at, claimed_until,
                    CASE WHEN what = 'opened' THEN i.snoozed_until END)),
                (array_agg(error ORDER BY next_at DESC) FILTER (WHERE error IS NOT NULL))[1]
            FROM etl.notice n JOIN etl.incident i ON i.id = n.incident
            WHERE (error IS NOT NULL OR claimed_until > clock_timestamp())
                AND (what = 'recovered') = (recovered_at IS NOT NULL)
                AND (what = 'recovered' OR acknowledged_at IS NULL) AND {}
            GROUP BY alert, channel ORDER BY alert, channel
        """).format(_is_wanted(wanted))
    )
    return [Untold(alert, channel, int(count), next_at, error) for alert, channel, count, next_at, error in rows]


def _is_wanted(wanted: Mapping[str, Collection[int]] | None) -> sql.Composable:
    if wanted is None:
        return sql.SQL("true")
    each = [
        sql.SQL("(alert = {} AND incident = ANY ({}::bigint[]))").format(sql.Literal(name), sql.Literal(list(numbers)))
        for name, numbers in wanted.items()
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join([sql.SQL("false"), *each]))
