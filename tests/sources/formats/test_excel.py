"""Excel: cells as they are, whatever Excel's users and other programs do around them."""

from __future__ import annotations

import datetime as dt
import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from sluiceway.errors import (
    ConfigError,
    SchemaDriftError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.sources.formats import excel as excel_source
from sluiceway.sources.formats import excel_parts
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

MB = 1 << 20
SpecOf = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Rows = Sequence[Sequence[Any]]
ID_NAME = 'id = "integer"\nname = "text"'
CITIES: Rows = [("id", "name"), (1, "Ponce"), (2, "Caguas")]
PONCE_CAGUAS = [{"id": 1, "name": "Ponce"}, {"id": 2, "name": "Caguas"}]


@pytest.fixture
def spec_of(write_spec: Callable[..., TableSpec]) -> SpecOf:
    """A spec over city.xlsx, with a sheet of the given rows, or over the given bytes."""

    def make(content: Rows | bytes, columns: str = ID_NAME, *, options: str = "", more: str = "") -> TableSpec:
        return write_spec(
            "city",
            f'description = "Cities"\nkey = "id"\n[source]\nkind = "excel"\nuri = "city.xlsx"\n{options}\n'
            f"[columns]\n{columns}\n{more}",
            city__xlsx=content if isinstance(content, bytes) else workbook(city=content),
        )

    return make


def workbook(**sheets: Rows) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return saved(book)


def saved(book: openpyxl.Workbook) -> bytes:
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def changed(content: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one of its files changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == member else old.read(name))
    return buffer.getvalue()


MOMENT = dt.datetime.fromisoformat("2026-01-02 08:30:15")
DAY = MOMENT.replace(hour=0, minute=0, second=0)
SHEET = "xl/worksheets/sheet1.xml"


def table_of(spec: TableSpec) -> pa.Table:
    with opened(spec) as extraction:
        return pa.Table.from_batches(extraction.batches)


def rows_of(spec: TableSpec) -> list[dict[str, Any]]:
    with opened(spec) as extraction:
        return [row for batch in extraction.batches for row in batch.to_pylist()]


def test_a_sheet_gives_its_rows(spec_of: SpecOf) -> None:
    assert rows_of(spec_of(CITIES)) == PONCE_CAGUAS


def test_columns_come_in_the_specs_order_under_its_names(spec_of: SpecOf) -> None:
    spec = spec_of(CITIES, 'city = { source = "name", type = "text" }\nid = "integer"')
    assert rows_of(spec)[0] == {"city": "Ponce", "id": 1}


def test_every_named_column_is_known(spec_of: SpecOf) -> None:
    with opened(spec_of([("id", "name", 2026, DAY), (1, "a", 2, 3)])) as extraction:
        assert dict(extraction.columns) == dict.fromkeys(["id", "name", "2026", "2026-01-02"], "text")


@pytest.mark.parametrize(
    ("cells", "declared", "kind", "values"),
    [
        ([1, 2.0, None], "integer", "int64", [1, 2, None]),
        ([1, 2.5], "numeric", "double", [1.0, 2.5]),
        ([5.0, 2.5, 12345678], "text", "string", ["5", "2.5", "12345678"]),
        ([DAY, MOMENT, None], "timestamp", "timestamp[us]", [DAY, MOMENT, None]),
        ([DAY, MOMENT], "text", "string", ["2026-01-02", "2026-01-02 08:30:15"]),
        ([True, False, None], "boolean", "bool", [True, False, None]),
        ([True, 1, "no"], "boolean", "string", ["true", "1", "no"]),
        ([1, "#N/A", "n/a"], "integer", "string", ["1", "#N/A", "n/a"]),
        ([DAY, "unknown", 2026], "date", "string", ["2026-01-02", "unknown", "2026"]),
        ([dt.time(8, 30), dt.timedelta(hours=30, seconds=5)], "text", "string", ["08:30:00", "30:00:05"]),
        ([None, None], "date", "string", [None, None]),
        (["", " "], "text", "string", [None, " "]),
        ([1e20, 0.1], "double precision", "double", [1e20, 0.1]),
    ],
)
def test_a_column_has_the_type_of_its_cells_or_is_text(
    spec_of: SpecOf, cells: list[Any], declared: str, kind: str, values: list[Any]
) -> None:
    rows = [("id", "value"), *((number, cell) for number, cell in enumerate(cells))]
    column = table_of(spec_of(rows, f'id = "integer"\nvalue = "{declared}"')).column("value")
    assert (str(column.type), column.to_pylist()) == (kind, values)


def formatted(format_: str, *values: Any) -> bytes:
    """A workbook with ids, and values in one number format."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["id", "value"])
    for number, value in enumerate(values):
        sheet.append([number, value])
        sheet.cell(number + 2, 2).number_format = format_
    return saved(book)


@pytest.mark.parametrize(
    ("format_", "values", "texts"),
    [
        ("00000", [501, 502.0, 123456, None, 1.5, -5, "x"], ["00501", "00502", "123456", None, "1.5", "-5", "x"]),
        ("00", [7], ["07"]),
        ("[$-409]00000", [501], ["00501"]),
        ("00000;-00000;@", [501], ["00501"]),
        ("00000-0000", [5011234, 902101234], ["00501-1234", "90210-1234"]),
        (r"000\-00\-0000", [12345678], ["012-34-5678"]),
        ('000"-"00', [1234], ["012-34"]),
        ("[<=99999]00000;00000-0000", [501, 99999, 100000], ["00501", "99999", "00010-0000"]),
        ("0", [7], ["7"]),
        ("0.00", [7], ["7"]),
        ("#,##000", [7], ["7"]),
        ("00/00", [7], ["7"]),
        ("00%", [7], ["7"]),
        ("00E+00", [7], ["7"]),
        ("General", [7], ["7"]),
    ],
)
def test_a_number_shown_with_zeros_in_front_is_a_text_with_them(
    spec_of: SpecOf, format_: str, values: list[Any], texts: list[str | None]
) -> None:
    content = formatted(format_, *values)
    spec = spec_of(content, 'id = "integer"\nvalue = "text"')
    assert table_of(spec).column("value").to_pylist() == texts


@pytest.mark.parametrize("declared", ["integer", "bigint", "double precision"])
def test_a_number_shown_with_zeros_in_front_is_a_number_where_one_is_declared(spec_of: SpecOf, declared: str) -> None:
    spec = spec_of(formatted("00000-0000", 5011234, 902101234), f'id = "integer"\nvalue = "{declared}"')
    assert table_of(spec).column("value").to_pylist() == [5011234, 902101234]


def test_dates_among_texts_take_the_declared_format(spec_of: SpecOf) -> None:
    columns = 'id = "integer"\nday = { type = "date", format = "%m/%d/%Y" }'
    table = table_of(spec_of([("id", "day"), (1, DAY), (2, "02/03/2026")], columns))
    assert table.column("day").to_pylist() == ["01/02/2026", "02/03/2026"]


def test_values_load_and_what_is_no_value_is_a_reject(
    spec_of: SpecOf, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    rows = [
        ("id", "name", "people", "day"),
        (1, 5.0, 10.0, DAY),
        (2, "Caguas", "#DIV/0!", DAY),
        (3, "Lares", 7, "soon"),
        (None, None, None, None),
        (4, "Cayey", 2.5, MOMENT),
        (5, True, None, None),
    ]
    columns = 'id = "integer"\nname = "text"\npeople = "integer"\nday = "date"'
    result = load_table(spec_of(rows, columns, more="[checks]\nmax_rejects = 3\n"), warehouse_url, run=open_run("r1"))
    assert (result.extracted, result.inserted, result.rejected) == (5, 2, 3)
    assert query("SELECT id, name, people, day::text FROM city ORDER BY id") == [
        (1, "5", 10, "2026-01-02"),
        (5, "true", None, None),
    ]
    assert query("SELECT row_number, reason FROM etl.reject ORDER BY 1") == [
        (2, "people: '#DIV/0!' is no integer"),
        (3, "day: 'soon' is no date"),
        (4, "people: '2.5' is no integer; day: '2026-01-02 08:30:15' is no date"),
    ]


def test_rows_without_a_value_are_no_data(spec_of: SpecOf) -> None:
    blank = (None, None, None)
    rows = [blank, *CITIES[:2], blank, ("", ""), *CITIES[2:], blank, blank]
    assert rows_of(spec_of(rows)) == PONCE_CAGUAS


def test_a_gap_between_the_rows_of_the_file_is_no_data(spec_of: SpecOf) -> None:
    book = openpyxl.Workbook()
    for line, row in zip((3, 7, 20), CITIES, strict=True):
        for column, value in enumerate(row, 1):
            book.worksheets[0].cell(line, column, value)
    assert rows_of(spec_of(saved(book))) == PONCE_CAGUAS
    assert rows_of(spec_of(saved(book), options="skip_lines = 2")) == PONCE_CAGUAS
    with pytest.raises(SchemaDriftError, match="column 'id' is missing"):
        rows_of(spec_of(saved(book), options="skip_lines = 3"))


def test_lines_above_the_header_and_records_at_the_end_are_skipped(spec_of: SpecOf) -> None:
    rows = [("Report", "of", 2026), (), ("id?", "name?"), *CITIES, (), ("Total", 2), ("Source: us",)]
    assert rows_of(spec_of(rows, options="skip_lines = 3\nskip_footer = 2")) == PONCE_CAGUAS


def test_a_footer_that_looks_like_rows_is_told(spec_of: SpecOf) -> None:
    for left_out, told in (([(3, "Lares"), ("Total", 3)], 1), ([(None, "a note"), ("Total", 3)], 0)):
        spec = spec_of([*CITIES, *left_out], options="skip_footer = 2")
        assert rows_of(spec) == PONCE_CAGUAS
        with opened(spec) as extraction:
            list(extraction.batches)
            assert ["'3, Lares'" in note for note in extraction.notes.values()] == [True] * told


def test_a_footer_as_long_as_the_sheet_leaves_no_row(spec_of: SpecOf) -> None:
    assert rows_of(spec_of(CITIES, options="skip_footer = 9")) == []


def test_short_rows_lack_values_and_notes_beyond_the_header_are_no_column(spec_of: SpecOf) -> None:
    rows = [("id", "name", None), (1,), (2, "Caguas", None, "a note")]
    assert rows_of(spec_of(rows)) == [{"id": 1, "name": None}, {"id": 2, "name": "Caguas"}]


def test_a_sheet_without_a_header_is_read_by_position(spec_of: SpecOf) -> None:
    columns = 'name = { source = 2, type = "text" }\nid = { source = 1, type = "integer" }'
    assert rows_of(spec_of(CITIES[1:], columns, options="header = false")) == [
        {"name": "Ponce", "id": 1},
        {"name": "Caguas", "id": 2},
    ]


def test_columns_with_equal_or_no_names_are_found_by_position(spec_of: SpecOf) -> None:
    columns = 'id = { source = 1, type = "integer" }\nname = { source = 4, type = "text" }\nlast = "text"'
    rows = [("id", "name", "name", None, "last"), (1, "a", "b", "c", "d")]
    assert rows_of(spec_of(rows, columns)) == [{"id": 1, "name": "c", "last": "d"}]
    with pytest.raises(SchemaDriftError, match="the header holds column 'name' twice; declare its position"):
        rows_of(spec_of(rows))


@pytest.mark.parametrize("late", [False, True])
def test_a_position_that_no_row_reaches_is_drift(spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    monkeypatch.setattr(excel_source, "FIRST_ROWS", 2)
    monkeypatch.setattr(excel_source, "BATCH_ROWS", 2)
    columns = 'id = { source = 1, type = "integer" }\nname = { source = 3, type = "text" }'
    rows: list[tuple[Any, ...]] = [(number, None) for number in range(6)]
    if late:
        assert rows_of(spec_of([*rows, (6, None, "x")], columns, options="header = false"))[-1]["name"] == "x"
        return
    with pytest.raises(SchemaDriftError, match="column 'name' is declared at position 3, the file has 1 column"):
        rows_of(spec_of(rows, columns, options="header = false"))


def test_an_empty_sheet_gives_no_row(spec_of: SpecOf) -> None:
    assert rows_of(spec_of([])) == []
    assert rows_of(spec_of(CITIES[:1])) == []


def test_a_missing_column_names_the_nearest(spec_of: SpecOf) -> None:
    with pytest.raises(SchemaDriftError, match=r"in city\.xlsx, sheet city, column 'name' is missing; .* 'names'"):
        rows_of(spec_of([("id", "names")]))


def test_of_several_sheets_one_must_be_named(spec_of: SpecOf) -> None:
    content = workbook(notes=[("x",)], cities=CITIES)
    assert rows_of(spec_of(content, options='sheet = "cities"')) == PONCE_CAGUAS
    with pytest.raises(SourceMissingError, match=r"holds 2 sheets: notes, cities; name one as source\.sheet"):
        rows_of(spec_of(content))
    with pytest.raises(SourceMissingError, match=r"city\.xlsx has no sheet 'city'; did you mean 'cities'"):
        rows_of(spec_of(content, options='sheet = "city"'))


def test_a_sheet_that_says_a_wrong_size_is_read_to_its_end(spec_of: SpecOf) -> None:
    content = changed(workbook(city=CITIES), SHEET, lambda xml: xml.replace(b'ref="A1:B3"', b'ref="A1:A1"'))
    assert b'ref="A1:A1"' in zipfile.ZipFile(io.BytesIO(content)).read(SHEET)
    assert rows_of(spec_of(content)) == PONCE_CAGUAS


def with_formula(cell: str, at: str = "B2") -> bytes:
    """Cities with a cell's XML put in the place of another one."""
    place = rf'<c r="{at}"[^>]*>.*?</c>'.encode()
    content = changed(workbook(city=CITIES), SHEET, lambda xml: re.sub(place, cell.encode(), xml))
    assert cell.encode() in zipfile.ZipFile(io.BytesIO(content)).read(SHEET)
    return content


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('<c r="B2" t="str"><f>UPPER("a")</f><v>A</v></c>', "A"),
        ('<c r="B2" t="str"><f>""</f><v></v></c>', None),
        ('<c r="B2"><f t="shared" si="0"/><v>3</v></c>', "3"),
        ('<c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
    ],
)
def test_a_formula_is_its_last_result(spec_of: SpecOf, cell: str, value: str | None) -> None:
    assert rows_of(spec_of(with_formula(cell)))[0]["name"] == value


