"""Values of a .dbf come as their characters say, or as these characters: none is bent to fit its column."""

from __future__ import annotations

import datetime as dt
import random
import struct
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyogrio.raw
import pytest

from sluiceway.errors import SchemaDriftError, SluicewayError, SourceTooLargeError, SourceUnreadableError
from sluiceway.sources.formats.vector import dbase
from tests.sources.formats.vector.dbase_cases import Field, write_dbt, write_fpt, write_shapes, write_table
from tests.sources.formats.vector.vector_cases import park, rows
from tests.sources.opened import opened


def values(path: Path, kind: bytes, width: int, decimals: int, *given: bytes) -> list[Any]:
    """What comes of one column `v` of these values."""
    write_table(path, [Field(b"v", kind, width, decimals)], [[value] for value in given])
    return [row["v"] for row in rows(park(path, {"v": "text"}, {}))]


@pytest.mark.parametrize(
    ("kind", "width", "decimals", "given", "found"),
    [
        (b"N", 5, 0, (b"12", b"-7", b"+5", b"", b"*****", b"\0\0\0\0\0"), [12, -7, 5, None, None, None]),
        (b"N", 10, 0, (b"120.5", b"99"), [120.5, 99.0]),
        (b"N", 10, 0, (b"309,92", b"1"), ["309,92", "1"]),
        (b"N", 10, 2, (b"309,92", b"1.50"), ["309,92", "1.50"]),
        (b"N", 10, 0, (b"12 345", b"1"), ["12 345", "1"]),
        (b"N", 10, 0, (b"0x10", b"1-2"), ["0x10", "1-2"]),
        (b"N", 12, 0, ("12é".encode("cp1252"),), ["12é"]),
        (b"N", 18, 0, (b"123456789012345678", b"123456789012345679"), [123456789012345678, 123456789012345679]),
        (b"N", 19, 0, (b"1234567890123456789",), [Decimal("1234567890123456789")]),
        (b"N", 20, 0, (b"12345678901234567891", b"-1", b""), [Decimal("12345678901234567891"), Decimal(-1), None]),
        (b"N", 40, 0, (b"1" * 40, b"2"), ["1" * 40, "2"]),
        (b"F", 20, 0, (b"12345678901234567e19", b"1"), ["12345678901234567e19", "1"]),
        (b"N", 20, 4, (b"123456789012345.6789",), [Decimal("123456789012345.6789")]),
        (b"N", 24, 15, (b"12345.678900000000795", b"0.100000000000000"), [12345.6789, 0.1]),
        (b"F", 19, 11, (b"1.23456789012e+003", b"-.5"), [1234.56789012, -0.5]),
        (b"F", 19, 11, (b"1e400", b"1"), ["1e400", "1"]),
        (b"F", 8, 2, (b"nan", b"1"), ["nan", "1"]),
        (
            b"D",
            8,
            0,
            (b"20200229", b"00000000", b"", b"00010101"),
            [dt.date(2020, 2, 29), None, None, dt.date(1, 1, 1)],
        ),
        (b"D", 8, 0, (b"20201345", b"20200229"), ["20201345", "2020-02-29"]),
        (b"D", 8, 0, (b"20190229",), ["20190229"]),
        (b"D", 8, 0, (b"2020", b"20200431"), ["2020", "20200431"]),
        (b"D", 10, 0, (b"2020/01/31",), ["2020/01/31"]),
        (b"L", 1, 0, (b"T", b"y", b"F", b"n", b"?", b" "), [True, True, False, False, None, None]),
        (b"L", 1, 0, (b"1", b"T"), ["1", "T"]),
        (b"C", 6, 0, (b"  ab", b"a\0b", b"", b"a\tb"), ["ab", "a", None, "a\tb"]),
        (b"C", 300, 0, (b"x" * 300,), ["x" * 300]),
        (b"I", 4, 0, (struct.pack("<i", -7),), [-7]),
        (b"B", 8, 0, (struct.pack("<d", 2.5),), [2.5]),
        (
            b"Y",
            8,
            0,
            (struct.pack("<q", -12345), struct.pack("<q", 2**62)),
            [Decimal("-1.2345"), Decimal(2**62) / 10_000],
        ),
        (
            *(b"T", 8, 0, (struct.pack("<ii", 2_458_850, 3_600_000), b"")),
            [dt.datetime(2020, 1, 1, 1), None],  # noqa: DTZ001  # it names no zone
        ),
    ],
)
def test_a_value_comes_as_its_characters_say(
    tmp_path: Path, kind: bytes, width: int, decimals: int, given: tuple[bytes, ...], found: list[Any]
) -> None:
    assert values(tmp_path / "a.dbf", kind, width, decimals, *given) == found


