"""Streams an extraction into the staging table by COPY: cast, cleaned and numbered on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sluiceway.errors import SchemaDriftError
from sluiceway.ledger.rejects import Reject
from sluiceway.load import whereabouts
from sluiceway.load.cast import Caster, texts_to_null
from sluiceway.load.failing import Failing
from sluiceway.load.loaded_batches import LoadedBatches, digest
from sluiceway.load.pipeline import hand_over, read_ahead
from sluiceway.load.reject_spool import RejectSpool, iter_rejects, keys_of
from sluiceway.load.session import BulkSession
from sluiceway.load.stage_table import (
    REMEMBERED,
    ROW_NUMBER,
    NotAsRememberedError,
    StageName,
    create_stage,
    stage_name,
)
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.first_load import FirstLoad
    from sluiceway.load.geometry.cleaner import GeometryCleaner
    from sluiceway.load.value_checks import ValueChecks

Progress = Callable[[int, int | None], None]
"""Rows so far, and of how many if that is known."""
Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class Staged:
    """What reached the staging table. Counts of rows."""

    extracted: int = 0
    staged: int = 0
    repaired: int = 0
    remembered: int = 0
    """Rows whose keys alone are there."""
    values: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """As Caster's."""
    failing: Failing = field(default_factory=Failing)
    """Rows that are rejects, and end the load."""


def stage(
    session: BulkSession,
    spec: TableSpec,
    extraction: Extraction,
    spool: RejectSpool,
    progress: Progress,
    memory: LoadedBatches | None = None,
    part: StageName | None = None,
    first: FirstLoad | None = None,
) -> Staged:
    """Fill the staging table from `extraction`, and `spool` with what cannot be loaded.

    :param progress: told after every batch how many rows were extracted so far, and of how many if that is known.
    :param memory: what the last load has loaded; it learns what this one does. None: for nothing to be remembered.
    :param part: the table of a part of a load, of whose columns' types only the sum of the parts can tell.
    :param first: fills the new warehouse table itself.
    :raises SchemaDriftError: a column holds no value of its declared type.
    :raises NotAsRememberedError: the same, but some batches were only remembered.
    """
    staged = Staged()
    # what is computed comes once all rows are there
    spec = spec.given()
    if first is not None:
        first.create(session)
    else:
        create_stage(session, spec, part.identifier if part else None)
    name, to = (part.name, {"schema": part.schema}) if part else (spec.name if first else stage_name(spec), {})
    with (
        closing(Caster(spec, staged.failures, staged.values)) as caster,
        read_ahead(_raw_batches(spec, extraction)) as raw_batches,
    ):
        batches = _Typing(spec, extraction, caster, spool, staged, memory).batches(raw_batches, progress)
        if first is not None:
            batches = (first.rows(batch, caster) for batch in batches)
        begin = next(batches, None)
        if begin is not None:
            schema = begin.schema
            staged.staged = hand_over(
                chain((begin,), batches),
                lambda ready: session.append(name, pa.RecordBatchReader.from_batches(schema, ready), **to),
            )
        if part is not None:
            return staged
        try:
            caster.check_types()
        except SchemaDriftError as error:
            if staged.remembered:
                raise NotAsRememberedError from error
            raise
    return staged


def loadable(spec: TableSpec, extraction: Extraction, spool: RejectSpool, staged: Staged) -> Iterator[pa.RecordBatch]:
    """The rows that `stage` would hand over to the COPY, without a database; fills `spool` and `staged` on the way.

    :raises SchemaDriftError: a column holds no value of its declared type.
    """
    spec = spec.given()
    with closing(Caster(spec)) as caster:
        typing = _Typing(spec, extraction, caster, spool, staged, None)
        yield from typing.batches(_raw_batches(spec, extraction), lambda rows, total: None)
        caster.check_types()


