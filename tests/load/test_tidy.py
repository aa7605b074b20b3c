"""What a table's file says of values as agencies write them, done before the cast."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from sluiceway.tables.column import Column
from sluiceway.tables.source_spec import TextValues
from tests.load.test_cast import cast, spec_of

MONEY = {"strip": True, "remove": "$,"}
BOOKS = {"remove": "$,", "accounting": True}
PERCENT = {"remove": "%", "scale": 0.01}
YES_OR_NO = {"strip": True, "upper": True, "map": {"JA": True, "NEIN": False}}


@pytest.mark.parametrize(
    ("sql_type", "keys", "given", "becomes"),
    [
        ("numeric(12,2)", MONEY, [" $1,234.50 ", "$-3", "(5)", None], ["1234.50", "-3", None, None]),
        (
            "numeric(12,2)",
            BOOKS,
            ["(1,234.50)", "$ (3)", "7-", "-8", "9"],
            ["-1234.50", "-3", "-7", "-8", "9"],
        ),
        ("numeric(12,2)", BOOKS, ["(-5)", "()", "(a)", "(1", "-"], [None, None, None, None, None]),
        ("numeric(6,2)", {"remove": "%", "accounting": True, "scale": 0.01}, ["(50%)"], ["-0.50"]),
        ("numeric(6,4)", PERCENT, ["12.5%", "0.3 %", "100%", "n/a"], ["0.125", "0.003", "1.00", None]),
        ("integer", {"scale": 1000}, ["1.234", "2", "0.0001"], [1234, 2000, None]),
        ("double precision", {"scale": 0.1}, ["3", "1e2"], [0.3, 10.0]),
        ("boolean", {"map": {"Y": True, "N": False}}, ["Y", "N", "true", "maybe"], [True, False, True, None]),
        ("boolean", YES_OR_NO, [" ja", "Nein "], [True, False]),
        ("text", {"lower": True}, ["ÅRHUS", "B"], ["århus", "b"]),
        ("text", {"strip": True}, ["  a b ", "\u00a0c\t"], ["a b", "c"]),
        ("text", {"map": {"01": "January"}}, ["01", "1"], ["January", "1"]),
        ("integer", {"map": {"<5": 4}, "default": 0}, ["<5", "9", None], [4, 9, 0]),
        ("date", {"default": "1900-01-01"}, [None, "2024-02-29"], [date(1900, 1, 1), date(2024, 2, 29)]),
        ("text", {"default": True}, [None, "b"], ["true", "b"]),
        ("integer", {"strip": True, "null": ["-"]}, [" - ", " 7"], [None, 7]),
    ],
)
def test_a_text_is_made_plain_and_then_cast(
    sql_type: str, keys: dict[str, Any], given: list[str | None], becomes: list[Any]
) -> None:
    values, reasons = cast(given, spec_of(sql_type, **keys))
    assert values == becomes
    meant = {None, *keys.get("null", ())}
    lost = {
        index
        for index, (text, value) in enumerate(zip(given, becomes, strict=True))
        if value is None and (text or "").strip() not in {"", *meant}
    }
    assert set(reasons) == lost


def test_a_default_satisfies_what_is_required_and_one_that_is_no_such_value_is_a_reject() -> None:
    values, reasons = cast([None, "7"], spec_of("integer", default=1, required=True))
    assert (values, reasons) == ([1, 7], {})
    _, reasons = cast([None], spec_of("integer", default="none"))
    assert reasons == {0: [("v", "'none' is no integer")]}


@pytest.mark.parametrize(("null", "blank"), [(("",), None), ((), "")])
def test_what_is_empty_once_it_is_stripped_is_null_where_that_means_null(
    null: tuple[str, ...], blank: str | None
) -> None:
    spec = spec_of("text", strip=True)
    told = spec.model_copy(update={"source": spec.source.model_copy(update={"null": null})})
    assert cast([" ", "a "], told)[0] == [blank, "a"]


def test_numbers_are_multiplied_with_the_marks_of_the_file() -> None:
    spec = spec_of("numeric(12,3)", thousands=".", decimal=",", scale=0.01, remove="%", default=0.5)
    values, reasons = cast(["1.234,5%", "1,0 %", None], spec)
    assert ([Decimal(value) for value in values], reasons) == (
        [Decimal(text) for text in ("12.345", "0.01", "0.5")],
        {},
    )


@pytest.mark.parametrize("digits", [17, 38])
def test_no_digit_is_lost_by_a_scale(digits: int) -> None:
    number = "9" * digits
    values, _ = cast([number], spec_of("numeric(38,2)" if digits < 38 else "numeric", scale=0.01))
    assert values == [f"{number[:-2]}.{number[-2:]}"]


def test_values_that_are_no_texts_are_mapped_by_what_a_person_would_write() -> None:
    spec = spec_of("boolean", map={"1": True, "2": False})
    assert cast(pa.array([1.0, 2.0, None]), spec) == ([True, False, None], {})
    assert cast(pa.array([1, 2], pa.int16()), spec) == ([True, False], {})
    assert cast(pa.array([0.1, 12.0]), spec_of("double precision", decimal=",", scale=10)) == ([1.0, 120.0], {})
    assert cast(pa.array([date(2024, 2, 29), None]), spec_of("date", default="1900-01-01"))[0] == [
        date(2024, 2, 29),
        date(1900, 1, 1),
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"upper": True, "lower": True}, "upper and lower exclude each other"),
        ({"accounting": True}, "says how numbers are written, and the column is text"),
        ({"scale": 0.01}, "multiplies numbers, and the column is text"),
        ({"scale": 0}, "greater than 0"),
        ({"scale": float("inf")}, "finite"),
        ({"remove": ""}, "at least 1 character"),
        ({"map": {"a": None}}, "map.a"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec_of("text" if "scale" not in keys or keys["scale"] == 0.01 else "integer", **keys)


def test_a_column_may_write_numbers_in_its_own_way() -> None:
    own = spec_of("numeric(12,2)", decimal=",").columns["v"].model_copy(update={"decimal": ",", "thousands": "."})
    spec = spec_of("numeric(12,2)")
    told = spec.model_copy(update={"columns": {"v": own}})
    values, reasons = cast(["1.234,50", "7", "1,5", "1,5,2"], told)
    assert ([None if value is None else Decimal(value) for value in values], set(reasons)) == (
        [Decimal("1234.50"), Decimal(7), Decimal("1.5"), None],
        {3},
    )


@pytest.mark.parametrize(
    ("own", "source", "becomes"),
    [
        ({"decimal": ","}, {"thousands": ","}, (",", None)),
        ({"thousands": "."}, {}, (",", ".")),
        ({"thousands": ","}, {"decimal": ","}, (".", ",")),
        ({"thousands": "'"}, {"decimal": ","}, (",", "'")),
        ({}, {"decimal": ",", "thousands": "."}, (",", ".")),
    ],
)
def test_marks_of_a_column_never_contradict_those_of_the_source(
    own: dict[str, str], source: dict[str, str], becomes: tuple[str, str | None]
) -> None:
    marks = Column(type="numeric", **own).marks(TextValues(**source))
    assert (marks.decimal, marks.thousands) == becomes


def test_marks_are_of_numbers_and_two_marks_of_a_column_differ() -> None:
    with pytest.raises(ValidationError, match="decimal: says how numbers are written, and the column is text"):
        Column(type="text", decimal=",")
    with pytest.raises(ValidationError, match="thousands and decimal are both ','; one of them must differ"):
        Column(type="numeric", decimal=",", thousands=",")
