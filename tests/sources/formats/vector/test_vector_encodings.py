"""Texts of a shapefile: the declared encoding, else the .cpg's however it is spelled, else the .dbf's own byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.formats.vector.codec import codec_named
from tests.sources.formats.vector.vector_cases import collection, names, park, rows, write_dbf, write_points


@pytest.mark.parametrize(
    ("cpg", "codec"),
    [
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("UTF_8", "utf-8"),
        ("65001", "utf-8"),
        ("CP65001", "utf-8"),
        ("1252", "cp1252"),
        ("ANSI 1252", "cp1252"),
        ("ANSI_1252", "cp1252"),
        ("windows-1252", "cp1252"),
        ("Windows 1252", "cp1252"),
        ("CP-1252", "cp1252"),
        ("ISO-8859-1", "iso8859-1"),
        ("ISO 8859-1", "iso8859-1"),
        ("ISO8859-15", "iso8859-15"),
        ("88591", "iso8859-1"),
        ("885915", "iso8859-15"),
        ("8859_2", "iso8859-2"),
        ("28591", "iso8859-1"),
        ("LATIN1", "iso8859-1"),
        ("Latin-9", "iso8859-15"),
        ("OEM 437", "cp437"),
        ("DOS 850", "cp850"),
        ("MS-DOS 866", "cp866"),
        ("IBM850", "cp850"),
        ("1251", "cp1251"),
        ("KOI8-R", "koi8-r"),
        ("Shift_JIS", "shift_jis"),
        ("Windows-31J", "cp932"),
        ("932", "cp932"),
        ("936", "gbk"),
        ("GB18030", "gb18030"),
        ("Big5", "big5"),
        ("EUC-KR", "euc_kr"),
        ("x-mac-roman", "mac-roman"),
        ("10000", "mac-roman"),
        ("Klingon", None),
        ("ANSI", None),
        ("base64", None),
        ("", None),
    ],
)
def test_an_encoding_is_known_by_each_of_its_names(cpg: str, codec: str | None) -> None:
    assert codec_named(cpg) == codec


@pytest.mark.parametrize(
    ("cpg", "codec", "text"),
    [
        (b"UTF-8", "utf-8", "Łódź 日本"),
        (b"\xef\xbb\xbfUTF-8\r\n", "utf-8", "Łódź"),
        (b"UTF-8\0", "utf-8", "Łódź"),
        (b"ANSI 1252", "cp1252", "Müller “x” €"),
        (b"1251\n", "cp1251", "Москва"),
        (b"88591", "cp1252", "curly “quotes”"),
        (b"936", "gbk", "北京市海淀区"),
        (b"932", "cp932", "東京都 表示"),
        (b"LDID/101", "cp866", "Москва"),
    ],
)
def test_the_cpg_is_obeyed(cpg: bytes, codec: str, text: str, tmp_path: Path) -> None:
    assert names(park(write_points(tmp_path, [b"plain", text.encode(codec)], cpg=cpg))) == ["plain", text]


@pytest.mark.parametrize(
    ("language", "codec", "text"),
    [
        (0x00, "cp1252", "Müller “x”"),
        (0x01, "cp437", "Müller"),
        (0x02, "cp850", "Ærø"),
        (0x03, "cp1252", "Müller “x”"),
        (0x04, "mac-roman", "Müller"),
        (0x13, "cp932", "日本"),
        (0x26, "cp866", "Москва"),
        (0x4D, "gbk", "北京"),
        (0x4E, "cp949", "서울"),
        (0x4F, "cp950", "台北"),
        (0x57, "cp1252", "Müller “x”"),
        (0x64, "cp852", "Łódź"),
        (0x6A, "cp737", "Αθήνα"),
        (0x7D, "cp1255", "ירושלים"),
        (0x7E, "cp1256", "مكة"),
        (0xC8, "cp1250", "Łódź"),
        (0xC9, "cp1251", "Москва"),
        (0xCA, "cp1254", "İstanbul"),
        (0xCB, "cp1253", "Αθήνα"),
        (0xCC, "cp1257", "Rīga"),
        (0xFF, "cp1252", "Müller"),
    ],
    ids=lambda value: hex(value) if isinstance(value, int) else value if value.isascii() else "",
)
def test_without_a_cpg_the_language_byte_of_the_dbf_is_obeyed(
    language: int, codec: str, text: str, tmp_path: Path
) -> None:
    path = write_points(tmp_path, [b"plain", text.encode(codec)], language=language)
    assert names(park(path)) == ["plain", text]


def test_a_language_that_nobody_can_decode_asks_for_the_encoding(tmp_path: Path) -> None:
    path = write_points(tmp_path, [b"plain"], language=0x69)
    with pytest.raises(SourceUnreadableError, match=r"its encoding is 'LDID/105' that a \.dbf can have; declare"):
        rows(park(path))


def test_the_cpg_wins_over_the_language_byte(tmp_path: Path) -> None:
    path = write_points(tmp_path, ["é 日本".encode()], language=0x57, cpg=b"UTF-8")
    assert names(park(path)) == ["é 日本"]


def test_what_is_declared_wins_over_the_cpg(tmp_path: Path) -> None:
    path = write_points(tmp_path, ["Müller".encode("cp1252")], cpg=b"UTF-8")
    with pytest.raises(SourceUnreadableError, match=r"park\.shp, row 1, column 'name': 'M.+xfcller' is no UTF-8; decl"):
        rows(park(path))
    assert names(park(path, encoding="cp1252")) == ["Müller"]


@pytest.mark.parametrize("cpg", [None, b"1252"])
def test_utf_8_that_is_called_something_else_is_an_error(cpg: bytes | None, tmp_path: Path) -> None:
    path = write_points(tmp_path, ["Müller".encode(), b"plain", "Mayagüez".encode()], cpg=cpg)
    with pytest.raises(
        SourceUnreadableError, match=r"2 values with letters beyond ASCII is UTF-8; declare source\.enc"
    ):
        rows(park(path))
    assert names(park(path, encoding="utf-8")) == ["Müller", "plain", "Mayagüez"]


def test_a_letter_that_is_cut_in_half_is_an_error_and_not_a_question_mark(tmp_path: Path) -> None:
    path = write_points(tmp_path, ["abcdefghé".encode()[:-1]], cpg=b"UTF-8")
    with pytest.raises(SourceUnreadableError, match=r"row 1, column 'name': 'abcdefgh.+xc3' is no UTF-8"):
        rows(park(path))


def test_half_a_letter_at_the_end_of_a_full_column_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_points(tmp_path, ["abcdefghé".encode()[:-1], "é".encode()], cpg=b"UTF-8", width=9)
    assert names(park(path)) == ["abcdefgh", "é"]
    assert "1 texts fill their column and end within a letter" in caplog.text


@pytest.mark.parametrize("encoding", ["klingon", "utf-16", "base64"])
def test_an_encoding_that_no_dbf_can_have_is_named(encoding: str, tmp_path: Path) -> None:
    path = write_points(tmp_path, [b"plain"])
    with pytest.raises(SourceUnreadableError, match=rf"source\.encoding = '{encoding}' is none that a \.dbf can have"):
        rows(park(path, encoding=encoding))


def test_a_cpg_that_says_nothing_known_asks_for_the_encoding(tmp_path: Path) -> None:
    path = write_points(tmp_path, [b"plain"], cpg=b"Klingon")
    with pytest.raises(SourceUnreadableError, match="it says its encoding is 'Klingon'"):
        rows(park(path))


def test_names_of_columns_are_decoded_like_their_texts(tmp_path: Path) -> None:
    path = write_points(tmp_path, ["Ärger".encode("cp1252")], cpg=b"1252", name="Größe".encode("cp1252"))
    assert names(park(path, {"name": ("Größe", "text")})) == ["Ärger"]


def test_a_dbf_alone_is_decoded_as_that_of_a_shapefile(tmp_path: Path) -> None:
    write_dbf(tmp_path / "park.dbf", ["Москва".encode("cp866")], language=0x65)
    assert names(park(tmp_path / "park.dbf", geometry={})) == ["Москва"]
    (tmp_path / "park.CPG").write_bytes(b"1251")
    write_dbf(tmp_path / "park.dbf", ["Москва".encode("cp1251")], language=0x65)
    assert names(park(tmp_path / "park.dbf", geometry={})) == ["Москва"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_a_geojson_in_the_declared_encoding_keeps_its_letters(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "Müller"}), encoding=encoding)
    assert names(park(path, encoding=encoding)) == ["Müller"]


def test_a_geojson_in_latin_1_that_is_not_declared_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "Müller"}), encoding="latin-1")
    with pytest.raises(SourceUnreadableError, match=r"row 1, column 'name': 'M.+xfcller' is no UTF-8; declare"):
        rows(park(path))


def test_a_declared_encoding_that_is_wrong_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "park.geojson"
    path.write_text(collection({"id": 1, "name": "Müller"}), encoding="utf-8")
    with pytest.raises(SourceUnreadableError, match=r"cannot be read as source\.encoding = 'ascii'.*declare another"):
        rows(park(path, encoding="ascii"))
