"""Streams an extraction into the staging table by COPY: cast, cleaned and numbered on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from sluiceway.ledger.store import Reject
from sluiceway.load.cast import Caster, texts_to_null
from sluiceway.load.pipeline import hand_over, read_ahead
from sluiceway.load.proofs import Proofs
from sluiceway.load.rejects import RejectSpool, iter_rejects
from sluiceway.load.session import BulkSession
from sluiceway.load.stage_table import ROW_NUMBER, create_stage, stage_name
from sluiceway.sources.extraction import Extraction
from sluiceway.tables.spec import TableSpec

Progress = Callable[[int, int | None], None]
"""Rows so far, and of how many if that is known."""


@dataclass
class Staged:
    """What reached the staging table. Counts of rows."""

    extracted: int = 0
    staged: int = 0
    repaired: int = 0


def stage(
    session: BulkSession,
    spec: TableSpec,
    extraction: Extraction,
    spool: RejectSpool,
    progress: Progress,
    proofs: Proofs,
) -> Staged:
    """Fill the staging table from `extraction`, and `spool` with what cannot be loaded.

    :param progress: told after every batch how many rows were extracted so far, and of how many if that is known.
    :raises SchemaDriftError: a column holds no value of its declared type.
    """
    staged = Staged()
    create_stage(session, spec)
    with closing(Caster(spec)) as caster, read_ahead(_raw_batches(spec, extraction)) as raw_batches:
        batches = _typed_batches(spec, extraction, raw_batches, caster, spool, staged, progress, proofs)
        first = next(batches, None)
        if first is not None:
            schema = first.schema
            staged.staged = hand_over(
                chain((first,), batches),
                lambda ready: session.append(stage_name(spec), pa.RecordBatchReader.from_batches(schema, ready)),
            )
        caster.check_types()
    return staged


def loadable(spec: TableSpec, extraction: Extraction, spool: RejectSpool, staged: Staged) -> Iterator[pa.RecordBatch]:
    """The rows that `stage` would hand over to the COPY, without a database; fills `spool` and `staged` on the way.

    :raises SchemaDriftError: a column holds no value of its declared type.
    """
    with closing(Caster(spec)) as caster:
        batches = _raw_batches(spec, extraction)
        yield from _typed_batches(spec, extraction, batches, caster, spool, staged, lambda rows, total: None, Proofs())
        caster.check_types()


def _typed_batches(
    spec: TableSpec,
    extraction: Extraction,
    batches: Iterator[pa.RecordBatch],
    caster: Caster,
    spool: RejectSpool,
    staged: Staged,
    progress: Progress,
    proofs: Proofs,
) -> Iterator[pa.RecordBatch]:
    cleaner = None
    next_number = 1
    unreadable: set[int] = set()
    for raw in batches:
        if cleaner is None and spec.geometry is not None:
            # shapely, pyproj and their data are only loaded for tables with a geometry
            from sluiceway.load.geometry import GeometryCleaner

            cleaner = GeometryCleaner(spec, spec.geometry, extraction.crs, proofs)
        unreadable |= _spool_unreadable(extraction, spool, staged)
        numbers = _numbers(next_number, raw.num_rows, unreadable)
        next_number = int(numbers[-1]) + 1
        unreadable = {number for number in unreadable if number >= next_number}
        staged.extracted += raw.num_rows
        typed, reasons = caster.cast(raw)
        columns = {ROW_NUMBER: _int64(numbers), **dict(zip(typed.schema.names, typed.columns, strict=True))}
        if cleaner is not None:
            name = cleaner.geometry.column
            cleaned = cleaner.clean(raw)
            columns[name] = cleaned.wkb
            staged.repaired += cleaned.repaired
            for index, reason in cleaned.reasons.items():
                reasons.setdefault(index, []).append((name, reason))
        good = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        if reasons:
            spool.add(iter_rejects(raw, numbers, reasons))
            keep = np.ones(raw.num_rows, dtype=bool)
            keep[list(reasons)] = False
            good = good.filter(pa.array(keep))
        progress(staged.extracted, extraction.total_rows)
        yield good
    _spool_unreadable(extraction, spool, staged)


def _raw_batches(spec: TableSpec, extraction: Extraction) -> Iterator[pa.RecordBatch]:
    batches = extraction.batches
    if spec.transform is not None:
        # pandas is only loaded for tables with a transform
        from sluiceway.load.transform import transformed

        batches = transformed(spec, spec.transform, extraction)
    for batch in batches:
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


def _numbers(start: int, count: int, unreadable: set[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Source row numbers of the next `count` readable rows; Arrow reports a block's unreadable ones before it."""
    if not unreadable:
        return np.arange(start, start + count, dtype=np.int64)
    taken = [number for number in unreadable if number >= start]
    numbers = np.arange(start, start + count + len(taken), dtype=np.int64)
    return numbers[~np.isin(numbers, taken)][:count]


def _int64(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pa.Array:
    # pa.array would import pandas: a second and 60 MB in every task
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])
