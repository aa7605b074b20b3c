"""Delimited text: what the file says, and nothing else, is what comes out."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import ConfigError, SchemaDriftError, SourceMissingError, SourceUnreadableError
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.sources.extraction import Unreadable
from sluiceway.sources.formats import csv as csv_source
from sluiceway.sources.formats import csv_text
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]
Read = Callable[..., list[tuple[object, ...]]]
CSV = "id,name\n1,Ponce\n2,Caguas\n"


@pytest.fixture
def spec_of(write_spec: WriteSpec) -> Callable[..., TableSpec]:
    """A spec with columns id and name over one CSV file."""

    def make(content: str | bytes, *, file: str = "city.csv", options: str = "", columns: str = "") -> TableSpec:
        columns = columns or 'id = "integer"\nname = "text"'
        toml = (
            f'description = "Cities"\nkey = "id"\n[source]\nkind = "csv"\nuri = "{file}"\n{options}\n'
            f"[columns]\n{columns}\n"
        )
        return write_spec("city", toml, **{file: content})

    return make


@pytest.fixture
def read(spec_of: Callable[..., TableSpec]) -> Read:
    """The rows of one CSV file."""

    def run(content: str | bytes, **options: str) -> list[tuple[object, ...]]:
        return rows(spec_of(content, **options))

    return run


def rows(spec: TableSpec) -> list[tuple[object, ...]]:
    with opened(spec) as extraction:
        return [tuple(row.values()) for batch in extraction.batches for row in batch.to_pylist()]


def unreadable(spec: TableSpec) -> list[Unreadable]:
    with opened(spec) as extraction:
        list(extraction.batches)
        return extraction.unreadable


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


PONCE_CAGUAS = [("1", "Ponce"), ("2", "Caguas")]


def test_a_plain_file_gives_its_rows_as_text(read: Read) -> None:
    assert read(CSV) == PONCE_CAGUAS


def test_columns_come_in_the_specs_order_under_its_names(read: Read) -> None:
    columns = 'name = { source = "Name of city", type = "text" }\nid = "integer"'
    assert read("id,x,Name of city\n1,a,Ponce\n", columns=columns) == [("Ponce", "1")]


def test_a_gzip_file_gives_the_same_rows(read: Read) -> None:
    assert read(gzip.compress(CSV.encode()), file="city.csv.gz") == PONCE_CAGUAS


def test_a_zip_with_one_member_needs_no_member_named(read: Read) -> None:
    assert read(zipped(data__="", data__city="id,name\n1,Ponce\n2,Caguas\n"), file="city.zip") == PONCE_CAGUAS


def test_a_zip_with_several_members_lists_them(read: Read) -> None:
    with pytest.raises(
        SourceMissingError, match=r"city\.zip holds 2 files: a\.csv, b\.csv; name one as source\.member"
    ):
        read(zipped(**{"a.csv": CSV, "b.csv": "id,name\n"}), file="city.zip")


def test_a_named_member_of_a_zip_is_read(read: Read) -> None:
    content = zipped(**{"a.csv": "id,name\n9,Other\n", "b.csv": CSV})
    assert read(content, file="city.zip", options='member = "b.csv"') == PONCE_CAGUAS


def test_a_missing_member_names_the_nearest(read: Read) -> None:
    with pytest.raises(SourceMissingError, match=r"has no member 'city\.csv'; did you mean 'cities\.csv'\?"):
        read(zipped(**{"cities.csv": CSV, "b.csv": CSV}), file="city.zip", options='member = "city.csv"')


def test_a_zip_without_a_file_says_so(read: Read) -> None:
    with pytest.raises(SourceMissingError, match=r"city\.zip holds no file"):
        read(zipped(), file="city.zip")


@pytest.mark.parametrize("file", ["city.csv.gz", "city.zip"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_unreadable(read: Read, file: str) -> None:
    with pytest.raises(SourceUnreadableError, match=f"{file} is (broken|no zip archive)"):
        read(CSV, file=file)


MANY = "id,name\n" + "".join(f"{number},{number * 7919 % 100003}\n" for number in range(50_000))


def test_a_gzip_file_that_breaks_off_is_unreadable_and_not_shorter(read: Read) -> None:
    whole = gzip.compress(MANY.encode())
    assert len(read(whole, file="city.csv.gz")) == 50_000
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz is broken or cut off"):
        read(whole[: len(whole) // 2], file="city.csv.gz")


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_gzip_file_that_lacks_its_last_bytes_is_unreadable(read: Read, cut: int) -> None:
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz is broken or cut off"):
        read(gzip.compress(MANY.encode())[:-cut], file="city.csv.gz")


def test_a_zip_member_with_a_flipped_byte_is_unreadable(read: Read) -> None:
    content = bytearray(zipped(**{"city.csv": MANY}))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(SourceUnreadableError, match=r"city\.zip is broken or cut off"):
        read(bytes(content), file="city.zip")


def test_a_gzip_file_with_a_flipped_byte_is_unreadable(read: Read) -> None:
    content = bytearray(gzip.compress(MANY.encode()))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz is broken or cut off"):
        read(bytes(content), file="city.csv.gz")


def test_a_zstandard_file_gives_the_same_rows(read: Read) -> None:
    assert read(zstandard.compress(CSV.encode()), file="city.csv.zst") == PONCE_CAGUAS


def test_a_zstandard_file_that_breaks_off_is_unreadable_and_not_shorter(read: Read) -> None:
    whole = zstandard.compress(MANY.encode())
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.zst is broken or cut off"):
        read(whole[: len(whole) // 2], file="city.csv.zst")


def test_a_gzip_file_of_several_streams_is_read_to_its_end(read: Read) -> None:
    content = gzip.compress(b"id,name\n1,Ponce\n") + gzip.compress(b"2,Caguas\n")
    assert read(content, file="city.csv.gz") == PONCE_CAGUAS


def test_quoted_values_keep_delimiters_quotes_and_line_breaks(read: Read) -> None:
    assert read('id,name\n1,"Ponce, ""the\r\npearl"" "\n2,"a\nb"\n') == [
        ("1", 'Ponce, "the\r\npearl" '),
        ("2", "a\nb"),
    ]


def test_a_header_may_hold_line_breaks(read: Read) -> None:
    columns = 'id = "integer"\nname = { source = "name\\nof city", type = "text" }'
    assert read('id,"name\nof city"\n1,Ponce\n', columns=columns) == [("1", "Ponce")]


def test_the_row_number_of_a_bad_record_does_not_count_line_breaks(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of('"id","name"\n1,"a\nb"\n2,x,y\n3,c\n')
    assert [(bad.row_number, bad.text) for bad in unreadable(spec)] == [(2, "2,x,y")]


def test_a_record_of_other_width_is_no_row_and_says_why(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("id,name\n1,Ponce\n2\n3,Caguas,x\n")
    assert rows(spec) == [("1", "Ponce")]
    assert [(bad.row_number, bad.reason) for bad in unreadable(spec)] == [
        (2, "has 1 column instead of 2"),
        (3, "has 3 columns instead of 2"),
    ]


@pytest.mark.parametrize("encoding", ["", 'encoding = "utf-8"', 'encoding = "utf-8-sig"'])
def test_a_byte_order_mark_is_no_part_of_the_first_name(read: Read, encoding: str) -> None:
    assert read(b"\xef\xbb\xbf" + CSV.encode(), options=encoding) == PONCE_CAGUAS


def test_a_byte_order_mark_is_no_part_of_the_first_value(read: Read) -> None:
    columns = 'id = { source = 1, type = "integer" }\nname = { source = 2, type = "text" }'
    assert read(b"\xef\xbb\xbf1,Ponce\n", options="header = false", columns=columns) == [("1", "Ponce")]


@pytest.mark.parametrize("content", ["", "id,name\n", "id,name", "id,name\r\n"])
def test_a_file_without_a_data_row_gives_none(read: Read, content: str) -> None:
    assert read(content) == []


def test_blank_lines_are_no_rows(read: Read) -> None:
    assert read("id,name\n1,Ponce\n\n2,Caguas\n\n") == PONCE_CAGUAS


def test_lines_may_end_with_carriage_return_and_line_feed(read: Read) -> None:
    assert read(CSV.replace("\n", "\r\n")) == PONCE_CAGUAS


def test_the_last_line_needs_no_end(read: Read) -> None:
    assert read(CSV.rstrip("\n")) == PONCE_CAGUAS


def test_only_empty_text_is_null_by_default(read: Read) -> None:
    assert read('id,name\n1,NA\n2,\n3,""\n4,null\n5, \n') == [
        ("1", "NA"),
        ("2", None),
        ("3", None),
        ("4", "null"),
        ("5", " "),
    ]


def test_declared_null_texts_are_null_and_no_others(read: Read) -> None:
    assert read("id,name\n1,NA\n2,\n3,-\n4,N/A\n", options='null = ["NA", "-"]') == [
        ("1", None),
        ("2", ""),
        ("3", None),
        ("4", "N/A"),
    ]


def test_a_quoted_null_text_is_null_as_well(read: Read) -> None:
    # a CSV that quotes every value still means null by NA
    assert read('id,name\n"1","NA"\n', options='null = ["", "NA"]') == [("1", None)]


def test_thousands_are_left_for_the_cast(read: Read) -> None:
    assert read('id,name\n"23,288",x\n', options='thousands = ","') == [("23,288", "x")]


def test_delimiter_and_quote_are_the_declared_ones(read: Read) -> None:
    assert read("id;name\n1;'a;b'\n2;\"c\"\n", options='delimiter = ";"\nquote = "\'"') == [
        ("1", "a;b"),
        ("2", '"c"'),
    ]


def test_a_declared_encoding_is_used(read: Read) -> None:
    assert read("id,name\n1,Mayagüez\n".encode("utf-16"), options='encoding = "utf-16"') == [("1", "Mayagüez")]


def test_an_unknown_encoding_is_an_error(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"source\.encoding: unknown encoding: utf-9; did you mean 'utf-8'"):
        read(CSV, options='encoding = "utf-9"')


def test_bytes_that_are_no_utf8_far_down_the_file_ask_for_an_encoding(read: Read) -> None:
    content = MANY.encode() + "50001,Mayagüez\n".encode("latin-1")
    with pytest.raises(SourceUnreadableError, match=r"declare source\.encoding"):
        read(content)


def test_a_name_twice_in_the_header_is_drift_when_it_is_wanted(read: Read) -> None:
    with pytest.raises(SchemaDriftError, match="the header holds column 'name' twice"):
        read("id,name,name\n1,a,b\n")


def test_a_name_twice_in_the_header_is_no_matter_when_it_is_not_wanted(read: Read) -> None:
    assert read("x,id,x,name\n7,1,8,Ponce\n") == [("1", "Ponce")]


def test_a_name_in_another_case_is_another_name(read: Read) -> None:
    with pytest.raises(SchemaDriftError, match="column 'name' is missing; did you mean 'NAME'"):
        read("id,NAME\n1,a\n")


HEADERLESS = 'id = { source = 2, type = "integer" }\nname = { source = 1, type = "text" }'


def test_a_file_without_a_header_is_read_by_position_from_its_first_line(read: Read) -> None:
    assert read("Ponce,1,x\nCaguas,2,y\n", options="header = false", columns=HEADERLESS) == PONCE_CAGUAS


def test_a_bad_record_of_a_file_without_a_header_has_its_line_as_number(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("Ponce,1\nCaguas\n", options="header = false", columns=HEADERLESS)
    assert [bad.row_number for bad in unreadable(spec)] == [2]


def test_a_position_beyond_the_width_is_drift(read: Read) -> None:
    columns = HEADERLESS.replace("source = 2", "source = 5")
    with pytest.raises(SchemaDriftError, match="column 'id' is declared at position 5, the file has 2 columns"):
        read("Ponce,1\n", options="header = false", columns=columns)


def test_a_file_of_many_blocks_gives_every_row_in_order(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    found = read(MANY)
    assert [row[0] for row in found] == [str(number) for number in range(50_000)]


def test_bad_records_of_many_blocks_keep_their_row_numbers(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    lines = MANY.splitlines()
    for number in (3, 20_000, 49_999):
        lines[number] += ",more"
    assert [bad.row_number for bad in unreadable(spec_of("\n".join(lines)))] == [3, 20_000, 49_999]


def test_a_record_longer_than_a_block_is_a_row(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    long = "x" * 20_000
    lines = [*MANY.splitlines(), f'50001,"{long}"', "50002,a,b", "50003,Caguas"]
    lines[7] += ",more"
    spec = spec_of("\n".join(lines))
    found = rows(spec)
    assert [row[0] for row in found] == [str(number) for number in range(50_000) if number != 6] + ["50001", "50003"]
    assert found[-2][1] == long
    assert [bad.row_number for bad in unreadable(spec)] == [7, 50_002]


def test_batches_stay_small_when_blocks_must_be_large(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    with opened(spec_of(f'id,name\n0,"{"x" * 20_000}"\n{MANY}')) as extraction:
        sizes = sorted(batch.nbytes for batch in extraction.batches)
    # one batch holds the long record
    assert len(sizes) > 50
    assert sizes[-2] < 4 * 4096


def test_a_record_too_long_for_any_block_is_a_named_error_and_never_a_lost_row(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    with pytest.raises(SourceUnreadableError, match=r"city\.csv cannot be read: after row 1, a record is longer"):
        read(f'id,name\n1,Ponce\n2,"{"x" * 20_000}"\n3,Caguas\n', options="max_value_bytes = 8192")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('id\n1\n"', {}),
        ('id\n1\n"a" ', {}),
        ("id\n1\n\\", {"escape": "\\"}),
        ("id\n1\nx", {"comment": "#"}),
        ('id\n1\n"\n#', {"comment": "#"}),
    ],
    ids=["quotes", "blanks behind a quote", "escapes", "a line among comments", "a line in quotes"],
)
def test_what_waits_for_its_meaning_waits_no_longer_than_a_value(
    monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, str]
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", 100)
    monkeypatch.setattr(csv_text, "MOST_UNDECIDED", 1_000)
    stream = io.BytesIO((text + text[-1] * 100_000).encode())
    source = CsvSource.model_validate({"kind": "csv", "uri": "a.csv", "max_value_bytes": 1_000, **options})
    with csv_text.CsvText(stream, source) as waiting:
        assert len(waiting.read(1_000)) == 1_000
    assert stream.tell() < 3_000


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_a_comment_may_be_longer_than_a_value(
    read: Read, monkeypatch: pytest.MonkeyPatch, end: str, chunk: int
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    text = end.join(["id,name", "1,Ponce", f"#{'7,x' * 1_000}", "2,Caguas", ""])
    assert read(text, options='comment = "#"\nmax_value_bytes = 500') == PONCE_CAGUAS


def test_the_first_record_may_hold_a_value_as_long_as_any(read: Read) -> None:
    columns = 'name = { source = 1, type = "text" }\nid = { source = 2, type = "integer" }'
    assert read(f"{'x' * 200_000},1\n", options="header = false", columns=columns)[0][1] == "1"
    with pytest.raises(SourceUnreadableError, match=r"its first record is longer than source\.max_value_bytes = 1,000"):
        read(f"{'x' * 2_000},1\n", options="header = false\nmax_value_bytes = 1_000", columns=columns)


def test_a_source_that_is_not_read_to_its_end_is_closed(spec_of: Callable[..., TableSpec], tmp_path: Path) -> None:
    spec = spec_of(MANY)
    with opened(spec) as extraction:
        assert next(extraction.batches).num_rows > 0
    with pytest.raises(StopIteration):
        next(extraction.batches)


def test_every_column_of_the_file_is_known_also_the_undeclared(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("id,name,more\n1,a,b\n")
    with opened(spec) as extraction:
        assert dict(extraction.columns) == {"id": "text", "name": "text", "more": "text"}


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_a_bad_record_below_a_header_of_several_lines_keeps_its_row_number(
    spec_of: Callable[..., TableSpec], line_break: str
) -> None:
    spec = spec_of(f'id,name,"of{line_break}city"\n1,a,\n2,b\n3,c,\n')
    assert rows(spec) == [("1", "a"), ("3", "c")]
    assert [bad.row_number for bad in unreadable(spec)] == [2]


def test_a_bad_record_below_a_blank_line_keeps_its_row_number(spec_of: Callable[..., TableSpec]) -> None:
    assert [bad.row_number for bad in unreadable(spec_of("id,name\n1,a\n\n2\n3,c\n"))] == [2]


@pytest.mark.parametrize("row", [1, 2])
def test_a_value_of_200_kb_is_a_value(read: Read, row: int) -> None:
    # a polygon as WKT; Python's csv module stops at 131,072 characters of a field
    long = "x" * 200_000
    content = [("1", "Ponce"), ("2", "Caguas")]
    content[row - 1] = (str(row), long)
    assert read("id,name\n" + "".join(f"{number},{name}\n" for number, name in content)) == content


def test_a_blank_first_line_does_not_hide_the_rows_below_it(read: Read) -> None:
    assert read("\n" + CSV) == PONCE_CAGUAS


def test_an_error_of_whoever_reads_the_rows_is_not_called_the_sources(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of(CSV)
    with pytest.raises(OSError, match="the warehouse broke off"), opened(spec):
        raise OSError("the warehouse broke off")


UNCLOSED = "a quote is opened and never closed"
MISPLACED = "a quote is opened, and the next one, lines below, does not end a value"


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("content", "row", "problem"),
    [
        ('id,name\n1,Ponce\n2,"Caguas\n3,c\n', 2, UNCLOSED),
        ('id,name\n1,"Ponce\n', 1, UNCLOSED),
        ('id,name\n1,5" pipe\n2,"Caguas\n3,c\n', 2, UNCLOSED),
        ('id,name\n1,a\n2,"Caguas\n3,"Lares"\n4,"x"\n', 2, MISPLACED),
        ('id,name\n1,5" pipe\n2,"Caguas\n3,"Lares"\n4,c\n', 2, MISPLACED),
        ('id,name\n1,"a ""\nb"\n2,"Caguas\n3,"Lares"\n4,c\n', 2, MISPLACED),
    ],
)
def test_a_quote_that_swallows_the_records_behind_it_is_an_error(
    read: Read, monkeypatch: pytest.MonkeyPatch, chunk: int, content: str, row: int, problem: str
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    with pytest.raises(SourceUnreadableError, match=f"city.csv cannot be read: in row {row}, {problem}"):
        read(content)


def test_a_quote_in_the_header_that_is_never_closed_is_an_error(read: Read) -> None:
    with pytest.raises(SourceUnreadableError, match=f"in its first record, {UNCLOSED}"):
        read('id,"name\n1,Ponce\n2,Caguas\n')


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ('5" pipe', '5" pipe'),
        ('"the ""old"" town"', 'the "old" town'),
        ('""""', '"'),
        ('"a\n""b"""', 'a\n"b"'),
        ('"a\nb" ', "a\nb "),
        ('x""y', 'x""y'),
        ('"a"b', "ab"),
    ],
)
def test_quotes_that_swallow_nothing_are_read(
    read: Read, monkeypatch: pytest.MonkeyPatch, chunk: int, value: str, meant: str
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    assert read(f'id,name\n1,{value}\n2,"c\nd"\n3,{value}') == [("1", meant), ("2", "c\nd"), ("3", meant)]


@given(
    st.lists(st.lists(st.text('ab", \n\r\ufeffé\0', max_size=6), min_size=2, max_size=2), min_size=1, max_size=9),
    st.integers(1, 40),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-32-be"]),
)
def test_what_a_writer_writes_is_what_is_read(values: list[list[str]], chunk: int, encoding: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(values)
    source = CsvSource(kind="csv", uri="x.csv", encoding=encoding)
    with mock.patch.object(csv_text, "CHUNK_BYTES", chunk):
        text = csv_text.CsvText(io.BytesIO(written.getvalue().encode(encoding)), source)
        assert text.read() == written.getvalue().encode()
        assert text.broken is None


def test_bytes_of_another_encoding_name_the_row_and_what_to_do(read: Read) -> None:
    content = 'id,name\n1,Ponce\n2,"Caguas\nand more"\n3,Mayagüez\n4,Lares\n'.encode("cp1252")
    with pytest.raises(
        SourceUnreadableError,
        match=r'city: city\.csv cannot be read: in row 3, byte 0xfc is no UTF-8; declare source\.encoding, such as "cp',
    ):
        read(content)


def test_bytes_outside_of_a_declared_encoding_name_the_row(read: Read) -> None:
    content = "id,name\n1,Ponce\n2,Mayagüez\n".encode("cp1252") + b"3,\x81\n"
    with pytest.raises(SourceUnreadableError, match=r"in row 3, byte 0x81 is no cp1252; declare another"):
        read(content, options='encoding = "cp1252"')


def test_utf_16_that_is_not_declared_asks_for_it(read: Read) -> None:
    with pytest.raises(
        SourceUnreadableError, match=r'byte 0xff is no UTF-8; declare source.encoding, such as "utf-16"'
    ):
        read(CSV.encode("utf-16"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "shift_jis", "utf-32", "mac_roman", "latin-1"])
@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_file_in_its_declared_encoding_is_read(
    read: Read, monkeypatch: pytest.MonkeyPatch, encoding: str, chunk: int
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    name = "東京" if encoding == "shift_jis" else "Mayagüez"
    assert read(f"id,name\n1,{name}\n".encode(encoding), options=f'encoding = "{encoding}"') == [("1", name)]


def test_a_utf_16_file_that_breaks_off_in_a_character_is_unreadable(read: Read) -> None:
    with pytest.raises(SourceUnreadableError, match=r"in row 2, byte 0x\w\w is no utf-16"):
        read(CSV.encode("utf-16")[:-1], options='encoding = "utf-16"')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('delimiter = "§"', "source.delimiter: '§' cannot be one; use an ASCII character"),
        ('quote = "\\n"', "source.quote: '.n' cannot be one"),
        ('quote = ","', "source.quote: ',' is source.delimiter as well"),
        ('encoding = "base64"', "source.encoding: unknown encoding: base64"),
    ],
)
def test_a_dialect_that_cannot_be_is_an_error_of_the_config(read: Read, options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"city: {message}"):
        read(CSV, options=options)


def test_a_tab_is_a_delimiter(read: Read) -> None:
    assert read("id\tname\n1\tPonce, PR\n", options='delimiter = "\\t"') == [("1", "Ponce, PR")]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_declared_lines_above_the_header_are_skipped(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch, line_break: str, chunk: int
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    lines = ["\ufeffThe city's \"report", "", "made in, 2026", "id,name", "1,Ponce", "2,Caguas", "3"]
    spec = spec_of(line_break.join(lines), options="skip_lines = 3")
    assert rows(spec) == PONCE_CAGUAS
    assert [bad.row_number for bad in unreadable(spec)] == [3]


def test_more_lines_to_skip_than_there_are_leave_no_row(read: Read) -> None:
    assert read(CSV, options="skip_lines = 9") == []


@pytest.mark.parametrize("chunk", [1, 9, 1 << 20])
def test_comment_lines_are_no_data_and_not_counted(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(csv_text, "CHUNK_BYTES", chunk)
    content = '# of "2026\nid,name\n#\n1,"a\n# b"\n# 9,x\n2,5" #\n3\n#end'
    spec = spec_of(content, options='comment = "#"')
    assert rows(spec) == [("1", "a\n# b"), ("2", '5" #')]
    assert [bad.row_number for bad in unreadable(spec)] == [3]


def test_without_a_declared_comment_such_lines_are_records(spec_of: Callable[..., TableSpec]) -> None:
    assert [bad.text for bad in unreadable(spec_of("id,name\n# one\n1,a\n"))] == ["# one"]


def test_a_quoted_value_of_several_lines_may_stand_before_a_tab(read: Read) -> None:
    assert read('id\tname\n"1\n"\tx\n', options='delimiter = "\\t"') == [("1\n", "x")]


def test_a_declared_escape_keeps_quotes_and_delimiters(read: Read) -> None:
    content = 'id,name\n1,"the \\"old\\" town"\n2,a\\,b\n3,"c\\\\"\n4,"d ""e"""\n'
    assert read(content, options='escape = "\\\\"') == [
        ("1", 'the "old" town'),
        ("2", "a,b"),
        ("3", "c\\"),
        ("4", 'd "e"'),
    ]


def test_a_quote_that_is_only_closed_by_an_escaped_one_is_an_error(read: Read) -> None:
    with pytest.raises(SourceUnreadableError, match=f"in row 2, {UNCLOSED}"):
        read('id,name\n1,a\n2,"b\\"\n3,c\n', options='escape = "\\\\"')


@pytest.mark.parametrize("block", [60, 4096, 2 << 20])
def test_declared_records_at_the_end_are_no_data(
    spec_of: Callable[..., TableSpec], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", block)
    content = (
        "id,name\n" + "".join(f"{number},{'x' * 20}\n" for number in range(1, 10)) + "10\n11,b\n\nTotal: 9\n12,z\n"
    )
    spec = spec_of(content, options="skip_footer = 3")
    assert [row[0] for row in rows(spec)] == [str(number) for number in range(1, 10)]
    assert [bad.row_number for bad in unreadable(spec)] == [10]


def notes(spec: TableSpec) -> dict[str, str]:
    with opened(spec) as extraction:
        list(extraction.batches)
        return extraction.notes


def test_a_footer_that_looks_like_rows_is_told(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("id,name\n1,a\n2,b\n3,c\n4,d\n", options="skip_footer = 2")
    assert [row[0] for row in rows(spec)] == ["1", "2"]
    assert notes(spec) == {
        "footer": "skip_footer has left out 2 records that look like rows: '3, c', '4, d'; set it to less if the "
        "source ends with rows"
    }


@pytest.mark.parametrize(
    "footer", ["Total,9\nNote: amounts are preliminary\n", "Grand total,9\n,\n", "Source: the agency,2026\n1\n"]
)
def test_totals_notes_and_blank_records_that_are_left_out_are_not_told(
    spec_of: Callable[..., TableSpec], footer: str
) -> None:
    spec = spec_of(f"id,name\n1,a\n2,b\n{footer}", options="skip_footer = 2")
    assert [row[0] for row in rows(spec)] == ["1", "2"]
    assert notes(spec) == {}


def test_a_footer_as_long_as_the_file_leaves_no_row(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("id,name\n1,a\nTotal\n", options="skip_footer = 5")
    assert rows(spec) == []
    assert unreadable(spec) == []


def test_columns_with_equal_or_no_names_are_found_by_position(read: Read) -> None:
    columns = 'id = { source = 1, type = "integer" }\nname = { source = 4, type = "text" }\nlast = "text"'
    assert read("id,name,name,,last\n1,a,b,c,d\n", columns=columns) == [("1", "c", "d")]


def test_a_position_beyond_the_header_is_drift(read: Read) -> None:
    columns = 'id = "integer"\nname = { source = 3, type = "text" }'
    with pytest.raises(SchemaDriftError, match="column 'name' is declared at position 3, the file has 2 columns"):
        read(CSV, columns=columns)


def test_a_delimiter_at_the_end_of_every_line_is_a_column_without_a_name(read: Read) -> None:
    assert read("id,name,\n1,Ponce,\n2,Caguas,\n") == PONCE_CAGUAS


def test_lines_may_end_in_every_way_in_one_file(read: Read) -> None:
    assert read("id,name\r\n1,Ponce\r2,Caguas\n3,c") == [*PONCE_CAGUAS, ("3", "c")]


def test_the_character_0_is_left_for_the_cast(read: Read) -> None:
    assert read("id,name\n1,a\0b\n") == [("1", "a\0b")]


GEOMETRY = 'id = "integer"\n[geometry]\ntype = "Point"\nsource_crs = "EPSG:4326"\n'


def test_a_geometry_of_text_comes_under_its_own_name(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("id,Lat/Long\n1,POINT (1 2)\n2,\n", columns=GEOMETRY + 'source = "Lat/Long"')
    with opened(spec) as extraction:
        batch = next(extraction.batches)
    assert batch.to_pydict() == {"id": ["1", "2"], "geom": ["POINT (1 2)", None]}


def test_x_and_y_come_as_two_columns_of_text(spec_of: Callable[..., TableSpec]) -> None:
    spec = spec_of("lat,id,lon\n18.0,1,-66.6\n", columns=GEOMETRY + 'x = "lon"\ny = "lat"')
    with opened(spec) as extraction:
        assert next(extraction.batches).to_pydict() == {"id": ["1"], "geom.x": ["-66.6"], "geom.y": ["18.0"]}


def test_a_missing_geometry_column_names_the_nearest(read: Read) -> None:
    with pytest.raises(SchemaDriftError, match=r"adapt \[geometry\].* 'lng' is missing; did you mean 'long'"):
        read("id,long,lat\n", columns=GEOMETRY + 'x = "lng"\ny = "lat"')


def test_a_transform_gets_every_column_under_its_own_name(spec_of: Callable[..., TableSpec], tmp_path: Path) -> None:
    spec = spec_of("id,more,,id\n1,a,b,2\n").model_copy(update={"transform": tmp_path / "city.py"})
    with opened(spec) as extraction:
        assert next(extraction.batches).to_pydict() == {"1": ["1"], "more": ["a"], "3": ["b"], "4": ["2"]}


def test_a_file_that_is_cut_at_the_wrong_character_is_an_error_soon(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "HOPELESS", 100)
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    content = "title\n" + MANY
    with pytest.raises(SourceUnreadableError, match=r"records do not have as many columns .* see source\.delimiter"):
        read(content, columns='title = "text"\nid = { source = "title", type = "text" }')


def test_unreadable_records_and_the_character_0_are_rejects(
    spec_of: Callable[..., TableSpec],
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    columns = 'id = "integer"\nname = "text"\n[checks]\nmax_rejects = 3\n'
    spec = spec_of("id,name\n1,Ponce\n2\0,x,y\n3,a\0b\n4,Lares\n5\nTotal\n", options="skip_footer = 1", columns=columns)
    result = load_table(spec, warehouse_url, run=open_run("r1"))
    assert (result.extracted, result.inserted, result.rejected) == (5, 2, 3)
    assert query("SELECT id FROM city ORDER BY id") == [(1,), (4,)]
    assert query("SELECT row_number, reason FROM etl.reject ORDER BY 1") == [
        (2, "has 3 columns instead of 2"),
        (3, "name: 'a\\x00b' is no text"),
        (5, "has 1 column instead of 2"),
    ]


REAL = Path(__file__).parents[4] / "shared" / "data" / "real"


@pytest.mark.parametrize(
    ("file", "encoding", "delimiter", "count"),
    [
        ("33_csv_latin1_semicolon/issue-811.csv", "latin-1", ";", 7904),
        ("36_csv_bom/Biodiesel_Plants.csv", "utf-8-sig", ",", 78),
        ("38_csv_dup_keys/2018_Central_Park_Squirrel_Census_-_Squirrel_Data_20250721.csv", "utf-8", ",", 3023),
    ],
)
def test_a_real_file_gives_every_value_that_pythons_reader_finds(
    spec_of: Callable[..., TableSpec], file: str, encoding: str, delimiter: str, count: int
) -> None:
    path = REAL / file
    if not path.exists():
        pytest.skip("the folder of real files is not here")
    content = path.read_bytes()
    first, *expected = csv.reader(io.StringIO(content.decode(encoding), newline=""), delimiter=delimiter)
    columns = "\n".join(f"c{n} = {{ source = {n}, type = 'text' }}" for n in range(1, len(first) + 1))
    options = f'delimiter = "{delimiter}"\nencoding = "{encoding}"\nnull = []'
    found = rows(spec_of(content, options=options, columns=f"id = {{ source = 1, type = 'text' }}\n{columns}"))
    assert len(found) == count
    assert [list(row[1:]) for row in found] == expected
