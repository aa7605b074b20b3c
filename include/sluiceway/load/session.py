"""One transaction on the warehouse through ADBC, whose COPY takes Arrow batches as they come.

ADBC's low-level interface is used because its DBAPI imports pandas: 1.4 s and 60 MB in every task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any

import adbc_driver_manager as adbc
import adbc_driver_postgresql
import pyarrow as pa

from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger.warehouse import CLIENT_ASKS, SERVER_ASKS, Statement, named_error, place
from sluiceway.load.stage_table import SCHEMA
from sluiceway.stop import breaking_off

CONNECTION_FAILURE = "08006"
INTERNAL_ERROR = "XX000"
_LOST = re.compile(
    "server closed the connection|terminating connection|no connection to the server|could not (send|receive)"
)


class BulkSession:
    """Runs statements and bulk loads in one transaction."""

    def __init__(self, connection: adbc.AdbcConnection) -> None:
        self._connection = connection

    def execute(self, query: Statement) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; raises a named error for what PostgreSQL refuses."""
        with adbc.AdbcStatement(self._connection) as statement:
            try:
                statement.set_sql_query(query.as_string(None))
                stream, _ = statement.execute_query()
                table = pa.RecordBatchReader.from_stream(stream).read_all()
            except (adbc.Error, pa.ArrowException, OSError) as error:
                raise _named(error) from error
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    @contextmanager
    def read(self, query: Statement) -> Iterator[pa.RecordBatchReader]:
        """The rows of one statement as Arrow batches, as they come; to be read within the block."""
        with adbc.AdbcStatement(self._connection) as statement:
            try:
                statement.set_sql_query(query.as_string(None))
                stream, _ = statement.execute_query()
                with pa.RecordBatchReader.from_stream(stream) as reader:
                    yield reader
            except (adbc.Error, pa.ArrowException, OSError) as error:
                raise _named(error) from error

    def ingest(self, table: str, batches: pa.RecordBatchReader) -> int:
        """COPY batches into a new temporary table and return how many rows went in."""
        mode = {"adbc.ingest.mode": "adbc.ingest.mode.create", "adbc.ingest.temporary": "true"}
        return self._copy(table, batches, mode)

    def append(self, table: str, batches: pa.RecordBatchReader, schema: str = SCHEMA) -> int:
        """COPY batches into a table, of the public schema if none is named, and return how many rows went in."""
        mode = {"adbc.ingest.mode": "adbc.ingest.mode.append", "adbc.ingest.target_db_schema": schema}
        return self._copy(table, batches, mode)

    def _copy(self, table: str, batches: pa.RecordBatchReader, mode: dict[str, str]) -> int:
        with adbc.AdbcStatement(self._connection) as statement:
            try:
                statement.set_options(**{"adbc.ingest.target_table": table, **mode})
                statement.bind_stream(batches)
                return int(statement.execute_update())
            except (adbc.Error, pa.ArrowException, OSError) as error:
                raise _named(error) from error


def _named(error: Exception) -> Exception:
    sqlstate = getattr(error, "sqlstate", None)
    if not sqlstate:
        # libpq notices a lost connection itself, and then there is no SQLSTATE
        sqlstate = CONNECTION_FAILURE if _LOST.search(str(error)) else INTERNAL_ERROR
    return named_error(str(error).strip().splitlines()[0], sqlstate)


def _asking(url: str) -> str:
    """The URL with what has libpq notice that the server is gone; what it says already counts."""
    # as text, for libpq writes and reads an address in its own way: + is no space, a host may be missing or be several
    address, _, query = url.partition("?")
    said = [pair for pair in query.split("&") if pair]
    names = {pair.partition("=")[0] for pair in said}
    asks = [f"{name}={value}" for name, value in CLIENT_ASKS.items() if name not in names]
    return f"{address}?{'&'.join([*said, *asks])}"


@cache
def _database(url: str) -> adbc.AdbcDatabase:
    """The driver's knowledge of a server's types: to ask for it takes 70 ms. It holds no connection."""
    database: adbc.AdbcDatabase = adbc_driver_postgresql.connect(_asking(url))
    return database


def _cancel(connection: adbc.AdbcConnection) -> None:
    # what has ended meanwhile cannot be broken off
    with suppress(adbc.Error):
        connection.cancel()


@contextmanager
def bulk_session(url: str) -> Iterator[BulkSession]:
    """One transaction: committed at the end, rolled back when the body raises.

    :raises WarehouseUnavailableError: the server does not answer or breaks off.
    """
    try:
        connection = adbc.AdbcConnection(_database(url))
    except adbc.Error as error:
        raise WarehouseUnavailableError(f"The warehouse at {place(url)} does not answer: {error}") from error
    with connection, breaking_off(partial(_cancel, connection)):
        connection.set_autocommit(False)
        session = BulkSession(connection)
        try:
            session.execute(SERVER_ASKS)
            yield session
        except BaseException:
            # the first error is the one to show; closing rolls back too
            with suppress(adbc.Error):
                connection.rollback()
            raise
        try:
            connection.commit()
        except adbc.Error as error:
            raise _named(error) from error
