"""What a source may become while it is read, as its table's file says (`source.max_...`): told in one sentence.

A file of a few hundred bytes can stand for more memory than there is. Each reader looks before it unpacks; what all of
them hand over is counted here once more.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sized

import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.amounts import counted
from sluiceway.errors import SourceTooLargeError, quoted
from sluiceway.sources.extraction import Extraction, family
from sluiceway.tables.source_spec import MOST_COLUMNS, LocatedSource
from sluiceway.tables.spec import TableSpec

SMALL_BYTES = 32 << 20
"""What becomes no more than this is no bomb, however small it was."""
ROW_BYTES = 32
"""That a row takes wherever it is, besides its values."""


def check_columns(spec: TableSpec, columns: Sized, place: str) -> None:
    """Raises SourceTooLargeError when there are more than source.max_columns."""
    count, most = len(columns), spec.source.max_columns
    if count > most:
        why = f", as many as PostgreSQL takes in one table; a table of some of them may say max_columns = {count}"
        raise SourceTooLargeError(
            f"{spec.name}: {place} has {counted(count, 'column')} and source.max_columns allows {most:,}"
            f"{why if most == MOST_COLUMNS else '; raise it if right'}"
        )


def check_value(spec: TableSpec, size: int, place: str, what: str) -> None:
    """Raises SourceTooLargeError when `size` bytes are more than source.max_value_bytes.

    :param what: is so long; with its verb.
    """
    if size > spec.source.max_value_bytes:
        raise SourceTooLargeError(
            f"{spec.name}: {place}: {what} {size:,} bytes and source.max_value_bytes allows "
            f"{spec.source.max_value_bytes:,}; raise it if right"
        )


def value_too_long(spec: TableSpec, place: str, what: str) -> SourceTooLargeError:
    """For what is longer than source.max_value_bytes by nobody knows how much."""
    most = spec.source.max_value_bytes
    return SourceTooLargeError(
        f"{spec.name}: {place}: {what} is longer than source.max_value_bytes = {most:,}; raise it if right"
    )


def check_batch(spec: TableSpec, size: int, place: str, what: str) -> None:
    """Raises SourceTooLargeError when `size` bytes at once are more than source.max_batch_bytes.

    :param what: takes so much; with its verb.
    """
    if size > spec.source.max_batch_bytes:
        raise SourceTooLargeError(
            f"{spec.name}: {place}: {what} {size:,} bytes at once and source.max_batch_bytes allows "
            f"{spec.source.max_batch_bytes:,}; raise it if right"
        )


def check_rows(spec: TableSpec, rows: int, place: str) -> None:
    """Raises SourceTooLargeError when there are more than source.max_rows."""
    if rows > spec.source.max_rows:
        raise SourceTooLargeError(
            f"{spec.name}: {place} has more than the {counted(spec.source.max_rows, 'row')} that source.max_rows "
            f"allows; raise it if right"
        )


def check_ratio(spec: TableSpec, size: int, of: int, place: str, when: str) -> None:
    """Raises SourceTooLargeError when `of` bytes of a file become `size`, more than source.max_ratio times as much."""
    source = spec.source
    if isinstance(source, LocatedSource) and size > max(SMALL_BYTES, of * source.max_ratio):
        raise SourceTooLargeError(
            f"{spec.name}: {place} has {counted(of, 'byte')} and becomes more than {size:,} {when}, and "
            f"source.max_ratio allows {source.max_ratio:,} times as much; raise it if the file is no bomb"
        )


def check_seconds(spec: TableSpec, started: float, place: str) -> None:
    """Raises SourceTooLargeError when source.max_seconds are over.

    :param started: when the reading began, of time.monotonic().
    """
    most = spec.source.max_seconds
    if most is not None and time.monotonic() - started > most:
        raise SourceTooLargeError(
            f"{spec.name}: {place} was not read within source.max_seconds = {most:,}; raise it if right"
        )


def bounded(
    spec: TableSpec, extraction: Extraction, batches: Iterator[pa.RecordBatch], place: str, size: int | None
) -> Generator[pa.RecordBatch, None, None]:
    """The batches of an extraction, as far as its table's file allows.

    :param batches: of the extraction, which gets what this returns in their place.
    :param place: what to call the source in messages.
    :param size: bytes of its file.
    :raises SourceTooLargeError: it gives more.
    """
    started, rows, became = time.monotonic(), 0, 0
    while True:
        batch = next(batches, None)
        check_seconds(spec, started, place)
        if batch is None:
            return
        # JSON says its keys as they come
        check_columns(spec, extraction.columns, place)
        _check_batch_of(spec, batch, rows, place)
        rows += batch.num_rows
        check_rows(spec, rows, place)
        became += batch.nbytes + ROW_BYTES * batch.num_rows
        if size is not None:
            check_ratio(spec, became, size, place, f"by row {rows:,}")
        yield batch


def _check_batch_of(spec: TableSpec, batch: pa.RecordBatch, before: int, place: str) -> None:
    # a batch that is no longer than a value may be holds none that is too long
    if batch.nbytes > spec.source.max_value_bytes:
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if (longest := longest_value(values)) is not None and longest[1] > spec.source.max_value_bytes:
                where = f"row {before + longest[0] + 1:,}, column {quoted(name)}"
                check_value(spec, longest[1], place, f"{where} holds a value of")
    check_batch(spec, batch.nbytes, place, f"the rows from {before + 1:,} on take")


def longest_value(values: pa.Array) -> tuple[int, int] | None:
    """Which of the texts, bytes or lists is longest, and about how many bytes it has; None where there are none."""
    kind, each = values.type, 1.0
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inside = values.flatten()
        lengths, each = pc.list_value_length(values), inside.nbytes / max(1, len(inside))
    elif family(kind) in {"text", "binary"} and not pa.types.is_fixed_size_binary(kind):
        lengths = pc.binary_length(values)
    else:
        return None
    longest = pc.max(lengths).as_py()
    return None if longest is None else (pc.index(lengths, longest).as_py(), int(longest * each))
