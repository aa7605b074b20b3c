"""A psycopg connection to the warehouse whose errors say whether a retry can help."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from sluiceway.errors import LedgerMissingError, SluicewayError, WarehouseError, WarehouseUnavailableError

LEDGER_REVISION = "0017"
"""The revision of ledger/migrations this code reads and writes."""

_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57")
"""SQLSTATE classes that may go away: connection, rollback (deadlock), resources, object in use, operator."""


CONNECT_S = 10
"""The longest wait for a connection."""
IDLE_SECONDS, INTERVAL_SECONDS, PACKETS = 60, 10, 6
"""Until a side of the connection asks whether the other is there, between questions, and how many; by default 2 h."""
CLIENT_ASKS: dict[str, Any] = {
    "keepalives_idle": IDLE_SECONDS,
    "keepalives_interval": INTERVAL_SECONDS,
    "keepalives_count": PACKETS,
    "tcp_user_timeout": 1000 * (IDLE_SECONDS + INTERVAL_SECONDS * PACKETS),
}
"""The same as libpq's options; what was sent and is not acknowledged counts, too."""
SERVER_ASKS = sql.SQL("SELECT {}").format(
    sql.SQL(", ").join(
        sql.SQL("set_config({}, {}, false)").format(sql.Literal(f"tcp_keepalives_{name}"), sql.Literal(str(value)))
        for name, value in (("idle", IDLE_SECONDS), ("interval", INTERVAL_SECONDS), ("count", PACKETS))
    )
)
"""The statement by which a session has the server notice that its machine is gone, and let go of what it held."""

Connection = psycopg.Connection[tuple[Any, ...]]
Statement = sql.SQL | sql.Composed

log = logging.getLogger(__name__)


class Session(Protocol):
    """Runs statements in one transaction; the loader's bulk session and psycopg both do."""

    def execute(self, query: Statement) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, none for a statement that returns nothing."""
        ...


def place(url: str) -> str:
    """`host:port/database` of a URL, never its password."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    if "," in hosts:
        return f"{hosts}{parts.path}"
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


def is_transient(sqlstate: str | None) -> bool:
    """Whether what PostgreSQL said may go away by itself; it said nothing where the session broke off."""
    return sqlstate is None or sqlstate[:2] in _TRANSIENT_CLASSES


def named_error(message: str, sqlstate: str | None) -> SluicewayError:
    """The named error for what PostgreSQL said."""
    if is_transient(sqlstate):
        return WarehouseUnavailableError(f"The warehouse broke off: {message}")
    if sqlstate in {"3F000", "42P01"} and "etl." in message:
        return LedgerMissingError(f"The warehouse has no ledger ({message}); run `sluiceway ledger migrate`.")
    refused = WarehouseError(f"The warehouse refused a statement: {message}")
    refused.sqlstate = sqlstate
    return refused


class PsycopgSession:
    """Session over psycopg, for the ledger's small statements."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, query: Statement) -> list[tuple[Any, ...]]:
        """Run one statement; `connect` turns what PostgreSQL refuses into a named error."""
        cursor = self._connection.execute(query)
        return cursor.fetchall() if cursor.description else []

    def execute_alone(self, query: Statement) -> None:
        """Run a statement that holds a text of somebody's: by this protocol no second one can hide behind it."""
        self._connection.execute(query, binary=True)


class Limits(NamedTuple):
    """How long a transaction may wait for the server."""

    connect_s: int
    """For a connection."""
    lock_s: float
    """For each lock."""
    statement_s: float
    """For each statement, its locks among it."""


_LIMITS: ContextVar[Limits | None] = ContextVar("sluiceway_limits", default=None)


@contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Within the block each transaction of this thread that `connect` begins has these limits."""
    token = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(token)


@dataclass
class _Kept:
    """A connection that is handed on."""

    url: str
    connection: Connection | None = None
    is_taken: bool = False


_KEPT: ContextVar[_Kept | None] = ContextVar("sluiceway_kept_connection", default=None)


@contextmanager
def one_connection(url: str) -> Iterator[None]:
    """Within the block what this thread opens on that warehouse is one connection, handed on from use to use.

    A task of a run writes that it began, works, and writes how it ended: three log-ins, each of which costs the server
    a process, where one will do. What is opened while it is in use has a connection of its own.
    """
    kept = _Kept(url)
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)
        if kept.connection is not None:
            kept.connection.close()


def forget_connection() -> None:
    """In a process that was forked: the connection that is handed on is its parent's."""
    _KEPT.set(None)


@contextmanager
def connection(url: str, *, leaves_nothing: bool = False) -> Iterator[Connection]:
    """A connection in autocommit: the one that is handed on, or one that is closed at the end.

    :param leaves_nothing: its user takes no lock and sets nothing that lasts longer than a transaction.
    """
    kept = _KEPT.get()
    if kept is None or kept.is_taken or kept.url != url:
        opened = _open(url)
        try:
            yield opened
        finally:
            # no `with`: it would commit, and call work a failure that is done when the session has broken off
            opened.close()
        return
    if kept.connection is None or not _is_fit(kept.connection):
        kept.connection = _open(url)
    kept.is_taken = True
    try:
        yield kept.connection
    finally:
        kept.is_taken = False
        is_as_it_was = leaves_nothing and kept.connection.info.transaction_status == TransactionStatus.IDLE
        if not is_as_it_was and not _is_fit(kept.connection):
            kept.connection = None


def _open(url: str) -> Connection:
    limits = _LIMITS.get()
    opened: Connection = psycopg.connect(
        url,
        connect_timeout=limits.connect_s if limits else CONNECT_S,
        autocommit=True,
        **CLIENT_ASKS,
    )
    # the driver reads times in no other style; the server has told its own with its greeting
    if not (opened.info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        opened.execute("SET DateStyle = 'ISO'")
    return opened


def _is_fit(kept: Connection) -> bool:
    """Let go of what its last user held; False, and closed, where it broke off or is amid something."""
    try:
        if kept.info.transaction_status == TransactionStatus.IDLE:
            kept.execute("SELECT pg_advisory_unlock_all(); RESET application_name")
            return True
    except psycopg.Error:
        log.info("The connection to the warehouse broke off")
    kept.close()
    return False


@contextmanager
def connect(url: str) -> Iterator[PsycopgSession]:
    """One transaction on the warehouse: committed at the end, rolled back when the body raises.

    :raises WarehouseUnavailableError: the server does not answer or breaks off.
    :raises WarehouseError: the server refuses a statement.
    """
    try:
        with connection(url, leaves_nothing=True) as found, found.transaction():
            session = PsycopgSession(found)
            if (limits := _LIMITS.get()) is not None:
                session.execute(_limiting(limits))
            yield session
    except psycopg.Error as error:
        raise error_of(error, url) from error


def _limiting(limits: Limits) -> sql.Composed:
    # of this transaction alone, and no option of the connection, which not every pooler takes
    return sql.SQL("SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}").format(
        *(sql.Literal(f"{1000 * seconds:.0f}ms") for seconds in (limits.lock_s, limits.statement_s))
    )


def error_of(error: psycopg.Error, url: str) -> SluicewayError:
    """The named error for what psycopg raised."""
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        said = " ".join(str(error).split())
        return WarehouseUnavailableError(f"The warehouse at {place(url)} does not answer: {said}")
    return named_error(str(error), error.sqlstate)
