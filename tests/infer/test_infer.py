"""What a draft says about a file: how it is read, what its columns are, and what identifies a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SluicewayError,
    SourceMissingError,
    SourceUnreadableError,
)
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import check_output, infer
from tests.infer.drafted import Drafted, drafted, gzipped, zipped
from tests.sources.formats.test_excel import ole, strict, workbook

ROWS = "".join(f"{number},x\n" for number in range(1, 40))
CITIES = {
    "cp1252": "Østjylland Århus København Rødovre Ærø Måløv",
    "latin-1": "Valle d'Aosta Forlì Città perché Però Più",
    "cp1250": "Plzeň České Budějovice Žďár Šumperk Těšín Příbram Třebíč",
    "iso-8859-2": "Łódź Gdańsk Wrocław Poznań Częstochowa Rzeszów Świnoujście",
    "cp1251": "Москва Санкт-Петербург Нижний Новгород",
    "koi8-r": "Москва Санкт-Петербург Нижний Новгород",
    "cp1253": "Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο",
    "cp1254": "İstanbul Şırnak Ağrı Eskişehir Çorum Gümüşhane Iğdır",
    "cp1257": "Šiauliai Panevėžys Kėdainiai Mažeikiai Ąžuolas",
    "cp850": "München Köln Düsseldorf Straße Österreich",
    "mac-roman": "München Köln Düsseldorf Straße Österreich",
    "cp932": "東京都 とうきょう カナガワ 大阪府 おおさか",
    "cp949": "서울특별시 부산광역시 대구광역시",
    "gb18030": "北京市 上海市 广东省 人口 名称 中国的城市",
    "big5": "臺北市 中國 人口 名稱 縣市 這個 高雄市",
    "utf-16": "Zürich Łódź Москва",
    "utf-16-le": "Zurich, Winterthur and others",
    "utf-8-sig": "Zürich Łódź Москва 東京都",
}


@pytest.mark.parametrize("encoding", CITIES)
def test_a_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    text = CITIES[encoding]
    draft = drafted(tmp_path, "city.csv", f"id;name\n1;{text}\n2;plain\n".encode(encoding))
    read = (tmp_path / "city.csv").read_bytes().decode(draft.source.get("encoding", "utf-8-sig"))
    assert f"1;{text}\n" in read


def test_a_word_of_a_million_letters_is_looked_at_at_once(tmp_path: Path) -> None:
    """As a genome has it: a search that goes back for each letter would take weeks."""
    long = "ACGT" * 250_000
    draft = drafted(tmp_path, "a.csv", f"id,name\n1,{long}\n2,Mayagüez\n".encode("cp1252"))
    assert draft.source["encoding"] == "cp1252"


@pytest.mark.parametrize("names", ["id,na\0me", "id,name,NAME,Name"])
def test_a_header_that_no_database_takes_is_drafted(tmp_path: Path, names: str) -> None:
    width = len(names.split(","))
    # one zero byte among many letters is dirt, and no text in UTF-16
    lines = "".join(",".join([str(number)] * width) + "\n" for number in range(2_000))
    assert len(drafted(tmp_path, "a.csv", f"{names}\n{lines}").types) == width


@pytest.mark.parametrize("text", ['{"a": [1], "b\\u00": [{"id": 1}]}', '{"a\\x": {"b": [{"id": 1}]}}'])
def test_a_document_with_a_broken_key_is_called_broken(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SluicewayError, match=r"a\.json"):
        infer(Asked(str(tmp_path / "a.json")))


def test_utf_8_is_not_declared(tmp_path: Path) -> None:
    assert "encoding" not in drafted(tmp_path, "a.csv", "id,name\n1,Zürich\n").source


def test_a_found_encoding_shows_words_to_judge_it_by(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name\n1,Mayagüez\n".encode("cp1252"))
    assert draft.source["encoding"] == "cp1252"
    assert "Mayagüez" in draft.comment("encoding")


def test_a_byte_that_is_no_utf_8_counts_in_the_last_row_too(tmp_path: Path) -> None:
    rows = "".join(f"{number},plain\n" for number in range(60_000))
    draft = drafted(tmp_path, "a.csv", f"id,name\n{rows}60001,Café\n".encode("cp1252"))
    assert draft.source["encoding"] == "cp1252"


def test_utf_8_with_one_broken_byte_is_not_read_as_another_encoding(tmp_path: Path) -> None:
    rows = "".join(f"{number},Zürich\n" for number in range(100)).encode()
    with pytest.raises(SourceUnreadableError, match="byte 0xe9 in line 102 is no UTF-8, but the rest"):
        drafted(tmp_path, "a.csv", b"id,name\n" + rows + b"101,Caf\xe9\n")


@pytest.mark.parametrize(
    ("content", "source"),
    [
        ("id,name\n1,a\n2,b\n", {}),
        ("id\tname\n1\ta\n2\tb\n", {"delimiter": "\t"}),
        ("id;name\n1;a,b\n2;c\n", {"delimiter": ";"}),
        ("id|name\n1|a\n2|b\n", {"delimiter": "|"}),
        ("id;name\n1;'x;y'\n2;'z'\n", {"delimiter": ";", "quote": "'"}),
        ('id,t\n1,"he said \\"hi\\", ok"\n2,"b"\n', {"escape": "\\"}),
        ("id,path\n" + '1,"C:\\"\n2,"D:\\"\n', {}),
        ("# by x\n# second, line\nid,name\n1,a\n# mid\n2,b\n", {"comment": "#"}),
        ("#id,name\n1,a\n2,b\n", {}),
        ("Report\nof 2020-01-01\n\nid,name\n1,a\n2,b\n", {"skip_lines": 3}),
        (f"id,name\n{ROWS}Total of all things\n", {"skip_footer": 1}),
        (f"id,name\n{ROWS}\nSource: the office\nas of 2020\n", {"skip_footer": 2}),
        ('1,"Goroka",-6.08\n2,"Madang",-5.2\n', {"header": False}),
        ("code,2010,2011\nDE,1.5,2\nFR,3,4\n", {}),
        ("id,name\n1,a,\n2,b,\n3,c,\n", {"header": False, "skip_lines": 1}),
        ("id\r1\r2\r", {}),
        ('id,name\r\n1,"a\r\nb"\r\n2,c\r\n', {}),
    ],
)
def test_a_text_is_read_by_its_own_rules(tmp_path: Path, content: str, source: dict[str, object]) -> None:
    draft = drafted(tmp_path, "a.csv", content)
    assert {**draft.source} == {**source, **({"skip_lines": 2} if source.get("skip_lines") == 3 else {})}
    assert "checks" not in draft.data


def test_quotes_that_enclose_nothing_are_no_quotes(tmp_path: Path) -> None:
    rows = "".join(f"{number}\tx\n" for number in range(30))
    stray = f'id\tname\n{rows}98\t"Big" John\n99\t"open\n100\tand "so on\n'
    draft = drafted(tmp_path, "a.tsv", stray)
    assert draft.source["quote"] == "\x01"
    assert "checks" not in draft.data


def test_a_quote_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadableError, match="quote"):
        drafted(tmp_path, "a.csv", f'id,name\n0,"a, b"\n{ROWS}98,"cut off here\n')
    with pytest.raises(SourceUnreadableError, match="quote"):
        drafted(tmp_path, "b.csv", f'id,name\n{ROWS}98,"cut off here')


def test_a_nul_byte_among_good_rows_costs_its_row_only(tmp_path: Path) -> None:
    rows = "".join(f"{number},plain text\n" for number in range(200))
    draft = drafted(tmp_path, "a.csv", f"id,name\n{rows}999,bad\x00\n")
    assert draft.data["checks"] == {"max_rejects": 1}


def test_coordinates_whose_names_stand_twice_stay_numbers(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,lat,lon,lat\n1,2.5,3.25,4\n2,3.5,1.25,7\n")
    assert "geometry" not in draft.data


def test_names_that_are_fewer_than_the_values_are_kept(tmp_path: Path) -> None:
    assert list(drafted(tmp_path, "a.csv", "id,name\n1,a,\n2,b,\n").types) == ["id", "name"]
    assert list(drafted(tmp_path, "b.csv", "speed,dist\na,4,2\nb,7,5\n").types) == ["row_name", "speed", "dist"]


def test_a_delimiter_at_the_end_of_each_line_makes_no_column(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name,\n1,a,\n2,b,\n")
    assert list(draft.types) == ["id", "name"]
    assert "'3' is left out: it has neither a name nor a value" in draft.text


def test_a_first_record_that_may_be_data_is_remarked(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "Alice\nBob\nCharles\n")
    assert "if it is data, set header = false" in draft.text


def test_a_total_in_the_last_record_is_remarked(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,n\n{ROWS}Total,99\n")
    assert "set skip_footer = 1" in draft.text


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1", "2", ""], "integer"),
        (["1", "9223372036854775807"], "bigint"),
        (["1", "9223372036854775808"], "text"),
        (["007", "12"], "text"),
        (["0", "12"], "integer"),
        (["+49 1", "+49 2"], "text"),
        (["+491", "+492"], "text"),
        (["1.50", "20.25"], "numeric"),
        (["1.5", "20.25"], "double precision"),
        (["1e3", "2.5"], "double precision"),
        (["0.12345678901234567890", "0.5"], "numeric"),
        (["true", "false"], "boolean"),
        (["Y", "N"], "boolean"),
        (["y", "y"], "text"),
        (["1", "0"], "integer"),
        (["2020-01-31", "2020-02-29"], "date"),
        (["2020-01-31", "2020-02-30"], "text"),
        (["2020-01-31 05:00", "2020-02-01 06:30"], "timestamp"),
        (["2020-01-31T05:00:00Z", "2020-02-01T06:30:00+02:00"], "timestamptz"),
        (["2020-01-31T05:00:00Z", "2020-02-01T06:30:00"], "text"),
        (["6f1a1c2e-0b0f-4a6e-9c61-3f4f5d0c8a11"], "uuid"),
        (["1", "a"], "text"),
        (["12:30", "13:45"], "text"),
        (["10.0.0.1", "10.0.0.2"], "text"),
        (["NaN", "1.5"], "numeric"),
        (["", ""], "text"),
    ],
)
def test_a_column_is_of_the_type_of_all_its_values(tmp_path: Path, values: list[str], type_: str) -> None:
    rows = "".join(f"k{number},{value}\n" for number, value in enumerate(values))
    draft = drafted(tmp_path, "a.csv", f"code,v\n{rows}")
    assert draft.types["v"] == type_
    assert "checks" not in draft.data


def test_one_value_in_the_last_row_decides(tmp_path: Path) -> None:
    rows = "".join(f"k{number},{number}\n" for number in range(30_000))
    draft = drafted(tmp_path, "a.csv", f"code,v\n{rows}last,12a\n")
    assert draft.types["v"] == "text"
    assert "1 of 30,001 values is no number, such as '12a'" in draft.comment("v")


@pytest.mark.parametrize(
    ("values", "format_"),
    [
        (["31/12/2020", "01/02/2021"], "%d/%m/%Y"),
        (["12/31/2020", "01/02/2021"], "%m/%d/%Y"),
        (["31.12.2020", "1.2.2021"], "%d.%m.%Y"),
        (["2020/12/31"], "%Y/%m/%d"),
        (["31-Dec-2020", "01-Feb-2021"], "%d-%b-%Y"),
        (["12/31/20", "01/02/21"], "%m/%d/%y"),
    ],
)
def test_the_format_of_a_date_is_found(tmp_path: Path, values: list[str], format_: str) -> None:
    rows = "".join(f"k{number};{value}\n" for number, value in enumerate(values))
    column = drafted(tmp_path, "a.csv", f"code;day\n{rows}").spec.columns["day"]
    assert (column.type, column.format) == ("date", format_)


def test_the_format_of_a_time_is_found(tmp_path: Path) -> None:
    column = drafted(tmp_path, "a.csv", "id,t\n1,12/31/2020 3:04:05 PM\n2,01/02/2021 11:00:00 AM\n").spec.columns["t"]
    assert (column.type, column.format) == ("timestamp", "%m/%d/%Y %I:%M:%S %p")


def test_a_date_that_can_be_read_in_two_ways_stays_a_text(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,day\n1,01/02/2020\n2,03/04/2021\n")
    assert draft.types["day"] == "text"
    assert "%d/%m/%Y or %m/%d/%Y" in draft.comment("day")


def test_digits_are_a_date_only_by_the_columns_name(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,date,size\n1,10142018,10142018\n2,10062018,10062018\n")
    assert (draft.types["date"], draft.types["size"]) == ("date", "integer")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "zip",
            "ZIP5",
            "Zip Code",
            "zip_cd",
            "postcode",
            "Postal Code",
            "phone",
            "county_code",
            "STATE_CD",
            "LGA_CODE13",
        ),
        *("FIPS", "countyfips", "STATEFP20", "GEOID10", "HUC12", "NAICS 2017", "APN", "Tractce", "LSOA11", "hs6"),
        *(
            "INSEE",
            "code_commune",
            "Codice Comune",
            "cod_mun",
            "Código Postal",
            "CVE_ENT",
            "UBIGEO",
            "CEP",
            "CAP",
            "SIRET",
        ),
        *(
            "PLZ",
            "Postleitzahl",
            "Gemeindeschlüssel",
            "AGS",
            "Postnummer",
            "postnr",
            "Kommunenr",
            "kommunekode",
            "postinumero",
        ),
        *(
            "Kod pocztowy",
            "TERYT",
            "PSČ",
            "posta_kodu",
            "Код региона",
            "ОКТМО",
            "邮政编码",
            "郵便番号",
            "우편번호",
            "الرمز البريدي",
        ),
    ],
)
def test_a_code_by_its_name_stays_a_text(tmp_path: Path, name: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,{name}\n1,90210\n2,10001\n")
    assert list(draft.types.values()) == ["integer", "text"]
    assert draft.comment(list(draft.types)[1]) == "a code by its name; if it is a number, declare integer"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "population",
            "market_cap",
            "Capacity",
            "number_of_zip_codes",
            "mode",
            "period",
            "price",
            "distance",
            "episode",
        ),
        *("Numero abitanti", "indeks_cen", "COD", "telemetry", "nationality", "id2", "decoded", "cdd", "人口"),
    ],
)
def test_a_number_by_its_name_is_a_number(tmp_path: Path, name: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,{name}\n1,90210\n2,10001\n")
    assert list(draft.types.values()) == ["integer", "integer"]


@pytest.mark.parametrize(("values", "zeros"), [(("0501", "90210"), True), (("00", "11"), True), (("0", "501"), False)])
def test_values_with_zeros_in_front_are_codes(tmp_path: Path, values: tuple[str, str], zeros: bool) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,v\n1,{values[0]}\n2,{values[1]}\n")
    assert draft.types["v"] == ("text" if zeros else "integer")


@pytest.mark.parametrize(
    ("rows", "marks"),
    [
        ("1;1,5\n2;22,75\n", {"decimal": ","}),
        ("1;1.234,5\n2;22,75\n", {"decimal": ",", "thousands": "."}),
        ("1;1,234\n2;1,234,567\n", {"thousands": ","}),
        ("1;1 234,5\n2;22\n", {"decimal": ",", "thousands": " "}),
        ("1;1'234.5\n2;22\n", {"thousands": "'"}),
        ("1;1.5\n2;22.75\n", {}),
        ("1;1,2\n2;3,4,5\n", {}),
    ],
)
def test_the_marks_of_numbers_are_found(tmp_path: Path, rows: str, marks: dict[str, str]) -> None:
    draft = drafted(tmp_path, "a.csv", f"id;v\n{rows}")
    assert {key: draft.source[key] for key in ("decimal", "thousands") if key in draft.source} == marks
    assert (draft.types["v"] == "text") == (rows == "1;1,2\n2;3,4,5\n")


def test_a_comma_before_three_digits_is_read_as_thousands_and_remarked(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", 'id,v\n1,"1,234"\n2,"23,288"\n3,5\n')
    assert (draft.types["v"], draft.source["thousands"]) == ("integer", ",")
    assert "not as decimal mark" in draft.comment("v")


def test_texts_that_stand_for_null_among_numbers_are_declared(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,v,day\n1,NULL,2020-01-01\n2,5,N/A\n3,-,2020-02-01\n4,6,\n")
    assert sorted(draft.source["null"]) == ["", "-", "N/A", "NULL"]
    assert (draft.types["v"], draft.types["day"]) == ("integer", "date")


def test_na_is_null_in_texts_too_where_these_are_no_codes(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,v,tail\n1,NA,N101\n2,5,NA\n3,4,N102\n")
    assert draft.source["null"] == ["", "NA"]
    assert draft.types["v"] == "integer"


def test_a_text_that_is_a_value_elsewhere_is_not_declared_as_null(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,v,country\n1,NA,NA\n2,5,DE\n3,4,FR\n")
    assert "null" not in draft.source
    assert draft.data["columns"]["v"] == {"type": "integer", "null": ["NA"]}
    assert draft.data["columns"]["country"] == "text"


@pytest.mark.parametrize("text", ["-", "unknown", "?", "None"])
def test_what_is_null_among_numbers_and_a_value_among_texts_is_null_of_its_column(tmp_path: Path, text: str) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,n,note\n1,{text},dry\n2,5,{text}\n3,4,wet\n")
    assert draft.data["columns"] == {"id": "integer", "n": {"type": "integer", "null": [text]}, "note": "text"}
    assert "null" not in draft.source


def test_what_is_null_in_too_few_values_for_a_number_stays_a_text(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,n,note\n1,-,-\n2,5,a\n3,4x,b\n4,7,c\n5,8,d\n")
    assert draft.data["columns"]["n"] == "text"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("name,id\na,1\nb,2\n", "id"),
        ("state,county_code,n\nCA,1,5\nCA,2,5\nNV,1,5\n", ["state", "county_code"]),
        ("country,year,n\nDE,2020,1.5\nDE,2021,1.5\nFR,2020,1.5\n", ["country", "year"]),
        ("population,note\n5,a\n6,a\n6,a\n7,b\n", "content"),
        ("id,name\n1,a\n,b\n", "name"),
        ("id,v\n1,1.5\n1,2.5\n2,3.5\n", "content"),
    ],
)
def test_the_key_is_unique_and_never_null(tmp_path: Path, content: str, key: str | list[str]) -> None:
    assert drafted(tmp_path, "a.csv", content).data["key"] == key


def test_a_key_is_unique_over_the_whole_file(tmp_path: Path) -> None:
    rows = "".join(f"{number},{number % 7}\n" for number in range(30_000))
    assert drafted(tmp_path, "a.csv", f"id,v\n{rows}").data["key"] == "id"
    draft = drafted(tmp_path, "b.csv", f"id,v\n{rows}5,9\n")
    assert draft.data["key"] != "id"


def test_a_key_that_nearly_is_one_is_remarked(tmp_path: Path) -> None:
    repeated = drafted(tmp_path, "a.csv", f"id,v\n{ROWS}5,x\n")
    assert repeated.data["key"] == "content"
    assert "id repeats in 1 of 40 rows" in repeated.comment("key")


def test_rows_that_are_repeated_in_full_are_allowed_for(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "a,b\nx,1\nx,1\ny,2\n")
    assert draft.data["checks"] == {"max_rejects": 1}
    assert "rows 1 and 2" in draft.comment("max_rejects")


def test_records_of_another_width_are_allowed_for(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,name\n{ROWS}99,b,extra\n")
    assert draft.data["checks"] == {"max_rejects": 1}
    assert "row 40: has 3 columns instead of 2" in draft.comment("max_rejects")


def test_a_record_that_breaks_off_is_remarked(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", f"id,name\n{ROWS}40")
    assert "the file may be cut off" in draft.text


def test_names_that_stand_twice_or_not_at_all_are_declared_by_position(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name,name,,xmin,geom\n1,a,b,c,d,e\n2,f,g,h,i,j\n")
    columns = draft.spec.columns
    assert list(columns) == ["id", "name", "name_2", "column_4", "source_xmin", "source_geom"]
    assert [columns[name].source for name in ("name", "name_2", "column_4", "source_xmin")] == [2, 3, 4, "xmin"]


def test_every_odd_name_gives_a_valid_file(tmp_path: Path) -> None:
    names = ["????", 'qu"ote', "back\\slash", "tab\there", "addr:street", "x" * 80, "x" * 81, "ä", "A", "a", "\x7f"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    draft = drafted(tmp_path, "a.csv", f"{header}\n{','.join('v' * len(names))}\n")
    assert len(draft.spec.columns) == len(names)


def test_the_uri_is_relative_to_the_draft(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "data" / "a.csv").write_text("id\n1\n", encoding="utf-8")
    draft = Drafted(tmp_path / "data" / "a.csv", tmp_path / "tables" / "a.toml")
    assert draft.data["source"]["uri"] == "../data/a.csv"
    assert infer(Asked(str(tmp_path / "data" / "a.csv"))).count(f'uri = "{tmp_path}/data/a.csv"') == 1


@pytest.mark.parametrize(
    ("content", "source", "types"),
    [
        (
            '[{"id": 1, "code": "007", "v": 1.10, "o": {"a": 1}}, {"id": 2, "code": "8", "v": 2.20, "b": true}]',
            {},
            {"id": "integer", "code": "text", "v": "numeric", "o": "jsonb", "b": "boolean"},
        ),
        ('{"id": 1, "tags": [{"k": 1}]}\n{"id": 2}\n', {"layout": "lines"}, {"id": "integer", "tags": "jsonb"}),
        ('{"id": 1}\n', {"layout": "lines"}, {"id": "integer"}),
        ('{"n": 2,\n "data": {"items": [{"id": 1}, {"id": 2}]}}', {"records": "data.items"}, {"id": "integer"}),
        ('{"data":[{"id":1},{"id":2}]}', {"records": "data"}, {"id": "integer"}),
    ],
)
def test_json_is_read_where_its_records_are(
    tmp_path: Path, content: str, source: dict[str, str], types: dict[str, str]
) -> None:
    draft = drafted(tmp_path, "a.json", content)
    assert (draft.source, draft.types) == (source, types)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.zst", "a.zip"])
def test_packed_text_is_read(tmp_path: Path, name: str) -> None:
    import zstandard

    content = "id,name\n1,a\n2,b\n"
    packed = {
        "a.csv.gz": gzipped(content),
        "a.csv.zst": zstandard.compress(content.encode()),
        "a.zip": zipped(a__csv=content.encode()),
    }
    assert drafted(tmp_path, name, packed[name]).types == {"id": "integer", "name": "text"}


def test_a_zip_with_notes_beside_the_data_names_its_member(tmp_path: Path) -> None:
    content = zipped(**{"d/x__csv": b"id\n1\n", "README__txt": b"hello"})
    assert drafted(tmp_path, "a.zip", content).source == {"member": "d/x.csv"}


def test_a_zip_of_several_files_lists_them(tmp_path: Path) -> None:
    content = zipped(x__csv=b"id\n1\n", y__csv=b"no\n1\n")
    with pytest.raises(SourceMissingError, match=r"x\.csv, y\.csv; name one with --member"):
        drafted(tmp_path, "a.zip", content)
    assert list(drafted(tmp_path, "a.zip", content, member="y.csv").types) == ["no"]


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("a.csv", b"", EmptyExtractionError, "is empty"),
        ("a.csv", b"\n \n", EmptyExtractionError, "has no text"),
        ("a.csv", bytes(range(256)) * 20, SourceUnreadableError, "NUL bytes"),
        ("a.csv", b"<!DOCTYPE html><html></html>", SourceUnreadableError, "web page"),
        ("a.xml", b"<?xml version='1.0'?><a/>", SourceUnreadableError, "is XML"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, SourceUnreadableError, "old Excel"),
        ("a.xls", ole("Workbook", sector=5_000), SourceUnreadableError, "is an old .xls; save it as .xlsx"),
        ("a.xlsx", ole("EncryptedPackage", sector=5_000), SourceUnreadableError, "is encrypted; save it without a"),
        ("a.xlsx", strict(workbook(city=[("id",)])), SourceUnreadableError, 'is a "Strict Open XML" workbook; save'),
        ("a.xlsb", zipped(**{"xl/workbook__bin": b""}), SourceUnreadableError, "is a binary workbook .*xlsb"),
        ("a.pdf", b"%PDF-1.4", SourceUnreadableError, "a PDF"),
        ("a.csv.gz", gzipped(ROWS * 50)[:-9], SourceUnreadableError, "cut off"),
        ("a.zip", b"PK\x03\x04 no zip", SourceUnreadableError, "zip"),
        ("a.parquet", b"PAR1 no parquet", SourceUnreadableError, "cannot be read"),
        ("a.sqlite", b"SQLite format 3\0 no database", SourceUnreadableError, "cannot be read"),
        ("a.json", b'[{"a": 1},', SourceUnreadableError, "breaks off"),
        ("a.json", b"[1, 2]", SourceUnreadableError, "no JSON object"),
        ("a.json", b"[" * 100_000 + b"]" * 100_000, SourceUnreadableError, "nested too deeply"),
        (
            "a.ndjson",
            b'{"v": ' + b"[" * 99_999 + b"]" * 99_999 + b"}",
            SourceUnreadableError,
            "no array of objects",
        ),
        ("a.json", b'{"a": {"b": 1},\n "c": 2}', SourceUnreadableError, "no array of objects"),
        ("a.shp", b"no shapefile", SluicewayError, "a.shp"),
        ("a.gpkg", b"SQLite format 3\0 no database", SluicewayError, "a.gpkg"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes, error: type[SluicewayError], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        drafted(tmp_path, name, content)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "drafted.toml").exists()


def test_a_file_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "planes.csv").write_text("id\n1\n", encoding="utf-8")
    with pytest.raises(SourceMissingError, match=r"did you mean 'planes\.csv'"):
        infer(Asked(str(tmp_path / "plane.csv")))


def test_a_header_without_rows_gives_a_draft_that_says_so(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.csv", "id,name\n")
    assert draft.types == {"id": "text", "name": "text"}
    assert "The source has no rows" in draft.text


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "a.toml"
    check_output(out, force=False)
    out.touch()
    with pytest.raises(ConfigError, match="--force"):
        check_output(out, force=False)
    check_output(out, force=True)


def test_a_table_is_named_by_its_file_legally(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"my_table\.toml"):
        infer(Asked(str(tmp_path / "a.csv")), tmp_path / "My Table.toml")