def test_plain_values_are_those_of_gdal(tmp_path: Path) -> None:
    pick = random.Random(7)  # no secret
    fields = [
        *(Field(b"small", b"N", 9), Field(b"large", b"N", 18), Field(b"amount", b"N", 12, 3)),
        *(Field(b"area", b"N", 24, 15), Field(b"day", b"D", 8), Field(b"name", b"C", 30), Field(b"sure", b"L", 1)),
    ]
    rows_ = [
        [
            *(str(pick.randint(-(10**7), 10**8)).encode(), str(pick.randint(-(10**16), 10**17)).encode()),
            *(f"{pick.uniform(-1e5, 1e6):.3f}".encode(), f"{pick.uniform(0, 1e6):.15f}".encode()),
            f"{pick.randint(1, 9999):04}{pick.randint(1, 12):02}{pick.randint(1, 28):02}".encode(),
            *(bytes(pick.choices(b"ab xyz\t", k=20)), bytes(pick.choices(b"TF"))),
        ]
        if number % 5
        else [b""] * 6 + [b"?"]
        for number in range(1, 5_000)
    ]
    path = write_table(tmp_path / "a.dbf", fields, rows_, deleted={1, 2, 17, 2_500, 4_999})
    columns = {"small": "integer", "large": "bigint", "amount": "numeric", "area": "double precision"}
    found = rows(park(path, {**columns, "day": "date", "name": "text", "sure": "boolean"}, {}))
    with pyogrio.raw.open_arrow(path, use_pyarrow=True) as (_, reader):
        assert found == reader.read_all().to_pylist()
    assert len(found) == 4_994


def test_shapes_stay_with_their_rows_where_rows_are_deleted(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "park.shp", 4)
    fields = [Field(b"id", b"N", 5), Field(b"v", b"N", 5)]
    write_table(
        path.with_suffix(".dbf"), fields, [[b"1", b"a"], [b"2", b"2"], [b"3", b"3.5"], [b"4", b""]], deleted={2}
    )
    import shapely

    found = rows(park(path, {"id": "integer", "v": "text"}, {"column": "geom"}))
    assert [(row["id"], row["v"], shapely.from_wkb(row["geom"]).x) for row in found] == [
        (1, "a", 1.0),
        (3, "3.5", 3.0),
        (4, None, 4.0),
    ]


@pytest.mark.parametrize("kind", [".fpt", ".dbt", ".dbt of dBase IV"])
def test_memos_are_texts(tmp_path: Path, kind: str) -> None:
    given = ["Müller\r\nsagt".encode("cp1252"), b"x" * 5_000]
    fourth = kind.endswith("IV")
    beside = (tmp_path / "a.dbf").with_suffix(kind[:4])
    blocks = write_fpt(beside, given) if kind == ".fpt" else write_dbt(beside, given, fourth=fourth)
    path = write_table(
        tmp_path / "a.dbf",
        [Field(b"note", b"M", 10)],
        [[str(blocks[0]).rjust(10).encode()], [b""], [str(blocks[1]).rjust(10).encode()]],
        version=0x8B if fourth else 0x83,
    )
    assert [row["note"] for row in rows(park(path, {"note": "text"}, {}))] == ["Müller\r\nsagt", None, "x" * 5_000]


def test_a_memo_is_named_by_four_bytes_as_well(tmp_path: Path) -> None:
    (block,) = write_fpt(tmp_path / "a.fpt", [b"hello"])
    fields = [Field(b"note", b"M", 4)]
    path = write_table(tmp_path / "a.dbf", fields, [[struct.pack("<I", block)], [bytes(4)]], version=0x30)
    assert [row["note"] for row in rows(park(path, {"note": "text"}, {}))] == ["hello", None]