@pytest.mark.parametrize("chunk", [10, 1 << 20])
@pytest.mark.parametrize(
    "cell",
    [
        '<c r="B2"><f>1+1</f><v /></c>',
        '<c r="B2" s="3"><f>1+1</f></c>',
        '<c r="B2"><f t="shared" ref="B2:B3" si="0">A1</f><v></v></c>',
        '<c r="B2"><f t="shared" si="0"/></c>',
    ],
)
def test_a_formula_that_was_never_calculated_is_an_error_and_no_null(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch, cell: str, chunk: int
) -> None:
    monkeypatch.setattr(excel_source, "CHUNK_BYTES", chunk)
    with pytest.raises(SourceUnreadableError, match=r"sheet city holds a formula in cell B2 .* open the file in Excel"):
        rows_of(spec_of(with_formula(cell)))


def test_a_formula_without_a_result_in_an_undeclared_column_is_no_matter(spec_of: SpecOf) -> None:
    content = with_formula('<c r="B2"><f>1+1</f></c>')
    assert rows_of(spec_of(content, 'id = "integer"')) == [{"id": 1}, {"id": 2}]


def test_a_formula_without_a_result_above_the_header_is_no_matter(spec_of: SpecOf) -> None:
    content = workbook(city=[("Report", "=NOW()"), *CITIES])
    assert rows_of(spec_of(content, options="skip_lines = 1")) == PONCE_CAGUAS


