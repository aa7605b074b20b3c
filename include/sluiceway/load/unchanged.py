"""A load that finds its source as the last good one left it: it writes that into the ledger, and no row."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import NamedTuple

from sluiceway.errors import SluicewayError
from sluiceway.ledger import store
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import TableRun
from sluiceway.load.attempt import Attempt
from sluiceway.load.last_load import last_load
from sluiceway.load.notes import note
from sluiceway.load.transaction import free_turn
from sluiceway.sources.connections import Connections
from sluiceway.sources.hashing import Hashed
from sluiceway.sources.locate import file_here, hashed_now, located
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

log = logging.getLogger(__name__)


class Look(NamedTuple):
    """What was seen of a source before its load."""

    unchanged: TableRun | None = None
    """The try's row, where the load has nothing to do."""
    hashed: Future[Hashed] | None = None
    """What the source's file was, where it was read."""


def look(spec: TableSpec, url: str, attempt: Attempt, *, force: bool, connections: Connections) -> Look:
    """Whether a local file is still the one that was loaded; then the ledger says so, and the load is done.

    To hash a file takes little memory and understands nothing of what it holds, so that whoever asks can do it; a load
    of its own process costs a tenth of a second, most of it to fork and to end one. Where the table is another's turn,
    or anything else has to be asked than a file here, nothing is seen.

    :raises SluicewayError: there is no such file, or the warehouse does not answer; the ledger says why.
    """
    uri = file_here(spec.source)
    if force or spec.target != "postgresql" or uri is None:
        return Look()
    try:
        with free_turn(url, spec) as lock:
            if lock is None:
                return Look()
            attempt.number(lock, spec.name)
            last = last_load(spec, lock, None, force=False)
            if last.run is None or last.known is None:
                return Look()
            hashed = hashed_now(uri)
            with located(spec.source, connections, hashed=hashed) as place:
                if place.fingerprint != last.known:
                    return Look(hashed=hashed)
                return Look(record_unchanged(spec, lock, attempt, last.run, place))
    except SluicewayError as error:
        attempt.record_failure(url, spec.name, error)
        raise


def record_unchanged(
    spec: TableSpec,
    lock: LockedSession,
    attempt: Attempt,
    last: TableRun,
    place: Place,
    notes: Mapping[str, str] | None = None,
) -> TableRun:
    """Write the row of a try that has nothing to load, and return it."""
    # an unchanged table needs no Arrow, half a second of a task
    result = attempt.result(
        spec.name,
        "unchanged",
        table_rows=last.table_rows,
        bytes=place.size,
        fingerprint=place.fingerprint,
        spec_hash=last.spec_hash,
        source_rows=last.source_rows,
        note=note(spec, notes or {}),
    )
    store.write_table_run(lock, result)
    log.info("%s: the source is unchanged since %s, nothing to load", spec.name, last.key)
    return result
