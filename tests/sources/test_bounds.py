"""Each bound of a source holds exactly where its table's file says, and is named with what it allows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from sluiceway.errors import SourceTooLargeError
from sluiceway.sources import bounds
from sluiceway.sources.bounds import ROW_BYTES, bounded
from sluiceway.sources.connections import from_uri
from sluiceway.sources.extraction import Extraction
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

Handed = Callable[..., list[int]]


@pytest.fixture
def handed(write_spec: Callable[..., TableSpec]) -> Handed:
    """How many rows each batch had that is handed over, of a source that gives these."""

    def run(bound: str, *batches: pa.RecordBatch, size: int | None = None) -> list[int]:
        spec = write_spec(
            "city",
            f'description = "c"\nkey = "id"\ncolumns = {{ id = "text" }}\n'
            f'[source]\nkind = "csv"\nuri = "city.csv"\n{bound}\n',
        )
        extraction = Extraction(columns={"id": "text"}, batches=iter(()))

        def given() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                extraction.columns = {**extraction.columns, **dict.fromkeys(batch.schema.names, "text")}
                yield batch

        return [batch.num_rows for batch in bounded(spec, extraction, given(), "city.csv", size)]

    return run


def batch_of(values: list[Any], kind: pa.DataType | None = None, name: str = "id") -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values, kind)})


FOUR = (batch_of(["aa", "bbbb"]), batch_of(["c", "ddddd"]))


def test_columns_that_come_later_count_too(handed: Handed) -> None:
    """JSON says its keys as they come."""
    batches = [batch_of(["a"]), batch_of(["a"], name="more")]
    assert handed("max_columns = 2", *batches) == [1, 1]
    with pytest.raises(SourceTooLargeError, match=r"^city: city\.csv has 2 columns and source\.max_columns allows 1; "):
        handed("max_columns = 1", *batches)


def test_a_source_of_a_service_is_refused_before_it_is_asked_for_its_rows(
    write_spec: Callable[..., TableSpec], tmp_path: Path
) -> None:
    """Who drafts or previews a table may ask for none."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE city (id, name, more)")
    spec = write_spec(
        "city",
        'description = "c"\nkey = "id"\ncolumns = { id = "integer" }\n'
        '[source]\nkind = "sql"\nconnection = "shop"\nquery = "SELECT id, name, more FROM city"\nmax_columns = 2\n',
    )
    connections = {"shop": from_uri("shop", f"sqlite:///{tmp_path / 'shop.db'}")}
    with (
        pytest.raises(SourceTooLargeError, match=r"has 3 columns and source\.max_columns allows 2; raise it if right"),
        opened(spec, connections.__getitem__),
    ):
        pass


def test_a_row_more_than_max_rows_is_refused(handed: Handed) -> None:
    assert handed("max_rows = 4", *FOUR) == [2, 2]
    with pytest.raises(SourceTooLargeError, match=r"city\.csv has more than the 3 rows that source\.max_rows allows"):
        handed("max_rows = 3", *FOUR)


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.list_(pa.int8()), pa.large_list(pa.int8())],
    ids=str,
)
def test_the_longest_value_is_named_by_its_row_in_the_source_and_its_column(handed: Handed, kind: pa.DataType) -> None:
    values: list[list[Any]] = [["aa", None], ["c", "ddddd"]]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = [[each and [1] * len(each) for each in two] for two in values]
    batches = [batch_of(each, kind) for each in values]
    assert handed("max_value_bytes = 5", *batches) == [2, 2]
    said = "row 4, column 'id' holds a value of 5 bytes and source.max_value_bytes allows 4; raise it if right"
    with pytest.raises(SourceTooLargeError, match=re.escape(said)):
        handed("max_value_bytes = 4", *batches)


def test_numbers_and_nulls_are_no_long_values(handed: Handed) -> None:
    batches = [batch_of([1, 2, 3]), batch_of([None] * 9, pa.string()), batch_of([b"1234567"], pa.binary(7))]
    assert handed("max_value_bytes = 1", *batches) == [3, 9, 1]


@pytest.mark.parametrize("longest", ["", "max_value_bytes = 1\n"], ids=["within a value's bound", "beyond it"])
def test_a_batch_of_many_short_values_is_bounded_too(handed: Handed, longest: str) -> None:
    batches = batch_of(["a"] * 2), batch_of(["b"] * 9)
    size = batches[1].nbytes
    assert handed(f"{longest}max_batch_bytes = {size}", *batches) == [2, 9]
    said = rf"the rows from 3 on take {size} bytes at once and source\.max_batch_bytes allows {size - 1}"
    with pytest.raises(SourceTooLargeError, match=said):
        handed(f"{longest}max_batch_bytes = {size - 1}", *batches)


def test_a_small_file_may_become_max_ratio_times_as_much(handed: Handed, monkeypatch: pytest.MonkeyPatch) -> None:
    became = sum(each.nbytes + ROW_BYTES * each.num_rows for each in FOUR)
    said = rf"city\.csv has 1 byte and becomes more than {became} by row 4, and source\.max_ratio allows "
    assert handed("max_ratio = 1", *FOUR, size=1) == [2, 2], "so little is no bomb, however small its file"
    monkeypatch.setattr(bounds, "SMALL_BYTES", became)
    assert handed("max_ratio = 1", *FOUR, size=1) == [2, 2]
    monkeypatch.setattr(bounds, "SMALL_BYTES", became - 1)
    assert handed("max_ratio = 1", *FOUR) == [2, 2], "what is no file has no size"
    assert handed(f"max_ratio = {became}", *FOUR, size=1) == [2, 2]
    assert handed("max_ratio = 1", *FOUR, size=became) == [2, 2]
    with pytest.raises(SourceTooLargeError, match=said):
        handed(f"max_ratio = {became - 1}", *FOUR, size=1)


@pytest.mark.parametrize("late", [0, 1, 2], ids=["first", "second", "end"])
def test_reading_ends_when_max_seconds_are_over_also_at_its_end(
    handed: Handed, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    def time_passes(after: int, seconds: float) -> None:
        moments = iter([100.0] + [100.0] * after + [100.0 + seconds] * 9)
        monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    time_passes(late, 7)
    assert handed("max_seconds = 7", *FOUR) == [2, 2]
    time_passes(late, 8)
    assert handed("", *FOUR) == [2, 2], "by default it may take as long as it takes"
    time_passes(late, 8)
    with pytest.raises(SourceTooLargeError, match=r"city\.csv was not read within source\.max_seconds = 7"):
        handed("max_seconds = 7", *FOUR)
