"""Names of tables and columns: legal, unique, and the same ones at every try."""

from __future__ import annotations

import pytest

from sluiceway.infer.naming import column_names, plain_name, table_name
from sluiceway.tables.spec import RESERVED_COLUMNS, check_name

LONG = "Denominazione dell'Unità territoriale sovracomunale (valida a fini statistici)"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Größe", "grosse"),
        ("Åbent", "abent"),
        ("Łódź", "lodz"),
        ("Çanakkale", "canakkale"),
        ("dell'Unità", "dell_unita"),
        ("название", "nazvanie"),
        ("Москва Йод", "moskva_iod"),
        ("Αθήνα", "athina"),
        ("addr:street", "addr_street"),
        ("Lat/Long", "lat_long"),
        ("% water", "percent_water"),
        ("ID #", "id_number"),
        ("popEst", "pop_est"),
        ("UniqueID", "unique_id"),
        ("HTMLParser", "html_parser"),
        ("POP_EST", "pop_est"),
        ("IRR_TYP1PA", "irr_typ1pa"),
        ("  two\n words ", "two_words"),
        ("????", ""),
        ("人口", ""),
    ],
)
def test_a_name_is_said_in_plain_letters(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_a_name_of_which_nothing_can_be_said_becomes_its_position() -> None:
    assert column_names(["????", "id", "", "人口"]) == ["column_1", "id", "column_3", "column_4"]


def test_equal_names_are_numbered_and_the_first_keeps_its_name() -> None:
    assert column_names(["Name", "name", "NAME"]) == ["name", "name_2", "name_3"]


def test_a_column_keeps_the_name_that_another_ones_number_would_give() -> None:
    assert column_names(["name", "name", "name_2"]) == ["name", "name_3", "name_2"]


@pytest.mark.parametrize("name", sorted(RESERVED_COLUMNS | {"xmin", "ctid", "etl_row_number"}))
def test_a_name_that_the_warehouse_needs_is_given_another_word(name: str) -> None:
    assert column_names([name]) == [f"source_{name}"]


def test_a_column_does_not_take_the_geometrys_name() -> None:
    assert column_names(["geom", "id"], taken=("geom",)) == ["source_geom", "id"]
    assert column_names(["geom"]) == ["geom"]


def test_a_name_does_not_begin_with_a_digit() -> None:
    assert column_names(["2010", "1st"]) == ["n_2010", "n_1st"]


def test_a_long_name_is_cut_between_words() -> None:
    assert column_names([LONG]) == ["denominazione_dell_unita_territoriale_sovracomunale_valida_a"]


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = column_names(["a" * 80, "a" * 90, f"{LONG} x", LONG])
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 63


def test_every_name_is_legal() -> None:
    odd = ["", " ", "1", "_", "é", "\x00", "a b", "ſ", "🙂", "x" * 200, "GEOM", "Deleted At", "content key", '"', "ﬁ"]
    names = column_names(odd, taken=("geom",))
    assert [check_name(name) for name in names] == names
    assert len(set(names)) == len(odd)


@pytest.mark.parametrize(
    ("text", "name"), [("2018_Squirrels", "n_2018_squirrels"), ("数据", "loaded_file"), ("Ab cd", "ab_cd")]
)
def test_a_tables_name_is_legal(text: str, name: str) -> None:
    assert table_name(text) == name