def test_batches_are_small_and_in_order(spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel_source, "FIRST_ROWS", 3)
    monkeypatch.setattr(excel_source, "BATCH_ROWS", 7)
    with opened(spec_of([("id", "name"), *((number, "x") for number in range(100))])) as extraction:
        batches = list(extraction.batches)
    assert max(batch.num_rows for batch in batches) == 7
    assert [value for batch in batches for value in batch.column("id").to_pylist()] == list(range(100))


OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


def ole(stream: str, *, sector: int = 0) -> bytes:
    """A file of the old format whose directory, in that sector, has a stream of that name."""
    head = bytearray(OLE)
    head[30:32], head[48:52] = (9).to_bytes(2, "little"), sector.to_bytes(4, "little")
    return bytes(head) + bytes(sector << 9) + stream.encode("utf-16-le") + bytes(128)


def strict(content: bytes) -> bytes:
    """The workbook as Excel saves it as Strict Open XML."""
    main, strict_main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main", b"spreadsheetml/main"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
    for name in names:
        content = changed(content, name, lambda xml: xml.replace(main, b"http://purl.oclc.org/ooxml/" + strict_main))
    return content


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,name\n1,a\n", "is no .xlsx workbook, or breaks off"),
        (b"", "is no .xlsx workbook, or breaks off"),
        (OLE, "is an old .xls; save it as .xlsx"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "is encrypted; save it without a password"),
        (ole("EncryptedPackage", sector=5_000), "is encrypted; save it without a password"),
        (ole("Workbook", sector=5_000), "is an old .xls; save it as .xlsx"),
        (ole("WordDocument"), "is an old .doc of Word; save its table as .xlsx"),
        (OLE[:30] + b"\xff" * 482, "is an old .xls; save it as .xlsx"),
        (strict(workbook(city=CITIES)), 'is a "Strict Open XML" workbook; save it as "Excel Workbook (.xlsx)"'),
        (archive(**{"xl/workbook.bin": ""}), "is a binary workbook (.xlsb); save it as .xlsx"),
        (archive(mimetype="application/vnd.oasis.opendocument.spreadsheet"), "is no .xlsx workbook: There is no item"),
        (workbook(city=CITIES)[:-200], "is no .xlsx workbook, or breaks off"),
    ],
)
def test_a_file_of_another_kind_is_unreadable(spec_of: SpecOf, content: bytes, message: str) -> None:
    with pytest.raises(SourceUnreadableError, match=rf"^city: city\.xlsx {re.escape(message)}"):
        rows_of(spec_of(content))


