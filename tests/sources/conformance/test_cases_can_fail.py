"""For each case a reader that does what the case is there to find, and is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sluiceway.errors import SchemaDriftError, SluicewayError, SourceUnavailableError, SourceUnreadableError
from sluiceway.ledger.store import RunKey
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.formats import csv
from sluiceway.sources.services import http_json
from tests.sources.conformance.cases import CASES, DECLARED, Trial
from tests.sources.conformance.kind import Bench
from tests.sources.conformance.kinds import kind_of

Patch = pytest.MonkeyPatch
FOUND = (AssertionError, pytest.fail.Exception, SluicewayError)
ROW = pa.RecordBatch.from_pylist([{"id": "1", "name": "a", "people": "2"}])


def csv_with(patch: Patch, change: Callable[[Extraction], None]) -> None:
    """A reader of CSV that hands over something else."""
    real = csv.open_csv

    @contextmanager
    def opener(*arguments: Any) -> Iterator[Extraction]:
        with real(*arguments) as extraction:
            change(extraction)
            yield extraction

    patch.setattr(csv, "open_csv", opener)


def batches_with(patch: Patch, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> None:
    def changed(extraction: Extraction) -> None:
        extraction.batches = map(change, extraction.batches)

    csv_with(patch, changed)


def column_with(patch: Patch, name: str, change: Callable[[pa.Array], pa.Array]) -> None:
    def changed(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        return pa.RecordBatch.from_pydict({**columns, name: change(columns[name])})

    batches_with(patch, changed)


def makes_a_row_of_nothing(patch: Patch) -> None:
    csv_with(patch, lambda extraction: setattr(extraction, "batches", iter([ROW])))


def keeps_its_own_order(patch: Patch) -> None:
    batches_with(patch, lambda batch: batch.select(batch.schema.names[::-1]))


def trims_texts(patch: Patch) -> None:
    column_with(patch, "name", pc.utf8_trim_whitespace)


def drops_bad_rows(patch: Patch) -> None:
    batches_with(patch, lambda batch: batch.filter(pc.fill_null(pc.not_equal(batch.column("people"), "many"), True)))


def tells_nothing_of_broken_records(patch: Patch) -> None:
    # the reader goes on to fill the list that nobody looks at any more
    csv_with(patch, lambda extraction: setattr(extraction, "unreadable", []))


def takes_all_texts_for_cyrillic(patch: Patch) -> None:
    real = csv.open_csv
    patch.setattr(
        csv, "open_csv", lambda spec, source, path: real(spec, source.model_copy(update={"encoding": "cp1251"}), path)
    )


def takes_drift_for_nothing(patch: Patch) -> None:
    real = csv.open_csv

    @contextmanager
    def opener(*arguments: Any) -> Iterator[Extraction]:
        try:
            with real(*arguments) as extraction:
                yield extraction
        except SchemaDriftError:
            yield Extraction(columns={}, batches=iter(()))

    patch.setattr(csv, "open_csv", opener)


def hides_what_is_not_declared(patch: Patch) -> None:
    csv_with(patch, lambda extraction: setattr(extraction, "columns", dict.fromkeys(DECLARED, "text")))


def goes_by_position(patch: Patch) -> None:
    patch.setattr(csv, "declared_positions", lambda spec, *_, **__: {name: at for at, name in enumerate(spec.columns)})


def makes_null_of_what_does_not_fit(patch: Patch) -> None:
    column_with(patch, "people", lambda values: pa.nulls(len(values), values.type))


def takes_a_lost_connection_for_the_end(patch: Patch) -> None:
    real = http_json._batches

    def batches(*given: Any) -> Iterator[pa.RecordBatch]:
        try:
            yield from real(*given)
        except SourceUnavailableError:
            return

    patch.setattr(http_json, "_batches", batches)


class Lenient:
    """A packed text that ends where it breaks off."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self._stream.read(1_000)
            except SourceUnreadableError:
                break
            if not part:
                break
            data += part
        return data


def takes_a_cut_for_the_end(patch: Patch) -> None:
    real = csv.open_bytes

    @contextmanager
    def opened(*arguments: Any) -> Iterator[Lenient]:
        with real(*arguments) as stream:
            yield Lenient(stream)

    patch.setattr(csv, "open_bytes", opened)


def turns_every_other_time(patch: Patch) -> None:
    times = iter(range(10))

    def turned(extraction: Extraction) -> None:
        if next(times) % 2:
            extraction.batches = (batch.take(pa.array([1, 0])) for batch in extraction.batches)

    csv_with(patch, turned)


BROKEN: dict[str, Callable[[Patch], None]] = {
    "empty": makes_a_row_of_nothing,
    "header_only": makes_a_row_of_nothing,
    "one_row": keeps_its_own_order,
    "spellings": trims_texts,
    "bad_row": drops_bad_rows,
    "broken_record": tells_nothing_of_broken_records,
    "wrong_encoding": takes_all_texts_for_cyrillic,
    "declared_encoding": takes_all_texts_for_cyrillic,
    "column_missing": takes_drift_for_nothing,
    "column_added": hides_what_is_not_declared,
    "columns_in_another_order": goes_by_position,
    "column_of_another_type": makes_null_of_what_does_not_fit,
    "lost_connection": takes_a_lost_connection_for_the_end,
    "cut_off": takes_a_cut_for_the_end,
    "two_passes": turns_every_other_time,
}
"""Case -> a fault of a reader of CSV; of APIs for the case that files have not."""


@pytest.mark.parametrize("case", CASES)
def test_a_broken_reader_is_found_by(
    case: str,
    bench: Bench,
    monkeypatch: Patch,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    kind = "http_json" if case == "lost_connection" else "csv"
    BROKEN[case](monkeypatch)
    with pytest.raises(FOUND):
        CASES[case].check(Trial(kind, kind_of(kind), bench, open_run, query))
