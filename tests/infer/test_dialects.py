"""Texts as agencies write them: blanks behind commas, stray quotes, lines of units, labels or widths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, SourceUnreadableError
from tests.infer.drafted import Drafted, drafted
from tests.sources.opened import opened


def rows(draft: Drafted) -> list[tuple[object, ...]]:
    with opened(draft.spec) as extraction:
        return [tuple(row.values()) for batch in extraction.batches for row in batch.to_pylist()]


def test_blanks_behind_commas_are_no_part_of_values(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", 'id, name, place\n1, "Roe, R", "5 Elm St, A"\n2, "Poe, P", plain\n')
    assert draft.source == {"skip_spaces": True}
    assert rows(draft) == [("1", "Roe, R", "5 Elm St, A"), ("2", "Poe, P", "plain")]


def test_blanks_behind_commas_without_quotes_make_no_names_with_blanks(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id, name\n1, x\n2, y\n")
    assert (draft.types, rows(draft)) == ({"id": "integer", "name": "text"}, [("1", "x"), ("2", "y")])


def test_a_blank_in_a_few_values_stays(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name\n1, x\n2,y\n3,z\n")
    assert (draft.source, rows(draft)[0]) == ({}, ("1", " x"))


STRAY = ['"Alto', 'said "yes"', '"Whole"', '3" tube']


@pytest.mark.parametrize("many", [1, 3_000])
def test_stray_quotes_of_a_text_without_quotes_stay(tmp_path: Path, many: int) -> None:
    lines = [f"t{number}\t{name}\t19{number % 90 + 10}" for number, name in enumerate(STRAY * many)]
    draft = drafted(tmp_path, "a.tsv", "id\ttitle\tyear\n" + "\n".join(lines) + "\n")
    assert draft.source["quote"] == "\x01"
    assert [row[1] for row in rows(draft)] == STRAY * many
    assert draft.types == {"id": "text", "title": "text", "year": "integer"}


def test_a_stray_quote_far_below_swallows_no_lines(tmp_path: Path) -> None:
    """The next quote ends a value some lines below, so that the records seem sound."""
    head = "".join(f"{number}\tplain text of some length\t5\n" for number in range(20_000))
    stray = '20000\t"Alto\t5\n20001\tx\t6\n20002\tBasso"\t7\n'
    draft = drafted(tmp_path, "a.tsv", "id\ttitle\tn\n" + head + stray)
    found = rows(draft)
    assert len(found) == 20_003
    assert found[-3:] == [("20000", '"Alto', "5"), ("20001", "x", "6"), ("20002", 'Basso"', "7")]
    assert "do not enclose" in draft.comment("quote")


def test_lines_within_quotes_stay_one_value(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", 'id,note\n1,"a, b\nc, d, e\nf"\n2,plain\n3,"g"\n')
    assert (draft.source, rows(draft)[0]) == ({}, ("1", "a, b\nc, d, e\nf"))


def test_a_file_of_quoted_values_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    lines = "".join(f'"{number}","x{number}"\n' for number in range(50))
    with pytest.raises(SourceUnreadableError, match="quote"):
        drafted(tmp_path, "a.csv", f'"id","name"\n{lines}"50","cut off here\n')


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (",mg/l,cfs", "units or labels: mg/l, cfs"),
        ("Well name,Lead,Flow at noon", "units or labels: Well name, Lead, Flow at noon"),
        ("8s,5n,7d", "widths: 8s, 5n, 7d"),
        (",(mm),", "units or labels: (mm)"),
    ],
)
def test_a_line_of_units_labels_or_widths_is_no_row(tmp_path: Path, below: str, said: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"# by the office\nwell,lead,flow\n{below}\nW1,1.5,20\nW2,2.25,30\nW3,3.5,40\n")
    assert draft.source["skip_below"] == 1
    assert said in draft.comment("skip_below")
    assert rows(draft) == [("W1", "1.5", "20"), ("W2", "2.25", "30"), ("W3", "3.5", "40")]
    assert {draft.types["lead"], draft.types["flow"]} <= {"integer", "double precision", "numeric"}


@pytest.mark.parametrize("first", ["W0,,", "W0,NA,N/A", "W0,missing,-", "W0,7,high", "W0,,high"])
def test_a_row_of_which_values_are_missing_stays_a_row(tmp_path: Path, first: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"well,lead,flow\n{first}\nW1,1.5,20\nW2,2.25,30\nW3,3.5,40\n")
    assert "skip_below" not in draft.source
    assert len(rows(draft)) == 4


def test_one_text_above_numbers_is_doubted_and_stays(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "well,flow\nW0,high\nW1,20\nW2,30\nW3,40\n")
    assert len(rows(draft)) == 4
    assert "if it does, set skip_below = 1" in draft.text


def test_texts_above_codes_are_rows(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "key,version\nroot,latest\nk1,v1\nk2,v2\nk3,v3\n")
    assert "skip_below" not in draft.source


@pytest.mark.parametrize(
    ("digits", "type_"),
    [
        ("cfcd208495d565ef66e7dff9f98764d{:x}", "text"),
        ("cfcd2084-95d5-65ef-66e7-dff9f98764d{:x}", "uuid"),
        ("{{cfcd2084-95d5-65ef-66e7-dff9f98764d{:x}}}", "uuid"),
    ],
)
def test_a_checksum_gets_no_dashes(tmp_path: Path, digits: str, type_: str) -> None:
    lines = "".join(f"{number},{digits.format(number)}\n" for number in range(10))
    assert drafted(tmp_path, "a.csv", f"id,sum\n{lines}").types["sum"] == type_


PAYMENTS = "Id,Amount,Name\n" + "".join(f"{number},{number}5,Vendor {number}\n" for number in range(1, 30))


def test_notes_below_rows_of_as_many_values_are_no_rows(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"{PAYMENTS},,\nSource: the ledger,,\nAs of 2024-06-30,,\n")
    assert (draft.source, len(rows(draft))) == ({"skip_footer": 3}, 29)
    assert draft.types == {"id": "integer", "amount": "integer", "name": "text"}
    said = "2 notes stand below the rows: 'Source: the ledger', 'As of 2024-06-30'; a file without them would lose"
    assert said in draft.comment("skip_footer")


def test_a_total_above_the_notes_stays_and_is_told(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"{PAYMENTS},,\nTotal,4350,\nSource: the ledger,,\n")
    assert (draft.source, len(rows(draft))) == ({"skip_footer": 1}, 31)
    told = "the last row begins with 'Total': if it is a total and no data and 1 blank record above it"
    assert f"{told}, set skip_footer = 3" in draft.comment("skip_footer")
    assert "# 1 row begins like a total, 'Total': loaded, and in sums." in draft.text


@pytest.mark.parametrize(
    ("delimiter", "below", "count"),
    [
        (",", "Note: as of May; revised\n", 1),
        (",", "\nSource: City; County\nPhone; 555\n", 2),
        (";", "Stand: Mai, geprueft\n", 1),
    ],
)
def test_the_notes_of_a_file_of_few_rows_give_no_delimiter(
    tmp_path: Path, delimiter: str, below: str, count: int
) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name\n1,Oak\n2,Elm\n".replace(",", delimiter) + below)
    assert rows(draft) == [("1", "Oak"), ("2", "Elm")]
    assert draft.source["skip_footer"] == count


@pytest.mark.parametrize("last", ["30,,\n", "Smith,,\n", "x,305,\n"])
def test_a_last_row_that_is_no_note_stays(tmp_path: Path, last: str) -> None:
    draft = drafted(tmp_path, "a.csv", PAYMENTS + last)
    assert (draft.source, len(rows(draft))) == ({}, 30)


def test_rows_without_a_value_hide_no_key_and_are_told(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"{PAYMENTS},,\n,,\n30,305,Vendor 30\n")
    assert (draft.data["key"], draft.data["checks"]) == ("id", {"max_rejects": 2})
    assert "2 of 32 rows cannot be loaded, such as row 30: id: is null" in draft.comment("max_rejects")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "id,name,city\n1,a,x\n2,b,y,extra\n3,c\n4,d,z\n",
            "',' divides lines into 2 to 4 values, so each line is taken",
        ),
        ("note\nfirst\nthen\n", ""),
        ("note, of one\nfirst\nthen, or\nlast\n", ""),
    ],
)
def test_lines_that_a_delimiter_divides_unevenly_are_doubted(tmp_path: Path, text: str, told: str) -> None:
    draft = drafted(tmp_path, "a.csv", text)
    assert len(draft.types) == 1
    assert told in draft.text
    assert bool(told) == ("divides lines" in draft.text)


def test_a_file_whose_name_is_no_text_is_no_draft(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"caf.*\.csv' is a name that is no UTF-8; rename the file"):
        drafted(tmp_path, os.fsdecode(b"caf\xe9.csv"), "id,v\n1,2\n")
