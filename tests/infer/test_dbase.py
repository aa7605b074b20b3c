"""Drafts of dBase files, alone and beside shapes, and what a load by them makes of values that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from tests.infer.drafted import Drafted
from tests.sources.formats.vector.dbase_cases import Field, write_shapes, write_table

ID = Field(b"ID", b"N", 5)


def table(path: Path, field: Field, *values: bytes, **other: int) -> Drafted:
    """The draft for a .dbf of an ID and one more column."""
    rows = [[str(number).encode(), value] for number, value in enumerate(values, 1)]
    write_table(path.with_suffix(".dbf"), [ID, field], rows, **other)
    return Drafted(path, path.parent / "drafted.toml")


def test_dates_that_are_none_are_texts_and_named(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "a.shp", 3)
    draft = table(path, Field(b"seen", b"D", 8), b"20201345", b"20200229", b"2020")
    assert draft.types["seen"] == "text"
    assert "a column of dates by its file, and some are no date, such as '2020', '20201345'" in draft.comment("seen")


def test_dates_are_dates(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", Field(b"seen", b"D", 8), b"20201231", b"")
    assert draft.types["seen"] == "date"


@pytest.mark.parametrize(
    ("width", "decimals", "values", "type_"),
    [
        (9, 0, (b"1", b"2"), "integer"),
        (18, 0, (b"123456789012345678", b"1"), "bigint"),
        (20, 0, (b"12345678901234567891", b"12345678901234567892"), "numeric(20,0)"),
        (19, 0, (b"1", b"2"), "numeric(19,0)"),
        (10, 0, (b"120.5", b"99"), "double precision"),
        (12, 2, (b"1.50", b"2.25"), "double precision"),
        (10, 0, (b"309,92", b"1,50"), "numeric"),
        (10, 0, (b"309,92", b"x"), "text"),
    ],
)
def test_numbers_are_numbers_of_all_their_digits(
    tmp_path: Path, width: int, decimals: int, values: tuple[bytes, ...], type_: str
) -> None:
    draft = table(tmp_path / "a.dbf", Field(b"dose", b"N", width, decimals), *values)
    assert draft.types["dose"] == type_
    assert draft.source.get("decimal", ".") == ("," if type_ == "numeric" else ".")


def test_what_stands_for_null_among_numbers_is_declared(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", Field(b"dose", b"N", 5), b"1", b"N/A", b"3")
    assert (draft.types["dose"], draft.source["null"]) == ("integer", ["N/A"])


def test_memos_without_their_file_are_left_out(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", Field(b"note", b"M", 10), b"         1")
    assert list(draft.types) == ["id"]
    assert "'note' is left out" in draft.text


def test_a_value_that_is_none_of_its_declared_type_is_a_reject_that_names_it(
    tmp_path: Path,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    draft = table(tmp_path / "a.dbf", Field(b"seen", b"D", 8), b"20201345", b"20200229", b"20200301")
    out = draft.out
    out.write_text(draft.text.replace('type = "text"', 'type = "date"').replace('seen = "text"', 'seen = "date"'))
    out.write_text(out.read_text() + "\n[checks]\nmax_rejects = 1\n")
    found = load_table(draft.spec, warehouse_url, run=open_run("r1"))
    assert (found.extracted, found.inserted, found.rejected) == (3, 2, 1)
    assert query("SELECT id, seen::text FROM drafted ORDER BY id") == [(2, "2020-02-29"), (3, "2020-03-01")]
    assert "'20201345' is no date" in str(query("SELECT reason FROM etl.reject")[0][0])


def test_two_long_numbers_stay_two(
    tmp_path: Path,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    given = (b"12345678901234567891", b"12345678901234567892")
    draft = table(tmp_path / "a.dbf", Field(b"apn", b"N", 20), *given)
    load_table(draft.spec, warehouse_url, run=open_run("r1"))
    assert query("SELECT apn FROM drafted ORDER BY apn") == [(Decimal(each.decode()),) for each in given]
