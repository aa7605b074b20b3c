"""One big table on many workers: plans the parts of its load, and loads one part into the warehouse's staging schema.

load_table takes the parts for its source, once all are there, and does the rest as ever (load/staged_parts.py).
"""

from __future__ import annotations

import logging
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from psycopg import sql

from sluiceway.errors import PartsError, SluicewayError, SplitError
from sluiceway.ledger import locks
from sluiceway.ledger import parts as ledger_parts
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.parts import TablePart
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.load.attempt import peak_rss_bytes
from sluiceway.load.last_load import last_load, spec_hash
from sluiceway.load.limited import Ended, run_within
from sluiceway.load.progress_log import log_progress
from sluiceway.load.staged_parts import AGAIN, drop_stages, is_staged, rejects_of, stage_of
from sluiceway.sources import open_source, pieces_of
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import located
from sluiceway.sources.piece import Piece
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.reject_spool import RejectSpool
    from sluiceway.load.session import BulkSession
    from sluiceway.load.staging import Staged
    from sluiceway.sources.extraction import Extraction
    from sluiceway.sources.place import Place

log = logging.getLogger(__name__)


def plan_parts(
    spec: TableSpec, url: str, *, run: RunKey, force: bool = False, connections: Connections = from_environment
) -> list[int]:
    """Write into the ledger which parts the run's load of a table has, and return their numbers.

    None where its load needs none: the source is unchanged, or makes one part only, or cannot be read, of which the
    load itself says why. Of a source that cannot be split as the file says, the load says that. A part that was staged
    from the same source before is not staged again.

    :param force: load also when source, spec and LOAD_VERSION are those of the last good load.
    :raises WarehouseUnavailableError: the ledger does not answer.
    """
    planned = _planned(spec, url, run, force, connections)
    with connect(url) as session:
        before = ledger_parts.of_table(session, run, spec.name)
        if _same(before, planned):
            return [part.part for part in before]
        drop_stages(session, before)
        ledger_parts.plan(session, run, spec.name, planned)
    return [part.part for part in planned if part.status == "planned"]


def _planned(spec: TableSpec, url: str, run: RunKey, force: bool, connections: Connections) -> list[TablePart]:
    with connect(url) as session:
        last = last_load(spec, session, None, force=force)
    part = partial(TablePart, dag_id=run.dag_id, run_id=run.run_id, table_name=spec.name, spec_hash=spec_hash(spec))
    try:
        with located(spec.source, connections, known=lambda: last.known) as place:
            if last.known is not None and place.fingerprint == last.known:
                return []
            if place.fingerprint is None:
                raise SplitError(
                    f"{spec.name}: split: nobody can tell whether all parts of {place.name} are of one state of it: "
                    f"its server says nothing by which a change is seen; remove split"
                )
            pieces = pieces_of(spec, place)
            if len(pieces) < 2:
                return []
            return [
                part(part=number, parts=len(pieces), piece=piece.model_dump(), fingerprint=place.fingerprint)
                for number, piece in enumerate(pieces, 1)
            ]
    except SplitError as error:
        failed = {"status": "failed", "error_type": type(error).__name__, "error": str(error)}
        return [part(part=1, parts=1, piece=Piece(rows=0).model_dump(), fingerprint=None, **failed)]
    except SluicewayError as error:
        log.warning("%s: no parts can be planned, and its load will say why: %s", spec.name, error)
        return []


def _same(before: list[TablePart], planned: list[TablePart]) -> bool:
    def identity(part: TablePart) -> object:
        return part.part, part.parts, part.piece, part.fingerprint, part.spec_hash

    return bool(planned) and planned[0].status == "planned" and [*map(identity, before)] == [*map(identity, planned)]


def load_part(
    spec: TableSpec,
    url: str,
    *,
    run: RunKey,
    part: int,
    try_number: int = 1,
    connections: Connections = from_environment,
) -> TablePart:
    """Stage one part of a table, all of it or nothing, and write into the ledger what came of it.

    One that is staged already is left as it is: a task may be told so late that it has ended. It is done in a process
    of its own, which may have what the table's file says of memory and processors.

    :param part: its number, from 1.
    :raises PartsError: it is no longer planned, or the source or the table's file is no longer what it was then.
    :raises MemoryLimitError: it needs more memory than it may have.
    :raises SluicewayError: it cannot be loaded; the ledger says why.
    """
    work = partial(_load_part, spec, url, run, part, try_number, connections)

    def record(ended: Ended) -> None:
        with connect(url) as session:
            found = _found(session, run, spec, part)
        # it may have been staged before its process ended
        if found.status != "staged":
            _record_failure(url, found, ended.error)

    return run_within(spec.limits, work, record)


