"""Loads one table: the way from its spec to a committed transaction and a ledger row."""

from __future__ import annotations

import hashlib
import logging
import resource
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    ShrunkExtractionError,
    SluicewayError,
    TooManyRejectsError,
)
from sluiceway.ledger import loaded_batches, store
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import Reject, RunKey, TableRun, TableStatus
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import Fingerprint, located
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.rejects import RejectSpool
    from sluiceway.load.session import BulkSession
    from sluiceway.load.staging import Progress
    from sluiceway.sources.extraction import Extraction

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10

_CODE_DIRS = ("load", "sources", "tables")


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class _Attempt:
    """One try: whose it is, and how far it has come, for the ledger row of one that fails."""

    run: RunKey
    try_number: int
    started: float = field(default_factory=time.monotonic)
    extracted: int = 0
    rejected: int = 0
    sample: list[Reject] = field(default_factory=list)

    def result(self, table: str, status: TableStatus, **values: Any) -> TableRun:
        """The try's row."""
        return TableRun(
            dag_id=self.run.dag_id,
            run_id=self.run.run_id,
            table_name=table,
            try_number=self.try_number,
            status=status,
            seconds=time.monotonic() - self.started,
            peak_rss_bytes=peak_rss_bytes(),
            **values,
        )


@cache
def code_fingerprint() -> str:
    """sha256 of the code that decides what a load does: after a change, unchanged sources are loaded again."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in _CODE_DIRS:
        for path in sorted((package / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _spec_hash(spec: TableSpec) -> str:
    return hashlib.sha256(f"{spec.fingerprint()}{code_fingerprint()}".encode()).hexdigest()


def load_table(
    spec: TableSpec,
    url: str,
    *,
    run: RunKey,
    try_number: int = 1,
    force: bool = False,
    connections: Connections = from_environment,
    progress: Progress | None = None,
    hashed: Future[Fingerprint] | None = None,
) -> TableRun:
    """Load one table in one transaction, or not at all, and write what happened into the ledger.

    The run's row must be open (store.open_run).

    :param url: postgresql:// URL of the warehouse.
    :param run: the run that loads it.
    :param try_number: which try of the run's task it is; each has a row of its own.
    :param force: load also when source, spec and code are those of the last good load.
    :param connections: finds what the source's connection holds.
    :param progress: told about every batch: rows so far, and of how many if known; by default the log tells it.
    :param hashed: what hash_ahead has begun for the spec's source.
    :raises SluicewayError: the table was not loaded; nothing of it was written, and the ledger says why.
    """
    attempt = _Attempt(run, try_number)
    try:
        with ThreadPoolExecutor(1, "ask and import") as threads:
            # while this thread hashes a local file, the ledger answers and what a load needs is imported
            asked = threads.submit(_last_load, spec, url, force=force)
            threads.submit(_import_for_load, spec, asked)
            with located(spec.source, connections, known=lambda: asked.result().known, hashed=hashed) as place:
                last = asked.result()
                if last.run is not None and last.known is not None and place.fingerprint == last.known:
                    return _record_unchanged(spec, url, attempt, last.run, place)
                load = _Load(spec, url, last.run, attempt, progress or _log_progress(spec.name))
                since = last.run.watermark if last.run is not None and last.intact else None
                result = load.run(place, connections, since=since)
                if result is None and last.run is not None:
                    return _record_unchanged(spec, url, attempt, last.run, place)
                assert result is not None
                return result
    except SluicewayError as error:
        _record_failure(spec, url, error, attempt)
        raise


class _LastLoad(NamedTuple):
    run: TableRun | None
    """The last good load."""
    intact: bool
    """Whether what it left still stands, and this very spec and code made it."""

    @property
    def known(self) -> str | None:
        """The fingerprint of a source that need not be loaded again."""
        return self.run.fingerprint if self.run is not None and self.intact else None


def _last_load(spec: TableSpec, url: str, *, force: bool) -> _LastLoad:
    with connect(url) as ledger:
        _name_session(ledger, spec)
        check_revision(ledger)
        last = store.last_good_load(ledger, spec.name)
        if force or last is None or last.spec_hash != _spec_hash(spec):
            return _LastLoad(last, intact=False)
        return _LastLoad(last, _stands(ledger, spec, last))


def _import_for_load(spec: TableSpec, asked: Future[_LastLoad]) -> None:
    """Half a second of imports; none for a table that is probably unchanged."""
    if asked.result().known is not None:
        return
    modules = [f"sluiceway.sources.{spec.source.kind}", "sluiceway.load.staging", "sluiceway.load.merge"]
    if spec.geometry is not None:
        modules.append("sluiceway.load.geometry")
    for module in modules:
        import_module(module)


def _record_unchanged(spec: TableSpec, url: str, attempt: _Attempt, last: TableRun, place: Place) -> TableRun:
    # an unchanged table needs no Arrow, half a second of a task
    result = attempt.result(
        spec.name,
        "unchanged",
        table_rows=last.table_rows,
        bytes=place.size,
        fingerprint=place.fingerprint,
        spec_hash=last.spec_hash,
    )
    with connect(url) as ledger:
        store.begin_table(ledger, attempt.run, spec.name, attempt.try_number)
        store.write_table_run(ledger, result)
    log.info("%s: the source is unchanged since %s, nothing to load", spec.name, last.key)
    return result


def _log_progress(table: str) -> Progress:
    """Tells the log how far a long load is, every 10 s."""
    started = told = time.monotonic()

    def tell(rows: int, total: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            share = f" of {total:,} ({rows / total:.0%})" if total else ""
            log.info("%s: %s rows%s read, %s rows/s", table, f"{rows:,}", share, f"{rows / (now - started):,.0f}")

    return tell


def _stands(ledger: Session, spec: TableSpec, last: TableRun) -> bool:
    """Whether the warehouse still holds what the last load left; a table emptied by hand is loaded again."""
    from sluiceway.load.merge import count_rows, table_exists

    return table_exists(ledger, spec) and count_rows(ledger, spec) == last.table_rows


@dataclass
class _Load:
    """One load on its way."""

    spec: TableSpec
    url: str
    last: TableRun | None
    attempt: _Attempt
    progress: Progress

    def run(self, place: Place, connections: Connections, *, since: str | None) -> TableRun | None:
        """Load it in one transaction.

        :param since: where the last incremental load ended.
        :returns: None when an incremental source has nothing at all since then.
        """
        import pyarrow as pa

        from sluiceway.load.stage_table import NotAsRememberedError
        from sluiceway.sources.arrow import leave_pandas_out

        # Arrow's own allocator keeps 30 to 40 MB that it no longer needs, and is no faster here
        pa.set_memory_pool(pa.system_memory_pool())
        leave_pandas_out()
        try:
            return self._run(place, connections, since, trusting=True)
        except NotAsRememberedError:
            log.info("%s: not all rows stand as the last load left them; all are compared", self.spec.name)
            self.attempt.sample.clear()
            return self._run(place, connections, since, trusting=False)

    def _run(self, place: Place, connections: Connections, since: str | None, *, trusting: bool) -> TableRun | None:
        from sluiceway.load.rejects import RejectSpool
        from sluiceway.load.session import bulk_session

        spool = RejectSpool(self.attempt.sample)
        try:
            with (
                open_source(self.spec, place, connections, watermark=since) as extraction,
                bulk_session(self.url) as session,
            ):
                _check_drift(self.spec, extraction, self.last)
                _prepare(session, self.spec)
                store.begin_table(session, self.attempt.run, self.spec.name, self.attempt.try_number)
                result = self._fill(session, extraction, spool, place, since, trusting=trusting)
        finally:
            spool.close()
        if result is not None:
            log.info(
                "%s: %d extracted = %d inserted + %d updated + %d unchanged + %d rejected, in %.1f s",
                *(self.spec.name, result.extracted, result.inserted, result.updated, result.unchanged),
                *(result.rejected, result.seconds),
            )
        return result

    def _fill(
        self,
        session: BulkSession,
        extraction: Extraction,
        spool: RejectSpool,
        place: Place,
        since: str | None,
        *,
        trusting: bool,
    ) -> TableRun | None:
        from sluiceway.load.loaded_batches import LoadedBatches, way
        from sluiceway.load.merge import check_remembered, ensure_table, merge, reject_duplicates, target_of
        from sluiceway.load.stage_table import NotAsRememberedError, drop_stage
        from sluiceway.load.staging import stage

        spec, run = self.spec, self.attempt.run
        this_way = way(_spec_hash(spec))
        remembered = loaded_batches.read(session, spec.name, target=target_of(spec), way=this_way) if trusting else None
        # a content key is made of all columns, so that no row can be told by its key alone
        remembers = since is None and spec.key != "content"
        memory = LoadedBatches.of(remembered.batches if remembered else b"") if remembers else None
        staged = stage(session, spec, extraction, spool, self.progress, memory)
        self.attempt.extracted, self.attempt.rejected = staged.extracted, spool.count
        if since is None:
            _check_extracted(spec, staged.extracted, self.last)
        elif staged.extracted == 0:
            drop_stage(session, spec)
            return None
        _write_spool(session, spec, self.attempt, spool)
        repeated = reject_duplicates(session, spec, run, self.attempt.try_number) if staged.staged else 0
        rejected = spool.count + repeated
        self._check_rejects(session, staged.extracted, rejected)
        new = ensure_table(session, spec)
        if remembered and staged.remembered:
            if new:
                raise NotAsRememberedError
            check_remembered(session, spec, remembered.versions)
        merged = merge(
            session,
            spec,
            run,
            self.attempt.try_number,
            new=new,
            nothing_new=staged.staged == staged.remembered,
        )
        drop_stage(session, spec)
        result = self.attempt.result(
            spec.name,
            "loaded",
            extracted=staged.extracted,
            inserted=merged.inserted,
            updated=merged.updated,
            unchanged=staged.staged - repeated - merged.inserted - merged.updated,
            deleted=merged.deleted,
            rejected=rejected,
            repaired=staged.repaired,
            table_rows=merged.table_rows,
            bytes=place.size,
            fingerprint=place.fingerprint,
            spec_hash=_spec_hash(spec),
            source_columns=dict(extraction.columns),
            watermark=extraction.watermark,
        )
        store.write_table_run(session, result)
        if not (remembered and staged.remembered == staged.extracted and not merged.deleted):
            batches = memory.written() if memory is not None and not repeated else b""
            loaded_batches.write(session, spec.name, target=target_of(spec), way=this_way, batches=batches)
        return result

    def _check_rejects(self, session: BulkSession, extracted: int, rejected: int) -> None:
        from sluiceway.load.rejects import SAMPLE

        allowed = self.spec.checks.rejects_allowed(extracted)
        if rejected <= allowed:
            return
        self.attempt.rejected = rejected
        self.attempt.sample = store.rejects(session, self.attempt.result(self.spec.name, "failed"), limit=SAMPLE)
        first = self.attempt.sample[0]
        raise TooManyRejectsError(
            f"{self.spec.name}: {rejected:,} of {extracted:,} rows cannot be loaded and checks.max_rejects allows "
            f"{allowed:,}. The first: row {first.row_number}: {first.reason}. Nothing was changed."
        )


def _prepare(session: BulkSession, spec: TableSpec) -> None:
    """One load of a table at a time, and settings on which the content key's text depends."""
    _name_session(session, spec)
    for statement in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "extra_float_digits = 1"):
        session.execute(sql.SQL("SET LOCAL " + statement))
    # the size of a temporary table is a guess: compiling a statement took 2 s, and running it as long without
    for statement in ("work_mem = '64MB'", "jit = off"):
        session.execute(sql.SQL("SET LOCAL " + statement))
    session.execute(
        sql.SQL("SELECT pg_advisory_xact_lock(hashtext({}))::text AS locked").format(
            sql.Literal(f"sluiceway.load.{spec.name}")
        )
    )