def test_a_sheet_that_breaks_off_is_unreadable(spec_of: SpecOf) -> None:
    content = changed(workbook(city=CITIES), SHEET, lambda xml: xml[: xml.index(b"</row></sheetData>")])
    with pytest.raises(SourceUnreadableError, match=r"sheet city cannot be read after line \d: [^\n]*$"):
        rows_of(spec_of(content))


def test_a_workbook_that_unpacks_to_too_much_is_refused(spec_of: SpecOf) -> None:
    content = changed(workbook(city=CITIES), SHEET, lambda xml: xml + b" " * 5_000_000)
    assert len(content) < 50_000
    with pytest.raises(SourceUnreadableError, match="max_bytes"):
        rows_of(spec_of(content, options="max_bytes = 1000000"))


def hidden(begin: str, end: str, inside: str) -> bytes:
    """A workbook of 400 rows, each with this before its number."""
    xml = "".join(f'<row r="{n}"><c r="A{n}"><v>{begin}{inside}{end}{n}</v></c></row>' for n in range(2, 402))
    return changed(workbook(city=[("id",)]), SHEET, lambda old: old.replace(b"</row>", b"</row>" + xml.encode()))


HIDING = [("<!--", "-->"), ("<?x ", "?>")]


@pytest.mark.parametrize(("begin", "end"), HIDING)
def test_many_rows_with_comments_are_many_rows(spec_of: SpecOf, begin: str, end: str) -> None:
    spec = spec_of(
        hidden(begin, end, "</row>" + "x" * 2_000), columns='id = "integer"', options="max_value_bytes = 100000"
    )
    assert [row["id"] for row in rows_of(spec)] == list(range(2, 402))