def test_memos_without_their_file_are_one_sentence(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.dbf", [Field(b"id", b"N", 3), Field(b"note", b"M", 10)], [[b"1", b"         1"]])
    with pytest.raises(SchemaDriftError, match=r"'note' holds memos, which stand in a \.dbt or \.fpt.*fetch it too"):
        rows(park(path, {"id": "integer", "note": "text"}, {}))
    assert rows(park(path, {"id": "integer"}, {})) == [{"id": 1}]


@pytest.mark.parametrize("block", [2**31, 99])
def test_a_memo_beyond_its_file_is_one_sentence(tmp_path: Path, block: int) -> None:
    write_fpt(tmp_path / "a.fpt", [b"hello"])
    path = write_table(tmp_path / "a.dbf", [Field(b"note", b"M", 4)], [[struct.pack("<I", block)]], version=0x30)
    with pytest.raises(
        SourceUnreadableError, match=r"row 1, column 'note' has its memo in block [\d,]+, which lies bey"
    ):
        rows(park(path, {"note": "text"}, {}))


def test_a_memo_that_reaches_beyond_its_file_is_one_sentence(tmp_path: Path) -> None:
    (block,) = write_fpt(tmp_path / "a.fpt", [b"hello"])
    content = bytearray((tmp_path / "a.fpt").read_bytes())
    struct.pack_into(">I", content, content.index(b"hello") - 4, 99)
    (tmp_path / "a.fpt").write_bytes(content)
    path = write_table(tmp_path / "a.dbf", [Field(b"note", b"M", 4)], [[struct.pack("<I", block)]], version=0x30)
    with pytest.raises(SourceUnreadableError, match="row 1, column 'note' has a memo that reaches beyond the end"):
        rows(park(path, {"note": "text"}, {}))


@pytest.mark.parametrize(("name", "bound", "most"), [("ROWS_BYTES", 64, 4), ("ROWS_AT_ONCE", 3, 3)])
def test_no_more_rows_are_read_at_once_than_their_width_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int, most: int
) -> None:
    """Also where their shapes are short, of which GDAL would give many."""
    shapes = write_shapes(tmp_path / "park.shp", 10)
    write_table(tmp_path / "park.dbf", [Field(b"v", b"C", 12)], [[b"%d" % number] for number in range(10)])
    monkeypatch.setattr(dbase, name, bound)
    spec = park(shapes, {"v": "text"})
    with opened(spec) as extraction:
        sizes = [batch.num_rows for batch in extraction.batches]
    assert (sum(sizes), max(sizes)) == (10, most)
    file = SimpleNamespace(place="park.shp", cpg=None)
    table = dbase.DbaseTable(spec, spec.source, file, tmp_path / "park.dbf")  # type: ignore[arg-type]  # asked for no more
    assert max(len(chunk) for chunk in table.values("v")[0].chunks) == most


def test_one_long_memo_of_all_rows_is_no_bomb(tmp_path: Path) -> None:
    (block,) = write_fpt(tmp_path / "a.fpt", [b"x" * 4_000_000])
    path = write_table(
        tmp_path / "a.dbf", [Field(b"note", b"M", 4)], [[struct.pack("<I", block)]] * 2_000, version=0x30
    )
    with pytest.raises(SourceTooLargeError, match="the memos from row 1 on take"):
        rows(park(path, {"note": "text"}, {}))
    with pytest.raises(SourceTooLargeError, match=r"holds a memo of 4,000,000 bytes and source\.max_value_bytes"):
        rows(park(path, {"note": "text"}, {}, max_value_bytes=1_000_000))


def test_a_memo_that_does_not_end_is_read_no_further_than_a_value_may_be_long(tmp_path: Path) -> None:
    (block,) = write_dbt(tmp_path / "a.dbt", [b"x" * 1_000_000])
    path = write_table(tmp_path / "a.dbf", [Field(b"note", b"M", 10)], [[str(block).rjust(10).encode()]], version=0x83)
    assert len(rows(park(path, {"note": "text"}, {}, max_value_bytes=1_000_000))[0]["note"]) == 1_000_000
    with pytest.raises(SourceTooLargeError, match=r"holds a memo of more than 102,400 bytes and source\.max_value_byt"):
        rows(park(path, {"note": "text"}, {}, max_value_bytes=100_000))


