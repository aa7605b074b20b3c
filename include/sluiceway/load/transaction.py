"""How a load's turn and its transaction begin."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from psycopg import sql

from sluiceway.ledger import locks
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.warehouse import Session
from sluiceway.tables.spec import TableSpec


def turn(url: str, spec: TableSpec) -> AbstractContextManager[LockedSession]:
    """One load of a table at a time, from the first look at its source on.

    Whoever read the source before another load was through could write what that load has overtaken.
    """
    return locks.hold(
        url,
        locks.of_load(spec.name),
        after=locks.of_writing(spec.name),
        application_name=session_name(spec),
        waiting=f"{spec.name}: another load of this table is under way; this one waits for its end",
    )


def free_turn(url: str, spec: TableSpec) -> AbstractContextManager[LockedSession | None]:
    """The same where no load of the table is under way; None where one is."""
    return locks.hold_if_free(
        url,
        locks.of_load(spec.name),
        after=locks.of_writing(spec.name),
        application_name=session_name(spec),
    )


STYLES = {
    "TimeZone": "UTC",
    # a day such as 01/02/2024 is none by YMD, whatever order the server reads it in
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "lc_numeric": "C",
    "lc_time": "C",
}
"""On these the text of a content key depends, and what an expression makes: the same wherever a load runs."""
# the size of a temporary table is a guess: compiling a statement took 2 s, and running it as long without
_PLANS = {"work_mem": "64MB", "jit": "off"}


def prepare(session: Session, spec: TableSpec) -> None:
    """Settings by which values are written and read, and a lock that lasts as long as the transaction itself."""
    # by this name people find a load that waits, and cleanup_staging the sessions of lost workers
    _set(session, {"application_name": session_name(spec)} | STYLES | _PLANS)
    session.execute(sql.SQL("SELECT pg_advisory_xact_lock({})::text AS locked").format(locks.of_writing(spec.name)))


def set_styles(session: Session) -> None:
    """Settings by which values are written and read, until the end of the transaction."""
    _set(session, STYLES)


def _set(session: Session, settings: Mapping[str, str]) -> None:
    """All in one statement, of which each load had ten."""
    each = (sql.SQL("set_config({}, {}, true)").format(*map(sql.Literal, pair)) for pair in settings.items())
    session.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(each)))


def session_name(spec: TableSpec) -> str:
    """What the server shows of the sessions of a load."""
    return f"sluiceway load {spec.name}"[: locks.LONGEST_NAME]
