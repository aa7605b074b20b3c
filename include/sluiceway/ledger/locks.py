"""Advisory locks of a session of their own: held for as long as a piece of work lasts, and gone with its process.

In autocommit, so that the session is `idle` and no transaction is open beside the work; PostgreSQL itself notices when
the other side is gone. Not through a pooler that shares sessions among transactions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import (
    SERVER_ASKS,
    Connection,
    PsycopgSession,
    Session,
    connection,
    error_of,
)

log = logging.getLogger(__name__)

_HOLDER = """
    SELECT a.pid, a.application_name, host(a.client_addr),
        to_char(coalesce(a.xact_start, a.state_change) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid::bigint << 32) | l.objid::bigint = {}::bigint
"""
LONGEST_NAME = 63
"""Of an application_name; PostgreSQL cuts the rest."""


class LockedSession(PsycopgSession):
    """A session that holds its lock; each statement is a transaction, unless they stand in `transaction`."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__(connection)
        self._url = url

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Several statements, all or none."""
        with self._connection.transaction():
            yield self

    def check_held(self) -> None:
        """Raises WarehouseUnavailableError when the session is gone, and its lock with it."""
        try:
            self.execute(sql.SQL("SELECT 1"))
        except psycopg.Error as error:
            raise error_of(error, self._url) from error


def of_load(table: str) -> sql.Composed:
    """The lock of who loads a table: taken before anything is read, held until all is written."""
    return _key("load", table)


def of_writing(table: str) -> sql.Composed:
    """The lock of the transaction that writes a table: it outlives a session that broke off."""
    return _key("write", table)


def of_part(key: RunKey, table: str, part: int) -> sql.Composed:
    """The lock of who loads a part of a table for a run."""
    return _key("part", f"{key} {table} {part}")


def of_writing_part(key: RunKey, table: str, part: int) -> sql.Composed:
    """The lock of the transaction that writes that part: it outlives a session that broke off."""
    return _key("write part", f"{key} {table} {part}")


def of_run(key: RunKey) -> sql.Composed:
    """The lock of the process that is a run of its own."""
    return _key("run", str(key))


def _key(what: str, name: str) -> sql.Composed:
    return sql.SQL("hashtext({})").format(sql.Literal(f"sluiceway.{what}.{name}"))


@contextmanager
def hold(
    url: str, lock: sql.Composed, *, application_name: str, after: sql.Composed | None = None, waiting: str = ""
) -> Iterator[LockedSession]:
    """Wait for `lock`, and hold it for as long as the block lasts.

    :param after: a lock of transactions that must have been let go too.
    :param waiting: what to log while another session holds the lock; who that is follows.
    :raises WarehouseUnavailableError: the server does not answer or breaks off.
    """
    try:
        with connection(url) as found:
            session = LockedSession(found, url)
            _stay(session, application_name, found.info.server_version)
            _take(session, lock, waiting)
            if after is not None:
                with session.transaction():
                    _take(session, after, waiting, "_xact")
            yield session
    except psycopg.Error as error:
        raise error_of(error, url) from error


@contextmanager
def hold_if_free(
    url: str, lock: sql.Composed, *, application_name: str, after: sql.Composed
) -> Iterator[LockedSession | None]:
    """Hold `lock` for as long as the block lasts; None where another session holds it, or the one it comes after.

    :param after: a lock of transactions that must have been let go too.
    :raises WarehouseUnavailableError: the server does not answer or breaks off.
    """
    try:
        with connection(url) as found:
            session = LockedSession(found, url)
            _stay(session, application_name, found.info.server_version)
            is_free = sql.SQL("SELECT pg_try_advisory_lock({}) AND pg_try_advisory_xact_lock({})").format(lock, after)
            yield session if session.execute(is_free)[0][0] else None
    except psycopg.Error as error:
        raise error_of(error, url) from error


def _take(session: Session, lock: sql.Composed, waiting: str, kind: LiteralString = "") -> None:
    """Take a lock; one line says who holds it, where it has to be waited for.

    :param kind: `_xact` of one that is let go with the transaction.
    """
    if session.execute(sql.SQL(f"SELECT pg_try_advisory{kind}_lock({{}})").format(lock))[0][0]:
        return
    log.info("%s%s", waiting, _holder(session, lock))
    session.execute(sql.SQL(f"SELECT pg_advisory{kind}_lock({{}})::text").format(lock))


def _holder(session: Session, lock: sql.Composed) -> str:
    """Who holds a lock, as the rest of a sentence; nothing where it was let go meanwhile."""
    rows = session.execute(sql.SQL(_HOLDER).format(lock))
    if not rows:
        return ""
    pid, name, host, since = rows[0]
    return f" (it is held by {name!r} from {host or 'the same machine'} since {since} UTC, process {pid} of the server)"


def is_free(session: Session, lock: sql.Composed) -> bool:
    """Whether nobody holds the lock; then it is this transaction's until its end."""
    return bool(session.execute(sql.SQL("SELECT pg_try_advisory_xact_lock({})").format(lock))[0][0])


def _stay(session: Session, application_name: str, server_version: int) -> None:
    """The server keeps the session while the work goes on, however long, and ends it when its process is gone."""
    wanted = {"application_name": application_name[:LONGEST_NAME]}
    if server_version >= 140_000:
        wanted["idle_session_timeout"] = "0"
    session.execute(
        sql.SQL(", ").join(
            [
                SERVER_ASKS,
                *(
                    sql.SQL("set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
                    for name, value in wanted.items()
                ),
            ]
        )
    )
