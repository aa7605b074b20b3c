"""Locks of one transaction that only those can hold who may write: a row of etl.lock each, gone with the transaction.

PostgreSQL asks nobody who takes an advisory lock: whoever may log in, and so every reader, can hold any. A row is
locked by those alone who may change its table. What must be held without a transaction stays an advisory lock, in
locks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import sleep
from typing import Literal

from psycopg import sql

from sluiceway.ledger.warehouse import Session

LOOK_S = 0.1

_OWN_HOLDER = """
    SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.usename = current_user
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND ((l.classid::bigint << 32) | l.objid::bigint) = ({})
"""


def take(
    session: Session, name: str, *, schema: Literal["etl", "etl_jobs"] = "etl", before: Sequence[sql.Composable] = ()
) -> None:
    """Wait for the lock of that name, and hold it until the transaction ends.

    :param schema: `etl_jobs` of the role that writes there, which may not write the ledger.
    :param before: the key, or the two, of the advisory lock that the release before took in this one's place: while a
        session of the same role holds it, old code is at work, and is waited for. Another role's holder is no matter.
    """
    # a row whose condition does not hold is locked all the same, and nothing is written
    session.execute(
        sql.SQL("INSERT INTO {0} AS held VALUES ({1}) ON CONFLICT (name) DO UPDATE SET name = held.name WHERE false")
        .format(sql.Identifier(schema, "lock"), sql.Literal(name))
    )  # fmt: skip
    if before:
        _wait_for_old_code(session, before)


def _wait_for_old_code(session: Session, keys: Sequence[sql.Composable]) -> None:
    """Take the lock too, so that old code waits; a reader who holds it is passed by."""
    trying = sql.SQL("SELECT pg_try_advisory_xact_lock({})").format(sql.SQL(", ").join(keys))
    # as the server shows it: a lock of two keys is one number, too
    number = sql.SQL("{}::bigint").format(keys[0])
    if len(keys) == 2:
        number = sql.SQL("({}::bigint << 32) | ({}::bigint & 4294967295)").format(*keys)
    while not session.execute(trying)[0][0] and session.execute(sql.SQL(_OWN_HOLDER).format(number)):
        sleep(LOOK_S)