@pytest.mark.parametrize(("begin", "end"), [*HIDING, ("<![CDATA[", "]]>")])
def test_what_looks_like_the_end_of_a_row_makes_no_long_row_shorter(spec_of: SpecOf, begin: str, end: str) -> None:
    content = hidden(begin, end, f"{'x' * 2_000}</row>" * 60 + "<!--" * (begin != "<!--"))
    spec = spec_of(content, columns='id = "integer"', options="max_value_bytes = 100000")
    with pytest.raises(SourceTooLargeError, match=r"sheet1\.xml: a row or a text in it has 1\d\d,\d{3} bytes"):
        rows_of(spec)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("member", [SHEET, "xl/workbook.xml"])
def test_a_workbook_that_declares_a_document_type_is_refused(spec_of: SpecOf, member: str, encoding: str) -> None:
    def with_type(xml: bytes) -> bytes:
        plain = xml.decode().removeprefix("<?xml version='1.0' encoding='UTF-8'?>")
        return f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY a "a">]>{plain}'.encode(encoding)

    said = rf"^city: city\.xlsx, {member} declares a document type, .*; save it anew in Excel$"
    with pytest.raises(SourceUnreadableError, match=said):
        rows_of(spec_of(changed(workbook(city=CITIES), member, with_type)))


