"""Delimited text: what the file says, and nothing else, is what comes out."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import SchemaDriftError, SourceMissingError, SourceUnreadableError
from sluiceway.sources import csv as csv_source
from sluiceway.sources.extraction import Unreadable
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
    with pytest.raises(SourceMissingError, match=r"city\.zip holds 0 files"):
        read(zipped(), file="city.zip")


@pytest.mark.parametrize("file", ["city.csv.gz", "city.zip"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_unreadable(read: Read, file: str) -> None:
    with pytest.raises(SourceUnreadableError, match=f"city: {file} cannot be read"):
        read(CSV, file=file)


MANY = "id,name\n" + "".join(f"{number},{number * 7919 % 100003}\n" for number in range(50_000))


def test_a_gzip_file_that_breaks_off_is_unreadable_and_not_shorter(read: Read) -> None:
    whole = gzip.compress(MANY.encode())
    assert len(read(whole, file="city.csv.gz")) == 50_000
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz cannot be read"):
        read(whole[: len(whole) // 2], file="city.csv.gz")


@pytest.mark.parametrize("cut", [1, 4, 8])
def test_a_gzip_file_that_lacks_its_last_bytes_is_unreadable(read: Read, cut: int) -> None:
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz cannot be read"):
        read(gzip.compress(MANY.encode())[:-cut], file="city.csv.gz")


def test_a_zip_member_with_a_flipped_byte_is_unreadable(read: Read) -> None:
    content = bytearray(zipped(**{"city.csv": MANY}))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(SourceUnreadableError, match=r"city\.zip cannot be read"):
        read(bytes(content), file="city.zip")


def test_a_gzip_file_with_a_flipped_byte_is_unreadable(read: Read) -> None:
    content = bytearray(gzip.compress(MANY.encode()))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz cannot be read"):
        read(bytes(content), file="city.csv.gz")


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
        (2, "has 1 columns instead of 2"),
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
    with pytest.raises(SourceUnreadableError, match="unknown encoding: utf-9"):
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


def test_a_record_longer_than_a_block_is_a_named_error_and_never_a_lost_row(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 4096)
    with pytest.raises(SourceUnreadableError, match=r"city\.csv cannot be read after row \d+: .*block"):
        read(f'id,name\n1,Ponce\n2,"{"x" * 20_000}"\n3,Caguas\n')


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
