"""Sheets of Excel as agencies write them: titles and blank lines above, groups and units, totals and notes below."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from sluiceway.errors import EmptyExtractionError, SourceTooLargeError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from tests.infer.drafted import Drafted, drafted

Query = Callable[..., list[tuple[object, ...]]]
Rows = Sequence[Sequence[Any]]
Sheet = Callable[..., Drafted]

NAMES = ["Site", "County", "Flow", "Depth"]
SITES: list[list[Any]] = [[f"S{n}", f"County {n % 7}", n / 4, n] for n in range(1, 30)]
BLANK: list[Any] = []


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    """The draft for a workbook of one sheet with these rows."""

    def make(rows: Rows, merged: Sequence[str] = (), formats: dict[str, str] | None = None) -> Drafted:
        book = openpyxl.Workbook()
        for row in rows:
            book.worksheets[0].append(list(row))
        for place in merged:
            book.worksheets[0].merge_cells(place)
        for cell, format_ in (formats or {}).items():
            book.worksheets[0][cell].number_format = format_
        buffer = io.BytesIO()
        book.save(buffer)
        return drafted(tmp_path, "site.xlsx", buffer.getvalue())

    return make


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[[Drafted], TableRun]:
    def run(draft: Drafted) -> TableRun:
        return load_table(draft.spec, warehouse_url, run=open_run("r1"))

    return run


@pytest.mark.parametrize(
    "above",
    [
        [],
        [["Report of sites"]],
        [BLANK, ["Report of sites"]],
        [["Report of sites"], BLANK],
        [["Report of sites"], BLANK, ["Agency, Division 4"], BLANK],
        [BLANK, BLANK, ["Report of sites"], BLANK, BLANK, ["Agency"]],
        [["Prepared by", "Agency"], ["Date", "2026-01-02"], BLANK],
    ],
)
def test_the_header_is_found_below_blank_and_title_lines(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query, above: Rows
) -> None:
    draft = sheet([*above, NAMES, *SITES])
    assert draft.source == ({"skip_lines": len(above)} if above else {})
    assert list(draft.types) == ["site", "county", "flow", "depth"]
    assert (load(draft).inserted, load(draft).rejected) == (29, 0)
    assert query("SELECT site, county, flow, depth FROM drafted WHERE depth = 7") == [("S7", "County 0", 1.75, 7)]
    if above:
        assert draft.comment("skip_lines").startswith("above the names: ")


def test_a_header_of_many_columns_is_found_where_rows_have_few_values(sheet: Sheet) -> None:
    names = [f"Measure {n}" for n in range(53)]
    rows = [[f"S{n}", *([None] * (n % 50)), n] for n in range(40)]
    draft = sheet([["Report"], BLANK, ["Agency"], ["Site", *names[1:]], *rows])
    assert draft.source == {"skip_lines": 3}
    assert list(draft.types)[:2] == ["site", "measure_1"]
    assert len(draft.types) == 53
    assert draft.comment("measure_52") == "has no value in any row"


def test_a_sheet_of_names_alone_is_drafted(sheet: Sheet) -> None:
    draft = sheet([["Report"], BLANK, NAMES])
    assert list(draft.types) == ["site", "county", "flow", "depth"]
    assert "The source has no rows" in draft.text


def test_what_stands_right_of_the_names_is_a_column(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query
) -> None:
    draft = sheet([NAMES[:2], *SITES])
    assert draft.types == {
        "site": "text",
        "county": "text",
        "column_3": "double precision",
        "column_4": "integer",
    }
    assert draft.comment("column_3") == draft.comment("column_4") == "the header has no name for it"
    assert load(draft).inserted == 29
    assert query("SELECT column_3, column_4 FROM drafted WHERE site = 'S7'") == [(1.75, 7)]


def test_two_names_of_eight_columns_are_the_header(sheet: Sheet) -> None:
    draft = sheet([NAMES[:2], *[[*row, "x", row[3] * 2, None, 1] for row in SITES]])
    assert list(draft.types) == ["site", "county", "column_3", "column_4", "column_5", "column_6", "column_8"]
    assert "'7' is left out: it has neither a name nor a value" in draft.text


@pytest.mark.parametrize("at", [2, 28, 900])
def test_a_value_of_one_longer_row_is_kept(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query, at: int
) -> None:
    rows = [[f"S{n}", n, *(["a note", 7] if n == at else [])] for n in range(1, 1_001)]
    draft = sheet([["Site", "Flow"], *rows])
    assert load(draft).inserted == 1_000
    assert query("SELECT site, column_3, column_4 FROM drafted WHERE column_3 IS NOT NULL") == [(f"S{at}", "a note", 7)]


def test_a_name_that_stands_twice_or_is_a_number_goes_by_its_position(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query
) -> None:
    draft = sheet([[None, "1", "Flow", "Flow", "2"], *[[f"S{n}", f"a{n}", n, n * 2, f"b{n}"] for n in range(9)]])
    assert load(draft).inserted == 9
    assert query("SELECT column_1, n_1, flow, flow_2, n_2 FROM drafted WHERE flow = 3") == [("S3", "a3", 3, 6, "b3")]


def test_names_in_two_lines_are_joined(sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query) -> None:
    rows = [[f"S{n}", n, n * 2, n * 3, n * 4] for n in range(1, 20)]
    above = [["Report"], BLANK, ["Site", "People", None, "Income", None], [None, "2010", "2020", "2010", "2020"]]
    draft = sheet([*above, *rows], ["B3:C3", "D3:E3"])
    assert draft.source == {"skip_lines": 4, "header": False}
    assert list(draft.types) == ["site", "people_2010", "people_2020", "income_2010", "income_2020"]
    assert "the names stand in two lines, the second one says '2010', '2020', '2010', ..." in draft.comment("header")
    assert (load(draft).inserted, load(draft).rejected) == (19, 0)
    assert query("SELECT people_2020, income_2010 FROM drafted WHERE site = 'S7'") == [(14, 21)]


def test_groups_above_whole_names_are_told(sheet: Sheet) -> None:
    draft = sheet([[None, None, "Measures", None], NAMES, *SITES], ["C1:D1"])
    assert (draft.source, list(draft.types)) == ({"skip_lines": 1}, ["site", "county", "flow", "depth"])
    assert draft.comment("skip_lines") == "above the names: 'Measures'"


def test_a_line_of_units_is_a_reject_and_numbers_are_numbers(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query
) -> None:
    draft = sheet([NAMES, [None, None, "m3/s", "m"], *SITES])
    assert draft.types == {"site": "text", "county": "text", "flow": "double precision", "depth": "integer"}
    assert "stands a line of units or other names, which is no row and a reject: 'm3/s', 'm'" in draft.text
    found = load(draft)
    assert (found.extracted, found.inserted, found.rejected) == (30, 29, 1)
    assert "flow: 'm3/s' is no double precision" in str(query("SELECT reason FROM etl.reject"))


@pytest.mark.parametrize(
    "rows",
    [
        [["S1", "C1", "n/a", 1], *SITES[1:]],
        [["S1", "C1", None, "none"], *SITES[1:]],
        [["S1", "C1", "n/a", "n/a"], *SITES[1:]],
        [[None, "C1", 1.5, 1], *SITES[1:]],
        [[f"S{n}", f"C{n}", f"note {n}", "x"] for n in range(20)],
    ],
)
def test_a_first_row_with_an_odd_value_is_a_row(sheet: Sheet, rows: Rows) -> None:
    draft = sheet([NAMES, *rows])
    assert draft.source.get("skip_lines") is None
    assert "line of units" not in draft.text
    assert "two lines" not in draft.text


def test_notes_below_the_rows_are_skipped_and_said_and_a_total_is_a_row(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query
) -> None:
    end = [["Total", None, 108.75, 435], BLANK, ["Source: Census Bureau"], ["* these are estimated values"]]
    draft = sheet([NAMES, *SITES, *end])
    assert draft.source == {"skip_footer": 2}
    remark = draft.comment("skip_footer")
    assert "2 notes stand below the rows: 'Source: Census Bureau', '* these are estimated values'" in remark
    assert "the last row begins with 'Total': if it is a total and no data, set skip_footer = 3" in remark
    assert "1 row begins like a total, 'Total'" in draft.text
    assert draft.types["depth"] == "integer"
    assert load(draft).inserted == 30
    assert query("SELECT depth FROM drafted WHERE site = 'Total'") == [(435,)]


@pytest.mark.parametrize("name", ["Yuba City", "Fontenay", "Anmore", "City of San Luis Obispo", "Stand Rock"])
def test_a_last_row_that_has_only_its_name_is_a_row(sheet: Sheet, name: str) -> None:
    draft = sheet([NAMES, *SITES, [name]])
    assert draft.source == {}
    assert f"1 row holds one value alone, {name!r}" in draft.text


@pytest.mark.parametrize(
    "note",
    [
        "Note 1: estimated",
        "* estimated",
        "1) estimated",
        "Quelle: Amt",
        "As of 2026-01-02",
        "These are all that there were.",
    ],
)
def test_a_note_below_the_rows_is_skipped(sheet: Sheet, note: str) -> None:
    draft = sheet([NAMES, *SITES, [note]])
    assert draft.source == {"skip_footer": 1}
    assert repr(note) in draft.comment("skip_footer")


def test_headings_among_the_rows_are_told_and_loaded(sheet: Sheet, load: Callable[[Drafted], TableRun]) -> None:
    draft = sheet([NAMES, *SITES[:9], ["Northern Region"], *SITES[9:20], ["Southern Region"], *SITES[20:]])
    assert "2 rows hold one value alone, 'Northern Region', 'Southern Region'" in draft.text
    assert load(draft).inserted == 31


def test_merged_cells_among_the_rows_are_told(sheet: Sheet) -> None:
    rows = [[row[0], f"C{n // 5}" if n % 5 == 0 else None, *row[2:]] for n, row in enumerate(SITES)]
    draft = sheet([["Report", None], NAMES, *rows], ["A1:D1", "B3:B7"])
    assert "Among the rows 1 group of cells is merged (B3:B7)" in draft.text


def test_zeros_that_a_number_format_shows_are_drafted(
    sheet: Sheet, load: Callable[[Drafted], TableRun], query: Query
) -> None:
    draft = sheet([["id", "area"], [1, 501], [2, 90210]], formats={"B2": "00000", "B3": "00000"})
    assert draft.types["area"] == "text"
    load(draft)
    assert query("SELECT area FROM drafted ORDER BY id") == [("00501",), ("90210",)]


def test_a_cell_far_to_the_right_is_refused_and_not_lost(sheet: Sheet) -> None:
    with pytest.raises(SourceTooLargeError, match=r"has 2,000 columns and source\.max_columns allows 1,600"):
        sheet([NAMES, *SITES, *([1] * 4 for _ in range(600)), [None] * 1_999 + ["x"]])


def test_an_empty_sheet_is_called_empty(sheet: Sheet) -> None:
    with pytest.raises(EmptyExtractionError, match=r"site\.xlsx is empty: it holds no record"):
        sheet([])