def _name_session(session: Session, spec: TableSpec) -> None:
    """By this name people find a load that waits, and cleanup_staging the sessions of lost workers."""
    session.execute(sql.SQL("SET LOCAL application_name = {}").format(sql.Literal(f"sluiceway load {spec.name}"[:63])))


def _check_drift(spec: TableSpec, extraction: Extraction, last: TableRun | None) -> None:
    """A declared column whose kind of value changed since the last load of this very spec is an error."""
    before = (last.source_columns or {}) if last is not None and last.spec_hash == _spec_hash(spec) else {}
    if not before:
        return
    declared = {str(source) for name in spec.columns for source in spec.source_names(name)}
    retyped = [
        f"column {name!r} held {before[name]} and now holds {kind}"
        for name, kind in extraction.columns.items()
        if name in declared and before.get(name, kind) != kind
    ]
    if retyped:
        raise SchemaDriftError(f"{spec.name}: {'; '.join(retyped)}. Adapt [columns] or the source.")
    added = sorted(set(extraction.columns) - set(before))
    if added:
        log.warning("%s: the source has new columns, which are not loaded: %s", spec.name, ", ".join(added))


def _check_extracted(spec: TableSpec, extracted: int, last: TableRun | None) -> None:
    if extracted < spec.checks.min_rows:
        found = f"only {extracted:,} row{'s' if extracted != 1 else ''}" if extracted else "no rows"
        raise EmptyExtractionError(
            f"{spec.name}: the source gave {found}, checks.min_rows is {spec.checks.min_rows:,}. Nothing was changed."
        )
    if last is not None and extracted < last.extracted * (1 - spec.checks.max_shrink):
        raise ShrunkExtractionError(
            f"{spec.name}: the source gave {extracted:,} rows and {last.extracted:,} at the last good load "
            f"({last.key}), a fall of more than checks.max_shrink = {spec.checks.max_shrink:g}. Nothing was "
            f"changed. If that is right, raise max_shrink for one load."
        )


