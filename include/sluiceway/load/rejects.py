"""Rejects on their way to etl.reject: spooled to a temporary file, so that a million of them cost no memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator

import pyarrow as pa

from sluiceway.ledger.store import Reject

SAMPLE = 100
"""Rejects of a table that failed are kept up to this many: its transaction, with all of them, is rolled back."""

SCHEMA = pa.schema(
    [("row_number", pa.int64()), ("column_name", pa.string()), ("reason", pa.string()), ("row", pa.string())]
)


class RejectSpool:
    """Collects rejects in order and hands them over once."""

    def __init__(self, sample: list[Reject]) -> None:
        """:param sample: takes a copy of the first rejects, for a table that fails."""
        self.count = 0
        self._sample = sample
        self._file = tempfile.TemporaryFile(prefix="sluiceway-rejects-")  # noqa: SIM115  # closed in close()
        self._writer = pa.ipc.new_stream(self._file, SCHEMA)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Keep these rejects; `row` must hold JSON values only."""
        rows = list(rejects)
        if not rows:
            return
        self.count += len(rows)
        self._sample += rows[: SAMPLE - len(self._sample)]
        self._writer.write_batch(
            pa.RecordBatch.from_pylist(
                [{**reject.model_dump(exclude={"row"}), "row": json.dumps(reject.row)} for reject in rows], SCHEMA
            )
        )

    def reader(self) -> pa.RecordBatchReader:
        """All rejects as Arrow batches of SCHEMA."""
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def json_row(batch: pa.RecordBatch, index: int) -> dict[str, object]:
    """One row of a source's batch as JSON values: bytes (a geometry's WKB) as hex, times and decimals as text."""
    row: dict[str, object] = {}
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        value = values[index].as_py()
        if isinstance(value, bytes):
            value = value.hex()
        elif value is not None and not isinstance(value, str | int | bool):
            value = str(value)
        # jsonb cannot hold the character 0
        row[name] = value.replace("\0", "\ufffd") if isinstance(value, str) else value
    return row


def iter_rejects(
    batch: pa.RecordBatch, numbers: Iterable[int], reasons: dict[int, list[tuple[str, str]]]
) -> Iterator[Reject]:
    """The rejects of one batch by row: each with all its reasons, under the first one's column."""
    numbered = list(numbers)
    for index, found in sorted(reasons.items()):
        yield Reject(
            row_number=int(numbered[index]),
            column_name=found[0][0],
            reason="; ".join(f"{column}: {reason}" for column, reason in found),
            row=json_row(batch, index),
        )