def test_foxpro_says_by_bits_what_is_null_and_how_long_a_text_is(tmp_path: Path) -> None:
    fields = [
        Field(b"id", b"I", 4),
        Field(b"n", b"I", 4, flags=0x02),
        Field(b"name", b"V", 10, flags=0x02),
        Field(b"_NullFlags", b"0", 1, flags=0x05),
    ]
    given = [
        [struct.pack("<i", 1), struct.pack("<i", 5), b"ab".ljust(9) + b"\x02", bytes([0b010])],
        [struct.pack("<i", 2), struct.pack("<i", 0), b"abcdefghij", bytes([0b001])],
        [struct.pack("<i", 3), struct.pack("<i", 0), b"", bytes([0b100])],
    ]
    path = write_table(tmp_path / "a.dbf", fields, given, version=0x30)
    with opened(park(path, {"id": "integer"}, {})) as extraction:
        assert dict(extraction.columns) == {"id": "number", "n": "number", "name": "text"}
    assert rows(park(path, {"id": "integer", "n": "integer", "name": "text"}, {})) == [
        {"id": 1, "n": 5, "name": "ab"},
        {"id": 2, "n": None, "name": "abcdefghij"},
        {"id": 3, "n": 0, "name": None},
    ]


def test_what_is_no_text_is_refused_where_it_is_declared(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.dbf", [Field(b"id", b"N", 3), Field(b"ole", b"G", 10)], [[b"1", b"         7"]])
    with pytest.raises(SchemaDriftError, match="'ole' is of dBase's type G"):
        rows(park(path, {"ole": "text"}, {}))


def test_a_name_that_stands_twice_is_told_apart_by_a_number(tmp_path: Path) -> None:
    fields = [
        Field(b"id", b"N", 3),
        Field(b"v", b"C", 3),
        Field(b"v", b"N", 3),
        Field(b"v_1", b"C", 3),
        Field(b"", b"C", 1),
    ]
    path = write_table(tmp_path / "a.dbf", fields, [[b"1", b"a", b"2", b"c", b"d"]])
    with opened(park(path, {"id": "integer"}, {})) as extraction:
        assert list(extraction.columns) == ["id", "v_2", "v_3", "v_1", "5"]
    assert rows(park(path, {"v_2": "text", "v_3": "integer"}, {})) == [{"v_2": "a", "v_3": 2}]
    with pytest.raises(SchemaDriftError, match="'v' is missing; known: 5, id, v_1, v_2, v_3"):
        rows(park(path, {"v": "text"}, {}))


def test_columns_that_do_not_fit_the_rows_are_one_sentence(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.dbf", [Field(b"id", b"N", 9)], [[b"1"]])
    content = bytearray(path.read_bytes())
    content[10:12] = struct.pack("<H", 6)
    path.write_bytes(content)
    with pytest.raises(SourceUnreadableError, match="says a row has 6 bytes and its columns 10"):
        rows(park(path, {"id": "integer"}, {}))


def test_rows_of_64_kb_are_read_few_at_once(tmp_path: Path) -> None:
    fields = [Field(f"c{number}".encode(), b"C", 65_000 // 20) for number in range(20)]
    path = write_table(tmp_path / "a.dbf", fields, [[b"x" * 3_250] * 20] * 300)
    with opened(park(path, {"c7": "text"}, {})) as extraction:
        sizes = [batch.num_rows for batch in extraction.batches]
    assert sum(sizes) == 300
    assert max(sizes) <= 128


def test_a_broken_header_or_memo_is_rows_or_one_sentence(tmp_path: Path) -> None:
    """Each byte of the description, in turn, is another one."""
    (block,) = write_fpt(tmp_path / "a.fpt", [b"hello"])
    fields = [Field(b"id", b"N", 4), Field(b"day", b"D", 8), Field(b"note", b"M", 4), Field(b"name", b"C", 5)]
    good = [[b"1", b"20200229", struct.pack("<I", block), b"abc"], [b"2", b"", bytes(4), b"x"]]
    path = write_table(tmp_path / "a.dbf", fields, good, version=0x30)
    whole = path.read_bytes()
    outcomes = set()
    for at in range(len(whole)):
        for value in {0, 0xFF, ord("V")} - {whole[at]} if at < 44 else {0xFF}:
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                outcomes.add(len(rows(park(path, {"id": "text", "note": "text"}, {}))))
            except SluicewayError as error:
                assert "\n" not in str(error)
                outcomes.add(type(error).__name__)
    assert {2, "SourceUnreadableError", "SchemaDriftError"} <= outcomes
