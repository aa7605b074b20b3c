"""Lines below a header and blanks before values are dropped alike, wherever the text is cut into chunks."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.formats import csv_text
from sluiceway.sources.formats.csv_lines import Below, Spaces
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened


def source(**keys: object) -> CsvSource:
    return CsvSource.model_validate({"kind": "csv", "uri": "a.csv", **keys})


def taken(stage: Below | Spaces, *chunks: bytes) -> bytes:
    return b"".join(stage.take(chunk, last=False) for chunk in chunks) + stage.take(b"", last=True)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_below_the_header_are_dropped(end: bytes) -> None:
    text = end.join([b"", b"id,n", b"", b"units,m", b"5s,5n", b"1,2", b"", b"3,4", b""])
    kept = end.join([b"", b"id,n", b"", b"1,2", b"", b"3,4", b""])
    for at in range(len(text) + 1):
        assert taken(Below(2), text[:at], text[at:]) == kept, at
    assert taken(Below(2), *(text[at : at + 1] for at in range(len(text)))) == kept


def test_a_header_alone_stays() -> None:
    assert taken(Below(1), b"id,n") == b"id,n"
    assert taken(Below(3), b"id,n\nx\ny") == b"id,n\n"


TEXT = b'id, name,  n\r\n1, "Roe, R" , 5\r\n 2,  "a ""b"", c\nd", x y \n3,,\n4, , "e"\n5,f "g", h'


def test_blanks_before_values_are_dropped_wherever_the_text_is_cut() -> None:
    kept = b'id,name,n\r\n1,"Roe, R" ,5\r\n2,"a ""b"", c\nd",x y \n3,,\n4,,"e"\n5,f "g",h'
    for at in range(len(TEXT) + 1):
        assert taken(Spaces(source()), TEXT[:at], TEXT[at:]) == kept, at
    assert taken(Spaces(source()), *(TEXT[at : at + 1] for at in range(len(TEXT)))) == kept


def test_values_are_those_of_pythons_reader() -> None:
    pick = random.Random(3)
    for _ in range(300):
        values = [["".join(pick.choices('a ,"\n', k=pick.randint(0, 6))) + "." for _ in range(3)] for _ in range(4)]
        written = io.StringIO()
        csv.writer(written, quoting=csv.QUOTE_ALL).writerows(values)
        spaced = written.getvalue().replace('","', '",  "')
        plain = taken(Spaces(source()), spaced.encode()).decode()
        assert list(csv.reader(io.StringIO(plain, newline=""))) == list(
            csv.reader(io.StringIO(spaced, newline=""), skipinitialspace=True)
        )


def test_a_value_that_has_begun_waits_for_nothing() -> None:
    stage = Spaces(source())
    assert stage.take(b'1, "', last=False) == b'1,"'
    assert [stage.take(b"x" * 400, last=False) for _ in range(3)] == [b"x" * 400] * 3
    assert stage.take(b'"', last=False) == b""
    assert stage.take(b'" , b",  c', last=False) == b'"" , b",c'
    assert stage.take(b", d", last=False) == b",d"


def test_blanks_behind_an_escaped_delimiter_are_of_the_value() -> None:
    text = b'1, a\\, b, "c\\", d", e\\\\, f'
    for at in range(len(text) + 1):
        assert taken(Spaces(source(escape="\\")), text[:at], text[at:]) == b'1,a\\, b,"c\\", d",e\\\\,f', at


@given(
    st.text('a, "#\n\r\\é', max_size=30),
    st.fixed_dictionaries(
        {},
        optional={
            "comment": st.sampled_from("#é"),
            "skip_spaces": st.just(True),
            "escape": st.just("\\"),
            "skip_below": st.integers(1, 2),
            "skip_lines": st.just(1),
        },
    ),
    st.integers(1, 5),
)
def test_text_is_the_same_in_chunks_of_any_size(text: str, keys: dict[str, object], chunk: int) -> None:
    whole = csv_text.CsvText(io.BytesIO(text.encode()), source(**keys))
    expected = whole.read(), whole.broken
    with mock.patch.object(csv_text, "CHUNK_BYTES", chunk):
        cut = csv_text.CsvText(io.BytesIO(text.encode()), source(**keys))
        assert (cut.read(), cut.broken) == expected


def spec(path: Path, **keys: object) -> TableSpec:
    return TableSpec.model_validate(
        {
            "name": "city",
            "description": "Cities",
            "key": "id",
            "source": {"kind": "csv", "uri": str(path), **keys},
            "columns": {"id": "integer", "name": "text"},
        }
    )


def test_a_file_is_read_without_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('# by the office\nid, name\nnumber, text\n1, "Roe, R"\n2, x, y\n3, "z"\n', encoding="utf-8")
    with opened(spec(path, comment="#", skip_below=1, skip_spaces=True)) as extraction:
        rows = [row for batch in extraction.batches for row in batch.to_pylist()]
    assert rows == [{"id": "1", "name": "Roe, R"}, {"id": "3", "name": "z"}]
    assert [(each.row_number, each.text) for each in extraction.unreadable] == [(2, "2,x,y")]


def test_a_line_within_quotes_is_no_comment_with_blanks_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id, name\n1, "a\n# b\nc"\n# d\n2, e\n', encoding="utf-8")
    with opened(spec(path, comment="#", skip_spaces=True)) as extraction:
        rows = [row for batch in extraction.batches for row in batch.to_pylist()]
    assert rows == [{"id": "1", "name": "a\n# b\nc"}, {"id": "2", "name": "e"}]


def test_among_comments_too_a_byte_that_is_no_text_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"# by the office\nid,name\n1,a\n2,b\n3,\xff\n")
    with (
        pytest.raises(SourceUnreadableError, match="in row 3, byte 0xff is no UTF-8"),
        opened(spec(path, comment="#")) as extraction,
    ):
        list(extraction.batches)


def test_a_quote_that_is_never_closed_is_an_error_with_blanks_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id, name\n1, "Roe\n2, x\n', encoding="utf-8")
    with (
        pytest.raises(SourceUnreadableError, match="a quote is opened and never closed"),
        opened(spec(path, skip_spaces=True)) as extraction,
    ):
        list(extraction.batches)
