"""Streams an extraction into the temporary staging table by COPY: cast, cleaned and numbered on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sluiceway.errors import SluicewayError
from sluiceway.ledger.store import Reject
from sluiceway.load.cast import Caster
from sluiceway.load.merge import ROW_NUMBER, STAGE
from sluiceway.load.rejects import RejectSpool, iter_rejects
from sluiceway.load.session import BulkSession
from sluiceway.sources.extraction import Extraction
from sluiceway.tables.spec import TableSpec


@dataclass
class Staged:
    """What reached the staging table. Counts of rows."""

    extracted: int = 0
    staged: int = 0
    repaired: int = 0


def stage(session: BulkSession, spec: TableSpec, extraction: Extraction, spool: RejectSpool) -> Staged:
    """Fill the staging table from `extraction`, and `spool` with what cannot be loaded.

    The staging table does not exist afterwards when nothing was extracted.

    :raises SchemaDriftError: a column holds no value of its declared type.
    """
    caster = Caster(spec)
    staged = Staged()
    failure: list[SluicewayError] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        # an error that passes through the driver's C stream comes out as text: keep the real one
        try:
            yield from _typed_batches(spec, extraction, caster, spool, staged)
        except SluicewayError as error:
            failure.append(error)
            raise

    try:
        batches = guarded()
        first = next(batches, None)
        if first is not None:
            try:
                staged.staged = session.ingest(
                    STAGE, pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))
                )
            except SluicewayError:
                if failure:
                    raise failure[0] from None
                raise
    finally:
        caster.close()
    spool.add(
        Reject(row_number=bad.row_number, column_name=None, reason=bad.reason, row={"text": bad.text})
        for bad in extraction.unreadable
    )
    staged.extracted += len(extraction.unreadable)
    caster.check_types()
    return staged


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _typed_batches(
    spec: TableSpec, extraction: Extraction, caster: Caster, spool: RejectSpool, staged: Staged
) -> Iterator[pa.RecordBatch]:
    cleaner = None
    if spec.geometry is not None:
        # shapely, pyproj and their data are only loaded for tables with a geometry
        from sluiceway.load.geometry import GeometryCleaner

        cleaner = GeometryCleaner(spec, spec.geometry, extraction.crs)
    next_number = 1
    for raw in extraction.batches:
        numbers = _numbers(next_number, raw.num_rows, {bad.row_number for bad in extraction.unreadable})
        next_number = int(numbers[-1]) + 1
        staged.extracted += raw.num_rows
        typed, reasons = caster.cast(raw)
        columns = {ROW_NUMBER: _int64(numbers), **dict(zip(typed.schema.names, typed.columns, strict=True))}
        if cleaner is not None:
            name = cleaner.geometry.column
            cleaned = cleaner.clean(raw.column(name))
            columns[name] = cleaned.wkb
            staged.repaired += cleaned.repaired
            for index, reason in cleaned.reasons.items():
                reasons.setdefault(index, []).append((name, reason))
        batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        if reasons:
            spool.add(iter_rejects(raw, numbers, reasons))
            keep = np.ones(raw.num_rows, dtype=bool)
            keep[list(reasons)] = False
            batch = batch.filter(pa.array(keep))
        yield batch


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
