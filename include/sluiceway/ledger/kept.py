"""A connection to the warehouse that is kept, for a process that writes a little, often and for days."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from sluiceway.errors import WarehouseUnavailableError
from sluiceway.ledger.warehouse import PsycopgSession, Session, error_of

T = TypeVar("T")
AGAIN_S = 5.0
"""A warehouse that did not answer is asked again after this long: two hundred watches ask it, one after the other."""
OPTIONS = "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000 -c jit=off -c DateStyle=ISO"
"""Of a thousand tables the server thinks so much that compiling the plan would take it as long as the answer."""
READING = f"{OPTIONS} -c lock_timeout=3000 -c statement_timeout=20000"
"""Of what somebody waits for: whoever reads waits for the lock of a migration alone."""

log = logging.getLogger(__name__)


class KeptConnection:
    """Runs one transaction after the other, in a thread of its own.

    :param url: gives the warehouse's URL; asked again after the connection broke.
    :param name: what the server shows of it.
    :param is_snapshot: each transaction sees one moment, and cannot write.
    """

    def __init__(self, url: Callable[[], str], *, name: str = "sluiceway watch", is_snapshot: bool = False) -> None:
        self._url, self._name, self._is_snapshot = url, name, is_snapshot
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._connected_to = ""
        self._failed: tuple[float, str] | None = None
        self._broke = False
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        """Where `run` must be called."""

    def run(self, work: Callable[[Session], T]) -> T:
        """Do the work in one transaction.

        :raises WarehouseUnavailableError: the server does not answer or breaks off.
        :raises WarehouseError: the server refuses a statement.
        """
        connection = self._open()
        try:
            with connection.transaction():
                return work(PsycopgSession(connection))
        except psycopg.Error as error:
            self._broke = connection.closed
            self._drop()
            raise error_of(error, self._connected_to) from error

    def ask(self, work: Callable[[Session], T]) -> T:
        """As `run`, for work that may be done twice: a connection that broke while nobody used it is no error."""
        had_one = self._connection is not None
        try:
            return self.run(work)
        except WarehouseUnavailableError:
            if not (had_one and self._broke):
                raise
            return self.run(work)

    def close(self) -> None:
        """End the connection and its thread."""
        self.thread.submit(self._drop)
        self.thread.shutdown(wait=False)

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self._failed and time.monotonic() - self._failed[0] < AGAIN_S:
            raise WarehouseUnavailableError(self._failed[1])
        url = self._url()
        try:
            self._connection = psycopg.connect(
                url,
                connect_timeout=10,
                application_name=self._name,
                autocommit=True,
                options=READING if self._is_snapshot else OPTIONS,
            )
        except psycopg.Error as error:
            named = error_of(error, url)
            self._failed = (time.monotonic(), str(named))
            raise named from error
        if self._is_snapshot:
            # said by BEGIN, so that it costs no statement
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        self._failed, self._connected_to = None, url
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None
