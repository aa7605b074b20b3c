"""The encoding of a text is found by all of its letters, one that is said is believed, and a person can say another."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.encodings import LEAST, LISTS, measure
from sluiceway.errors import ConfigError
from tests.infer.drafted import Drafted, drafted, zipped
from tests.sources.formats.vector.dbase_cases import Field, write_shapes, write_table

ROWS = {
    "cp932": ["北海道函館市", "山形県鶴岡市", "愛知県豊田市", "広島県呉市", "長崎県佐世保市", "沖縄県那覇市"],
    "gb18030": ["山东省烟台市", "湖北省宜昌市", "四川省绵阳市", "陕西省宝鸡市", "云南省曲靖市", "海南省三亚市"],
    "big5": ["新北市三重區", "臺南市永康區", "彰化縣鹿港鎮", "雲林縣虎尾鎮", "屏東縣潮州鎮", "宜蘭縣礁溪鄉"],
    "cp949": ["경상남도 통영시", "전라남도 목포시", "충청북도 제천시", "경기도 용인시", "강원도 속초시"],
    "euc-jp": ["岐阜県高山市", "三重県松阪市", "滋賀県彦根市", "京都府宇治市", "福岡県久留米市"],
}


@pytest.mark.parametrize("name", LISTS)
def test_texts_of_all_languages_are_found_and_none_wrongly_without_a_remark(name: str) -> None:
    found = measure(LISTS[name])
    assert found["encodings"] >= 20
    assert {kind: found[kind] >= least for kind, least in LEAST.items()} == dict.fromkeys(LEAST, True), found["wrong"]
    assert found["wrong_without_a_remark"] == 0


@pytest.mark.parametrize(
    "row",
    [
        "£1234.50",
        "San\u00a0José",
        "25 °C",
        "7 µg",
        "O’Neill",
        "don’t – wait",
        "½ pint",
        "“so” she said",
        "12 m²",
        "€ 5",
    ],
)
def test_signs_are_no_evidence_against_cp1252(tmp_path: Path, row: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"id;v\n1;{row}\n2;plain\n3;{row}\n".encode("cp1252"))
    assert draft.source["encoding"] == "cp1252"


@pytest.mark.parametrize("encoding", ROWS)
@pytest.mark.parametrize("rows", [2, 800])
def test_texts_of_two_bytes_a_letter_are_told_apart(tmp_path: Path, encoding: str, rows: int) -> None:
    pick = random.Random(rows)
    text = "id,name\n" + "".join(f"{number},{pick.choice(ROWS[encoding])}\n" for number in range(rows))
    draft = drafted(tmp_path, "a.csv", text.encode(encoding))
    assert text.encode(encoding).decode(draft.source["encoding"]) == text
    assert any(row.split()[0] in draft.comment("encoding") for row in ROWS[encoding])


def test_japanese_of_seven_bits_is_found(tmp_path: Path) -> None:
    assert drafted(tmp_path, "a.csv", "id,name\n1,東京\n".encode("iso2022-jp")).source["encoding"] == "iso2022-jp"


def table(path: Path, *names: bytes, cpg: bytes | None = None, language: int = 0) -> Drafted:
    """The draft for a .dbf of an id and a name, alone or beside shapes."""
    if path.suffix == ".shp":
        write_shapes(path, len(names))
    rows = [[str(number).encode(), name] for number, name in enumerate(names, 1)]
    fields = [Field(b"id", b"N", 5), Field(b"name", b"C", 24)]
    write_table(path.with_suffix(".dbf"), fields, rows, language=language)
    if cpg is not None:
        path.with_suffix(".cpg").write_bytes(cpg)
    return Drafted(path, path.parent / "drafted.toml")


@pytest.mark.parametrize("name", ["a.shp", "a.dbf"])
def test_a_cpg_that_is_wrong_is_not_believed_and_told(tmp_path: Path, name: str) -> None:
    draft = table(tmp_path / name, *("Peñasco".encode("cp1252"), "Cañón".encode("cp1252")), cpg=b"UTF-8")
    assert draft.source["encoding"] == "cp1252"
    assert "its .cpg says UTF-8, in which its texts cannot be read" in draft.comment("encoding")
    assert "Peñasco" in draft.comment("encoding")


@pytest.mark.parametrize(
    ("codec", "text"), [("cp1251", "Нижний Тагил"), ("gb18030", "山东省烟台市"), ("cp1250", "Łódź")]
)
def test_a_dbf_alone_is_looked_at(tmp_path: Path, codec: str, text: str) -> None:
    assert table(tmp_path / "a.dbf", text.encode(codec), b"x").source["encoding"] == codec


def test_a_dbf_in_a_zip_is_looked_at(tmp_path: Path) -> None:
    table(tmp_path / "a.dbf", "Москва".encode("cp1251"))
    draft = drafted(tmp_path, "b.zip", zipped(a__dbf=(tmp_path / "a.dbf").read_bytes()))
    assert draft.source["encoding"] == "cp1251"


@pytest.mark.parametrize(
    ("language", "codec", "text"),
    [(0x65, "cp866", "Тверь"), (0x64, "cp852", "Plzeň"), (0x13, "cp932", "ﾐﾅﾐ"), (0x02, "cp850", "Malmö")],
)
def test_a_header_that_names_an_encoding_is_believed(tmp_path: Path, language: int, codec: str, text: str) -> None:
    draft = table(tmp_path / "a.dbf", text.encode(codec), b"plain", language=language)
    assert text.encode(codec).decode(draft.source.get("encoding", codec)) == text


def test_a_header_in_which_the_texts_cannot_be_read_is_not_believed(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", "Malé Žernoseky".encode("cp1250"), "Děčín".encode("cp1250"), language=0x4D)
    assert draft.source["encoding"] == "cp1250"
    assert "its header says gbk, in which its texts cannot be read" in draft.comment("encoding")


def test_texts_in_utf_8_are_so_whatever_is_said(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", "Zürich".encode(), "Łódź".encode(), cpg=b"1252")
    assert draft.source["encoding"] == "UTF-8"
    assert "its .cpg says 1252, and its texts are UTF-8" in draft.comment("encoding")
    assert "encoding" not in table(tmp_path / "b.dbf", "Zürich".encode(), cpg=b"UTF-8").source


def test_a_cpg_that_nobody_knows_is_replaced(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", b"plain", cpg=b"Klingon")
    assert draft.source["encoding"] == "UTF-8"
    assert "its .cpg says Klingon" in draft.comment("encoding")


def test_a_letter_cut_in_half_at_a_columns_end_is_no_evidence(tmp_path: Path) -> None:
    draft = table(tmp_path / "a.dbf", ("x" * 23 + "é").encode()[:24], "Zürich".encode(), "Genève".encode())
    assert draft.source["encoding"] == "UTF-8"


def test_a_person_can_name_the_encoding(tmp_path: Path) -> None:
    content = "id;name\n1;Größe\n".encode("cp850")
    draft = drafted(tmp_path, "a.csv", content, encoding="cp850")
    assert (draft.source["encoding"], draft.comment("encoding")) == ("cp850", "")
    table(tmp_path / "b.dbf", "Größe".encode("cp850"))
    assert Drafted(tmp_path / "b.dbf", tmp_path / "b.toml", encoding="cp850").source["encoding"] == "cp850"


@pytest.mark.parametrize(
    ("name", "content", "encoding", "said"),
    [
        ("a.csv", b"id\n1\n", "klingon", "'klingon' is no encoding of texts"),
        ("a.csv", b"id\n1\n", "base64", "'base64' is no encoding of texts"),
        ("a.json", b'[{"id": 1}]', "cp1252", "a source of kind json says its encoding itself"),
    ],
)
def test_an_encoding_that_cannot_be_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, encoding: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        drafted(tmp_path, name, content, encoding=encoding)