def _load_part(
    spec: TableSpec, url: str, run: RunKey, number: int, try_number: int, connections: Connections
) -> TablePart:
    name = _session_name(spec, number)
    with locks.hold(
        url,
        locks.of_part(run, spec.name, number),
        after=locks.of_writing_part(run, spec.name, number),
        application_name=name,
        waiting=f"{spec.name}: another try of part {number} is under way; this one waits for its end",
    ) as lock:
        part = _found(lock, run, spec, number)
        if is_staged(lock, part) and part.spec_hash == spec_hash(spec):
            log.info("%s: part %d of %d is staged already, by %s", spec.name, number, part.parts, part.worker)
            return part
        ledger_parts.begin(lock, part, try_number=try_number, worker=socket.gethostname())
        try:
            _Part(spec, url, lock, part).stage(connections)
        except SluicewayError as error:
            _record_failure(url, part, error)
            raise
        return _found(lock, run, spec, number)


def _found(session: Session, run: RunKey, spec: TableSpec, number: int) -> TablePart:
    for part in ledger_parts.of_table(session, run, spec.name):
        if part.part == number:
            return part
    raise PartsError(f"{spec.name}: part {number} is no longer planned; {AGAIN}.")


def _record_failure(url: str, part: TablePart, error: SluicewayError) -> None:
    try:
        with connect(url) as session:
            ledger_parts.end(session, part, status="failed", error_type=type(error).__name__, error=str(error))
    except SluicewayError:
        # the first error is the one to show; the load sees a part that never ended
        log.exception("%s: the failure of part %d could not be written into the ledger", part.table_name, part.part)


def _session_name(spec: TableSpec, number: int) -> str:
    # by how it begins, cleanup_staging finds the sessions of lost workers
    return f"sluiceway load {spec.name[:30]} part {number}"


@dataclass
class _Part:
    """One try at a part."""

    spec: TableSpec
    url: str
    lock: LockedSession
    part: TablePart

    def stage(self, connections: Connections) -> None:
        from sluiceway.load.reject_spool import RejectSpool
        from sluiceway.load.session import bulk_session
        from sluiceway.sources.formats.arrow import use_little_memory

        use_little_memory()
        started = time.monotonic()
        spool = RejectSpool([], () if self.spec.key == "content" else self.spec.key)
        piece = Piece.model_validate(self.part.piece)
        try:
            with located(self.spec.source, connections) as place:
                self._check_same(place)
                with (
                    open_source(self.spec, place, connections, piece=piece) as extraction,
                    bulk_session(self.url) as session,
                ):
                    staged = self._fill(session, extraction, spool, piece)
                    if not place.stands():
                        raise PartsError(f"{self.spec.name}: {place.name} was written to meanwhile; {AGAIN}.")
                    # with the lock gone another try may have begun
                    self.lock.check_held()
                    self._write(session, extraction, spool, staged, time.monotonic() - started)
        finally:
            spool.close()

    def _check_same(self, place: Place) -> None:
        if spec_hash(self.spec) != self.part.spec_hash:
            raise PartsError(f"{self.spec.name}: the table's file was changed since its parts were planned; {AGAIN}.")
        if place.fingerprint != self.part.fingerprint:
            raise PartsError(f"{self.spec.name}: {place.name} is no longer what its parts were planned from; {AGAIN}.")

    def _fill(self, session: BulkSession, extraction: Extraction, spool: RejectSpool, piece: Piece) -> Staged:
        from sluiceway.load.staging import stage

        number, rejects = self.part.part, rejects_of(self.part)
        name = _session_name(self.spec, number)
        session.execute(sql.SQL("SET LOCAL application_name = {}").format(sql.Literal(name)))
        session.execute(
            sql.SQL("SELECT pg_advisory_xact_lock({})::text AS locked").format(
                locks.of_writing_part(self.part.key, self.spec.name, number)
            )
        )
        drop_stages(session, [self.part])
        progress = log_progress(f"{self.spec.name}, part {number} of {self.part.parts} ({piece})")
        staged = stage(session, self.spec, extraction, spool, progress, part=stage_of(self.part))
        if spool.count:
            reader = spool.reader()
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(each), sql.SQL("bigint" if each == "row_number" else "text"))
                for each in reader.schema.names
            )
            session.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(rejects.identifier, columns))
            session.append(rejects.name, reader, rejects.schema)
        return staged

    def _write(
        self, session: BulkSession, extraction: Extraction, spool: RejectSpool, staged: Staged, seconds: float
    ) -> None:
        ledger_parts.end(
            session,
            self.part,
            status="staged",
            extracted=staged.extracted,
            staged=staged.staged,
            rejected=spool.count,
            without_key=spool.without_key,
            repaired=staged.repaired,
            seconds=seconds,
            peak_rss_bytes=peak_rss_bytes(),
            found={
                "columns": dict(extraction.columns),
                "values": dict(staged.values),
                "failures": dict(staged.failures),
                "doubts": extraction.doubts,
                "failing": staged.failing.written(),
            },
        )
        log.info(
            "%s: part %d of %d: %d extracted = %d staged + %d rejected, in %.1f s",
            *(self.spec.name, self.part.part, self.part.parts, staged.extracted, staged.staged, spool.count, seconds),
        )
