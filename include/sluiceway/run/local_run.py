"""A run of one table by this very process, without Airflow: its lock, its row in the ledger, and its end.

Whatever ends it, its row says so: by itself, or by whoever looks next (ledger/left_behind.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sluiceway.errors import LedgerMissingError, SluicewayError
from sluiceway.ledger import locks, store
from sluiceway.ledger.left_behind import close_left_behind, close_stopped
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import CLI, RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.stop import NOTHING_STOPPED, STOPPED, Stop, StoppedError
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.staging import Progress
    from sluiceway.sources.hashing import Hashed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How it ended."""

    table: TableRun
    failure: SluicewayError | None = None


def load_here(
    spec: TableSpec,
    url: str,
    stop: Stop,
    *,
    force: bool = False,
    migrating: bool = False,
    progress: Progress | None = None,
    hashed: Future[Hashed] | None = None,
) -> Ended:
    """Load one table as a run of its own.

    :param stop: says whether a signal has come.
    :param migrating: give the warehouse a ledger if it has none.
    :raises StoppedError: a signal came; its sentence says what has become of the table.
    """
    run = RunKey(CLI, f"cli__{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}__{uuid4().hex[:6]}")
    try:
        with _opened(url, run, spec.name, migrating=migrating):
            failure = _failure_of(spec, url, run, stop, force=force, progress=progress, hashed=hashed)
            with connect(url) as session:
                store.close_run(session, run, "failed" if failure else "success", str(failure) if failure else None)
                return Ended(store.table_runs(session, run)[0], failure)
    except BaseException as error:
        if stop.number is None:
            raise
        # whatever it raised: a load that is broken off may call that a failure of its own
        raise StoppedError(stop.number, _close_stopped(url, run)) from error


def _failure_of(
    spec: TableSpec,
    url: str,
    run: RunKey,
    stop: Stop,
    *,
    force: bool,
    progress: Progress | None,
    hashed: Future[Hashed] | None,
) -> SluicewayError | None:
    """Why the table was not loaded."""
    try:
        load_table(spec, url, run=run, force=force, progress=progress, hashed=hashed)
    except SluicewayError as error:
        if stop.number is not None:
            raise
        return error
    except BaseException as error:
        if stop.number is None:
            with connect(url) as session:
                store.close_run(session, run, "failed", f"ended by {type(error).__name__}: {error}")
        raise
    return None


def _close_stopped(url: str, run: RunKey) -> str:
    """Close the row of a run that was stopped, if it was opened yet, and say what has become of its table."""
    try:
        with connect(url) as session:
            if store.run(session, run) is None:
                return NOTHING_STOPPED
            return close_stopped(session, run, STOPPED)
    except SluicewayError as error:
        return f"{STOPPED}; the ledger cannot be asked what was changed: {error}"


@contextmanager
def _opened(url: str, run: RunKey, table: str, *, migrating: bool) -> Iterator[None]:
    """The run's row is open, and its lock says that its process lives, from before the row until after its end."""
    with locks.hold(url, locks.of_run(run), application_name=f"sluiceway run {table}") as lock:
        try:
            check_revision(lock)
        except LedgerMissingError:
            # a warehouse named on the command line gets its ledger at the first use; a deployment's owner migrates it
            if not migrating:
                raise
            from sluiceway.ledger.migrate import migrate

            migrate(url)
        with lock.transaction() as session:
            for left in close_left_behind(session):
                log.warning("%s had been left open by its process, and was closed", left)
            store.open_run(session, run, commit_sha=None, trigger_kind="cli")
            store.plan_tables(session, run, [table])
        yield