def test_texts_beyond_32_mb_wait_on_the_disk(spec_of: SpecOf) -> None:
    texts = excel_parts.Texts(spec_of(CITIES), "city.xlsx")
    tracemalloc.start()
    try:
        for number in range(100):
            texts.add(f"{number:03}" + "é" * MB)
        assert tracemalloc.get_traced_memory()[0] < excel_parts.IN_MEMORY_BYTES + 2 * MB
    finally:
        tracemalloc.stop()
    kept = texts.quickest()
    assert [kept[number][:4] for number in (0, 31, 32, 99)] == ["000é", "031é", "032é", "099é"]


def test_a_member_is_an_error_of_the_config(spec_of: SpecOf) -> None:
    with pytest.raises(ConfigError, match=r"source\.member: a workbook is read as it is"):
        rows_of(spec_of(CITIES, options='member = "x"'))


GEOMETRY = '[geometry]\ntype = "Point"\nsource_crs = "EPSG:4326"\n'


def test_x_and_y_or_a_text_are_the_geometry(spec_of: SpecOf) -> None:
    rows = [("id", "name", "lon", "lat", "wkt"), (1, "a", -66.6, 18, "POINT (1 2)")]
    assert rows_of(spec_of(rows, more=f'{GEOMETRY}x = "lon"\ny = "lat"'))[0] == {
        "id": 1,
        "name": "a",
        "geom.x": -66.6,
        "geom.y": 18,
    }
    assert rows_of(spec_of(rows, more=f'{GEOMETRY}source = "wkt"'))[0]["geom"] == "POINT (1 2)"


def test_a_transform_gets_every_column_with_its_own_type(spec_of: SpecOf, tmp_path: Path) -> None:
    rows = [("id", "day", None, "mixed"), (1, DAY, "x", 5), (2, MOMENT, None, "y")]
    spec = spec_of(rows).model_copy(update={"transform": tmp_path / "city.py"})
    assert table_of(spec).to_pydict() == {
        "id": [1, 2],
        "day": [DAY, MOMENT],
        "3": ["x", None],
        "mixed": ["5", "y"],
    }