@dataclass
class _Typing:
    """Makes rows of the staging table from those of the source."""

    spec: TableSpec
    extraction: Extraction
    caster: Caster
    spool: RejectSpool
    staged: Staged
    memory: LoadedBatches | None
    _known_schema: pa.Schema | None = None

    def batches(self, raw_batches: Iterator[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
        next_number = 1
        unreadable: set[int] = set()
        for raw in raw_batches:
            unreadable |= _spool_unreadable(self.extraction, self.spool, self.staged)
            if self.extraction.row_numbers is not None:
                numbers = self.extraction.row_numbers[self.staged.extracted :][: raw.num_rows]
            else:
                numbers = _numbers(next_number, raw.num_rows, unreadable)
            next_number = int(numbers[-1]) + 1
            whereabouts.takes_in_hand(int(numbers[0]), int(numbers[-1]))
            unreadable = {number for number in unreadable if number >= next_number}
            self.staged.extracted += raw.num_rows
            ready = self._ready(raw, numbers)
            whereabouts.lets_go()
            progress(self.staged.extracted, self.extraction.total_rows)
            yield ready
        _spool_unreadable(self.extraction, self.spool, self.staged)

    def _ready(self, raw: pa.RecordBatch, numbers: Numbers) -> pa.RecordBatch:
        if self.memory is None:
            return self._typed(raw, numbers)
        known = digest(raw, self.extraction.crs)
        repaired = self.memory.known.get(known)
        if repaired is not None:
            self.memory.seen[known] = repaired
            self.staged.repaired += repaired
            self.staged.remembered += raw.num_rows
            return self._keys_alone(raw, numbers)
        repaired, rejected = self.staged.repaired, self.spool.count
        ready = self._typed(raw, numbers)
        if self.spool.count == rejected:
            self.memory.seen[known] = self.staged.repaired - repaired
        return ready

    def _typed(self, raw: pa.RecordBatch, numbers: Numbers) -> pa.RecordBatch:
        typed, reasons = self.caster.cast(raw)
        columns = {ROW_NUMBER: _int64(numbers), REMEMBERED: _all(len(numbers), value=False)}
        columns |= dict(zip(typed.schema.names, typed.columns, strict=True))
        if self._cleaner is not None:
            name = self._cleaner.geometry.column
            cleaned = self._cleaner.clean(raw)
            columns[name] = cleaned.wkb
            self.staged.repaired += cleaned.repaired
            for index, reason in cleaned.reasons.items():
                reasons.setdefault(index, []).append((name, reason))
        if self._checks is not None:
            self._checks.look(typed, numbers, self.caster, reasons, self.staged.failing)
        good = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        if reasons:
            key = () if self.spec.key == "content" else self.spec.key
            rejects = iter_rejects(raw, numbers, reasons, keys_of(typed, key, sorted(reasons)))
            rows_from = self.extraction.rows_from
            self.spool.add(rejects if rows_from is None else _with_file(rejects, rows_from))
            keep = np.ones(raw.num_rows, dtype=bool)
            keep[list(reasons)] = False
            good = good.filter(pa.array(keep))
        return good

    @cached_property
    def _cleaner(self) -> GeometryCleaner | None:
        if self.spec.geometry is None:
            return None
        # shapely, pyproj and their data are only loaded for tables with a geometry
        from sluiceway.load.geometry.cleaner import GeometryCleaner

        return GeometryCleaner(self.spec, self.spec.geometry, self.extraction.crs)

    @cached_property
    def _checks(self) -> ValueChecks | None:
        given = self.spec.given()
        if not any(given.checks.rules("accepted", "range", "pattern")):
            return None
        from sluiceway.load.value_checks import ValueChecks

        return ValueChecks(given)

    def _keys_alone(self, raw: pa.RecordBatch, numbers: Numbers) -> pa.RecordBatch:
        keys = self.caster.keys(raw)
        columns = {ROW_NUMBER: _int64(numbers), REMEMBERED: _all(len(numbers), value=True)}
        columns |= dict(zip(keys.schema.names, keys.columns, strict=True))
        schema = self._schema(raw)
        return pa.RecordBatch.from_arrays(
            [columns[each.name] if each.name in columns else pa.nulls(len(numbers), each.type) for each in schema],
            schema=schema,
        )

    def _schema(self, raw: pa.RecordBatch) -> pa.Schema:
        """Of a batch of the staging table."""
        if self._known_schema is None:
            self._known_schema = self._typed(raw.slice(0, 0), np.empty(0, dtype=np.int64)).schema
        return self._known_schema


def _raw_batches(spec: TableSpec, extraction: Extraction) -> Iterator[pa.RecordBatch]:
    batches = extraction.batches
    if spec.transform is not None:
        # pandas is only loaded for tables with a transform
        from sluiceway.load.transform import transformed

        batches = transformed(spec, spec.transform, extraction)
    rows, rows_from = 0, extraction.rows_from
    for batch in batches:
        if rows_from is not None and rows_from.now is not None and not rows_from.counts_rows:
            # a transform makes other rows: only here it is seen how many there are
            rows_from.go_on(rows)
        rows += batch.num_rows
        whereabouts.has_read(rows)
        yield texts_to_null(batch, spec)


def _spool_unreadable(extraction: Extraction, spool: RejectSpool, staged: Staged) -> set[int]:
    """Take over what the reader could not split since the last call, so that it does not pile up; its row numbers."""
    found = []
    while extraction.unreadable:
        # one by one: the reader's thread may add to them
        found.append(extraction.unreadable.pop(0))
    spool.add(
        Reject(row_number=bad.row_number, column_name=None, reason=bad.reason, row={"text": bad.text}) for bad in found
    )
    staged.extracted += len(found)
    return {bad.row_number for bad in found}


def _with_file(rejects: Iterator[Reject], rows_from: RowsFrom) -> Iterator[Reject]:
    for each in rejects:
        yield each.model_copy(update={"reason": f"{each.reason} ({rows_from.said(each.row_number or 1)})"})


def _numbers(start: int, count: int, unreadable: set[int]) -> Numbers:
    """Source row numbers of the next `count` readable rows; Arrow reports a block's unreadable ones before it."""
    if not unreadable:
        return np.arange(start, start + count, dtype=np.int64)
    taken = [number for number in unreadable if number >= start]
    numbers = np.arange(start, start + count + len(taken), dtype=np.int64)
    return numbers[~np.isin(numbers, taken)][:count]


def _int64(numbers: Numbers) -> pa.Array:
    # pa.array would import pandas: a second and 60 MB in every task
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def _all(count: int, *, value: bool) -> pa.Array:
    return pa.repeat(pa.scalar(value), count)