def _write_spool(session: BulkSession, spec: TableSpec, attempt: _Attempt, spool: RejectSpool) -> None:
    if not spool.count:
        return
    session.ingest("etl_stage_reject", spool.reader())
    session.execute(
        sql.SQL(
            'INSERT INTO etl.reject (dag_id, run_id, table_name, try_number, row_number, column_name, reason, "row") '
            'SELECT {}, {}, {}, {}, row_number, column_name, reason, "row"::jsonb FROM etl_stage_reject'
        ).format(*map(sql.Literal, (*attempt.run, spec.name, attempt.try_number)))
    )


def _record_failure(spec: TableSpec, url: str, error: SluicewayError, attempt: _Attempt) -> None:
    """Write the failure in a transaction of its own: the table's is rolled back."""
    result = attempt.result(
        spec.name,
        "failed",
        extracted=attempt.extracted,
        rejected=attempt.rejected,
        error_type=type(error).__name__,
        error=str(error),
    )
    try:
        with connect(url) as ledger:
            store.begin_table(ledger, attempt.run, spec.name, attempt.try_number)
            store.write_table_run(ledger, result)
            store.write_rejects(ledger, attempt.run, spec.name, attempt.try_number, attempt.sample)
    except SluicewayError:
        # the first error is the one to show; the verdict sees a table that never reported
        log.exception("%s: the failure could not be written into the ledger", spec.name)
