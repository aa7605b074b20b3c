"""A psycopg connection to the warehouse whose errors say whether a retry can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from sluiceway.errors import LedgerMissingError, SluicewayError, WarehouseError, WarehouseUnavailableError

LEDGER_REVISION = "0006"
"""The revision of ledger/migrations this code reads and writes."""

_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57")
"""SQLSTATE classes that may go away: connection, rollback (deadlock), resources, object in use, operator."""


Statement = sql.SQL | sql.Composed


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


def named_error(message: str, sqlstate: str | None) -> SluicewayError:
    """The named error for what PostgreSQL said."""
    if sqlstate is None or sqlstate[:2] in _TRANSIENT_CLASSES:
        return WarehouseUnavailableError(f"The warehouse broke off: {message}")
    if sqlstate in {"3F000", "42P01"} and "etl." in message:
        return LedgerMissingError(f"The warehouse has no ledger ({message}); run `sluiceway ledger migrate`.")
    return WarehouseError(f"The warehouse refused a statement: {message}")


class PsycopgSession:
    """Session over psycopg, for the ledger's small statements."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def execute(self, query: Statement) -> list[tuple[Any, ...]]:
        """Run one statement; `connect` turns what PostgreSQL refuses into a named error."""
        cursor = self._connection.execute(query)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def connect(url: str) -> Iterator[PsycopgSession]:
    """One transaction on the warehouse: committed at the end, rolled back when the body raises.

    :raises WarehouseUnavailableError: the server does not answer or breaks off.
    :raises WarehouseError: the server refuses a statement.
    """
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            yield PsycopgSession(connection)
    except psycopg.Error as error:
        raise error_of(error, url) from error


def error_of(error: psycopg.Error, url: str) -> SluicewayError:
    """The named error for what psycopg raised."""
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        said = " ".join(str(error).split())
        return WarehouseUnavailableError(f"The warehouse at {place(url)} does not answer: {said}")
    return named_error(str(error), error.sqlstate)
