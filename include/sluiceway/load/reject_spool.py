"""Rejects on their way to etl.reject: spooled to a temporary file, so that a million of them cost no memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.ledger.rejects import Reject
from sluiceway.load.stage_table import KEY_PREFIX

if TYPE_CHECKING:
    from sluiceway.load.session import BulkSession

SAMPLE = 100
"""Rejects of a table that failed are kept up to this many: its transaction, with all of them, is rolled back."""

SCHEMA = pa.schema(
    [("row_number", pa.int64()), ("column_name", pa.string()), ("reason", pa.string()), ("row", pa.string())]
)
LAST_YEAR = 9999
"""A moment of a later year, or of one before the first, has no spelling that all agree on."""

Key = dict[str, int | bool | str]
"""Key column -> value as the warehouse would hold it: integers and booleans as such, all else as text."""


class RejectSpool:
    """Collects rejects in order and hands them over once."""

    def __init__(self, sample: list[Reject], key: Sequence[str] = ()) -> None:
        """Make an empty one.

        :param sample: takes a copy of the first rejects, for a table that fails.
        :param key: the columns of the table's key; none where a row's content is its key.
        """
        self.count = 0
        self.without_key = 0
        """Of how many the key cannot be read."""
        self._sample = sample
        self._key = {f"{KEY_PREFIX}{number}": name for number, name in enumerate(key)}
        self._schema = pa.schema([*SCHEMA, *((name, pa.string()) for name in self._key)])
        self._file = tempfile.TemporaryFile(prefix="sluiceway-rejects-")  # noqa: SIM115  # closed in close()
        self._writer = pa.ipc.new_stream(self._file, self._schema)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Keep these rejects; `row` must hold JSON values only."""
        rows = list(rejects)
        if not rows:
            return
        self.count += len(rows)
        self.without_key += sum(reject.key is None for reject in rows)
        self._sample += rows[: SAMPLE - len(self._sample)]
        self._writer.write_batch(pa.RecordBatch.from_pylist([self._values(reject) for reject in rows], self._schema))

    def _values(self, reject: Reject) -> dict[str, object]:
        key = reject.key or {}
        texts = {column: str(key[name]) if name in key else None for column, name in self._key.items()}
        return {**reject.model_dump(exclude={"row", "key"}), "row": json.dumps(reject.row), **texts}

    def reader(self) -> pa.RecordBatchReader:
        """All rejects as Arrow batches: the columns of SCHEMA, then the key's."""
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def hand_over(self, session: BulkSession, table: str) -> None:
        """Bring all of them into a new temporary table."""
        session.ingest(table, self.reader())

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def json_row(batch: pa.RecordBatch, index: int) -> dict[str, object]:
    """One row of a source's batch as JSON values: bytes (a geometry's WKB) as hex, times and decimals as text."""
    row: dict[str, object] = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        value = of_python(values, index)
        if isinstance(value, bytes):
            value = value.hex()
        elif value is not None and not isinstance(value, str | int | bool):
            value = str(value)
        # jsonb cannot hold the character 0
        row[name] = value.replace("\0", "\ufffd") if isinstance(value, str) else value
    return row


def of_python(values: pa.Array, index: int) -> Any:
    """One value of a column; a day or a moment that Python does not know as its text."""
    try:
        return values[index].as_py()
    except OverflowError:
        return values.slice(index, 1).cast(pa.string())[0].as_py()


def keys_of(typed: pa.RecordBatch, key: Sequence[str], rows: Sequence[int]) -> list[Key | None]:
    """The keys of these rows of a batch after the cast; None where a part of one is null, not cast or not computed."""
    if not set(key) <= set(typed.schema.names) or not key:
        return [None] * len(rows)
    taken = typed.select(list(key)).take(pa.array(rows, pa.int64()))
    columns = [_spelled(column) for column in taken.columns]
    found = (dict(zip(key, values, strict=True)) for values in zip(*columns, strict=True))
    return [None if None in each.values() else each for each in found]


def _spelled(values: pa.Array) -> list[int | bool | str | None]:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return list(values.to_pylist())
    if pa.types.is_temporal(kind):
        year = pc.year(values)
        known = pc.and_(pc.greater_equal(year, 1), pc.less_equal(year, LAST_YEAR))
        values = pc.if_else(known, values, pa.scalar(None, kind))
    return list(values.cast(pa.string()).to_pylist())


def iter_rejects(
    batch: pa.RecordBatch,
    numbers: Iterable[int],
    reasons: dict[int, list[tuple[str, str]]],
    keys: Sequence[Key | None],
) -> Iterator[Reject]:
    """The rejects of one batch by row: each with all its reasons, under the first one's column.

    :param keys: of the rows that have reasons, in their order.
    """
    numbered = list(numbers)
    for (index, found), key in zip(sorted(reasons.items()), keys, strict=True):
        yield Reject(
            row_number=int(numbered[index]),
            column_name=found[0][0],
            reason="; ".join(f"{column}: {reason}" for column, reason in found),
            row=json_row(batch, index),
            key=key,
        )
