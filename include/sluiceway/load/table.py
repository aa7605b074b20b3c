"""Loads one table: the way from its spec to a committed transaction and a ledger row."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from sluiceway.amounts import counted
from sluiceway.errors import SluicewayError, TooManyRejectsError
from sluiceway.ledger import loaded_batches, store
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.rejects import rejects_of
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.attempt import Attempt
from sluiceway.load.checks import check_drift, check_extracted, held_by_source
from sluiceway.load.files_read import FilesRead, files_read
from sluiceway.load.last_load import LastLoad, last_load, spec_hash
from sluiceway.load.notes import note
from sluiceway.load.progress_log import log_progress
from sluiceway.load.staged_parts import PartsRejects, StagedParts
from sluiceway.load.target import dataset_of
from sluiceway.load.transaction import prepare, turn
from sluiceway.load.unchanged import record_unchanged
from sluiceway.sources import module_of, open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.hashing import Hashed
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.ledger.loaded_batches import Remembered
    from sluiceway.load.bigquery.dataset import Dataset
    from sluiceway.load.first_load import FirstLoad
    from sluiceway.load.loaded_batches import LoadedBatches
    from sluiceway.load.merge import Merged
    from sluiceway.load.reject_spool import RejectSpool
    from sluiceway.load.rejected import RejectCounts
    from sluiceway.load.session import BulkSession
    from sluiceway.load.staging import Progress, Staged
    from sluiceway.sources.extraction import Extraction

log = logging.getLogger(__name__)


def load_table(
    spec: TableSpec,
    url: str,
    *,
    run: RunKey,
    try_number: int = 1,
    force: bool = False,
    connections: Connections = from_environment,
    progress: Progress | None = None,
    hashed: Future[Hashed] | None = None,
    from_parts: bool = False,
) -> TableRun:
    """Load one table in one transaction, or not at all, and write what happened into the ledger.

    The run's row must be open (store.open_run).

    :param url: postgresql:// URL of the warehouse.
    :param run: the run that loads it.
    :param try_number: which try of the run's task it is; each has a row of its own, with this number or a later one.
    :param force: load also when source, spec and LOAD_VERSION are those of the last good load.
    :param connections: finds what the source's connection holds.
    :param progress: told about every batch: rows so far, and of how many if known; by default the log tells it.
    :param hashed: what hash_ahead has begun for the spec's source.
    :param from_parts: take the parts that the run has planned for its source, where it has (load/parts.py).
    :raises SluicewayError: the table was not loaded; nothing of it was written, and the ledger says why.
    """
    attempt = Attempt(run, try_number)
    try:
        with turn(url, spec) as lock:
            parts = StagedParts.read(lock, run, spec) if from_parts else None
            # whose end was not heard is tried again: what is merged need not be loaded once more
            force = force and not (parts is not None and parts.are_merged)
            return _load_in_turn(spec, url, lock, attempt, force, connections, progress, hashed, parts)
    except SluicewayError as error:
        attempt.record_failure(url, spec.name, error)
        raise


def _load_in_turn(
    spec: TableSpec,
    url: str,
    lock: LockedSession,
    attempt: Attempt,
    force: bool,  # the arguments of load_table
    connections: Connections,
    progress: Progress | None,
    hashed: Future[Hashed] | None,
    parts: StagedParts | None,
) -> TableRun:
    attempt.number(lock, spec.name)
    with ThreadPoolExecutor(1, "ask and import") as threads:
        # while this thread hashes a local file, the ledger answers and what a load needs is imported
        dataset = dataset_of(spec, connections)
        asked = threads.submit(last_load, spec, lock, dataset, force=force)
        threads.submit(_import_for_load, spec, asked)
        # parts have read the source: it need only be what it was then
        known = (lambda: parts.fingerprint) if parts is not None else (lambda: asked.result().known)
        with located(spec.source, connections, known=known, hashed=hashed) as place:
            last = asked.result()
            if last.run is not None and last.known is not None and place.fingerprint == last.known:
                return record_unchanged(spec, lock, attempt, last.run, place)
            if parts is not None:
                parts.check(lock, place)
            read = files_read(spec, lock, place, last)
            if last.run is not None and not read.is_whole and not read.place.files:
                check_extracted(spec, read.rows_kept, last.run)
                return record_unchanged(spec, lock, attempt, last.run, place, read.notes)
            told = progress or log_progress(spec.name)
            load = _Load(spec, url, dataset, lock, last.run, attempt, told, parts, read)
            since = last.run.watermark if last.run is not None and last.intact else None
            result = load.run(place, connections, since=since)
            if result is None and last.run is not None:
                return record_unchanged(spec, lock, attempt, last.run, place)
            assert result is not None
            return result


def _import_for_load(spec: TableSpec, asked: Future[LastLoad]) -> None:
    """Half a second of imports; none for a table that is probably unchanged."""
    if asked.result().known is not None:
        return
    merge = "sluiceway.load.merge" if spec.target == "postgresql" else "sluiceway.load.bigquery.merge"
    modules = [module_of(spec.source.kind), "sluiceway.load.staging", merge]
    if spec.geometry is not None:
        modules.append("sluiceway.load.geometry.cleaner")
    for module in modules:
        import_module(module)


@dataclass
class _Load:
    """One load on its way."""

    spec: TableSpec
    url: str
    dataset: Dataset | None
    lock: LockedSession
    last: TableRun | None
    attempt: Attempt
    progress: Progress
    parts: StagedParts | None
    read: FilesRead

    def run(self, place: Place, connections: Connections, *, since: str | None) -> TableRun | None:
        """Load it in one transaction.

        :param since: where the last incremental load ended.
        :returns: None when an incremental source has nothing at all since then.
        """
        from sluiceway.load.stage_table import BeginAnewError
        from sluiceway.sources.formats.arrow import use_little_memory

        use_little_memory()
        try:
            return self._run(place, connections, since, cutting_short=self.parts is None)
        except BeginAnewError as reason:
            log.info("%s: %s", self.spec.name, reason)
        self.attempt.sample.clear()
        return self._run(place, connections, since, cutting_short=False)

    def _run(
        self, place: Place, connections: Connections, since: str | None, *, cutting_short: bool
    ) -> TableRun | None:
        from sluiceway.load.reject_spool import RejectSpool
        from sluiceway.load.session import bulk_session

        spool: RejectSpool | PartsRejects
        if self.parts is None:
            spool = RejectSpool(self.attempt.sample, () if self.spec.key == "content" else self.spec.key)
            opened = open_source(self.spec, self.read.place, connections, watermark=since)
        else:
            spool, opened = self.parts.rejects(), self.parts.opened()
        try:
            with (
                opened as extraction,
                bulk_session(self.url) as session,
            ):
                check_drift(self.spec, extraction.columns, self._columns_before())
                prepare(session, self.spec)
                store.begin_table(session, self.attempt.run, self.spec.name, self.attempt.try_number)
                result = self._fill(session, extraction, spool, place, since, cutting_short=cutting_short)
        finally:
            spool.close()
        if result is not None:
            log.info(
                "%s: %d extracted = %d inserted + %d updated + %d unchanged + %d rejected, in %.1f s",
                *(self.spec.name, result.extracted, result.inserted, result.updated, result.unchanged),
                *(result.rejected, result.seconds),
            )
        return result

    def _columns_before(self) -> Mapping[str, str]:
        """The source's columns at the last load, if that was of this very spec."""
        same = self.last is not None and self.last.spec_hash == spec_hash(self.spec)
        return (self.last.source_columns or {}) if same and self.last is not None else {}

    def _fill(
        self,
        session: BulkSession,
        extraction: Extraction,
        spool: RejectSpool | PartsRejects,
        place: Place,
        since: str | None,
        *,
        cutting_short: bool,
    ) -> TableRun | None:
        from sluiceway.load.first_load import first_load
        from sluiceway.load.loaded_batches import LoadedBatches, way
        from sluiceway.load.merge import target_of
        from sluiceway.load.rejected import RejectCounts, write_rejects
        from sluiceway.load.row_checks import Lost, check_null_shares, reject_staged
        from sluiceway.load.stage_table import drop_stage

        spec, run = self.spec, self.attempt.run
        this_way = way(spec_hash(spec))
        # only PostgreSQL says which transaction a row is of
        is_here = self.dataset is None
        is_whole = since is None and self.read.is_whole
        remembered = None
        if cutting_short and is_here and is_whole:
            remembered = loaded_batches.read(session, spec.name, target=target_of(spec), way=this_way)
        # a content key is made of all columns, a computed one of others: no row can be told by its key alone
        told_apart = set(spec.key_columns) <= set(spec.given().columns)
        remembers = is_whole and told_apart and is_here and not spec.checks.need_every_row()
        memory = LoadedBatches.of(remembered.batches if remembered else b"") if remembers else None
        first = first_load(session, spec, run) if cutting_short and is_whole else None
        staged = self._stage(session, extraction, spool, memory, first)
        self.attempt.extracted, self.attempt.rejected = staged.extracted, spool.count
        held = staged.extracted + self.read.rows_kept
        if since is None:
            check_extracted(spec, held, self.last)
        elif staged.extracted == 0:
            drop_stage(session, spec)
            return None
        if spool.count and self.parts is None:
            write_rejects(session, spec, run, self.attempt.try_number, spool)
        lost = Lost()
        if first is None:
            of_run = (session, spec, run, self.attempt.try_number)
            lost = reject_staged(*of_run, staged.failing, increment=not is_whole, rows_from=extraction.rows_from)
        rejects = RejectCounts(spool.count + lost.alone, spool.without_key + lost.without_key)
        rejected = rejects.count + lost.repeated
        self._check_rejects(session, staged, rejected, all_known=first is None)
        if first is not None:
            merged = first.finish(session, staged.staged)
        else:
            merged = self._merge(session, staged, remembered, rejects)
            drop_stage(session, spec)
        if not is_whole:
            check_null_shares(session, spec)
        if self.parts is not None:
            self.parts.done(session)
        result = self.attempt.result(
            spec.name,
            "loaded",
            extracted=staged.extracted,
            inserted=merged.inserted,
            updated=merged.updated,
            unchanged=staged.staged - lost.count - merged.inserted - merged.updated,
            deleted=merged.deleted,
            rejected=rejected,
            repaired=staged.repaired,
            table_rows=merged.table_rows,
            bytes=place.size,
            # of a file that was written to meanwhile nobody knows what was read: it is read again
            fingerprint=place.fingerprint if place.stands() else None,
            spec_hash=spec_hash(spec),
            source_columns={**({} if self.read.is_whole else self._columns_before()), **extraction.columns},
            watermark=extraction.watermark,
            source_rows=held_by_source(self.last, extracted=held if since is None else None, inserted=merged.inserted),
            note=note(spec, {**self.read.notes, **extraction.notes}, rejects.without_key),
        )
        # with the lock gone another load may have read a newer source meanwhile; with it here, that one comes later
        self.lock.check_held()
        self.attempt.is_written = True
        store.write_table_run(session, result)
        if is_here and (staged.remembered != staged.extracted or merged.deleted):
            batches = memory.written() if memory is not None and not lost.count else b""
            loaded_batches.write(session, spec.name, target=target_of(spec), way=this_way, batches=batches)
        self.read.remember(session, spec, extraction, staged.extracted)
        return result

    def _stage(
        self,
        session: BulkSession,
        extraction: Extraction,
        spool: RejectSpool | PartsRejects,
        memory: LoadedBatches | None,
        first: FirstLoad | None,
    ) -> Staged:
        """All rows into the staging table, or into the table itself."""
        from sluiceway.load.rejected import write_rejects
        from sluiceway.load.staging import stage

        if self.parts is None:
            spooled = cast("RejectSpool", spool)
            return stage(session, self.spec, extraction, spooled, self.progress, memory, first=first)
        if spool.count:
            write_rejects(session, self.spec, self.attempt.run, self.attempt.try_number, spool)
            self._take_sample(session)
        return self.parts.stage(session)

    def _merge(
        self,
        session: BulkSession,
        staged: Staged,
        remembered: Remembered | None,
        rejects: RejectCounts,
    ) -> Merged:
        """What is staged into the table, wherever that is."""
        spec, run = self.spec, self.attempt.run
        if self.dataset is not None:
            from sluiceway.load.bigquery.merge import merge_into

            return merge_into(
                self.dataset,
                session,
                run,
                self.attempt.try_number,
                check_turn=self.lock.check_held,
                rejects=rejects.count,
                without_key=rejects.without_key,
            )
        from sluiceway.load.merge import check_remembered, ensure_table, merge

        new = ensure_table(session, spec)
        if remembered and staged.remembered:
            check_remembered(session, spec, remembered.versions)
        return merge(
            session,
            spec,
            run,
            new=new,
            nothing_new=staged.staged == staged.remembered,
            rejects=rejects.count,
            without_key=rejects.without_key,
        )

    def _check_rejects(self, session: BulkSession, staged: Staged, rejected: int, *, all_known: bool) -> None:
        from sluiceway.load.failing import check_none_fails

        allowed = self.spec.checks.rejects_allowed(staged.extracted)
        if rejected <= allowed and not staged.failing.counts:
            return
        if not all_known:
            from sluiceway.load.first_load import FewRejectsKnownError

            raise FewRejectsKnownError
        self.attempt.rejected = rejected
        self._take_sample(session)
        check_none_fails(self.spec, staged.failing)
        first = self.attempt.sample[0]
        raise TooManyRejectsError(
            f"{self.spec.name}: {rejected:,} of {counted(staged.extracted, 'row')} cannot be loaded and "
            f"checks.max_rejects allows {allowed:,}. The first: row {first.row_number}: {first.reason}. Nothing was "
            f"changed."
        )

    def _take_sample(self, session: BulkSession) -> None:
        """For the case that all that was written is rolled back."""
        from sluiceway.load.reject_spool import SAMPLE

        self.attempt.sample = rejects_of(session, self.attempt.result(self.spec.name, "failed"), limit=SAMPLE)
