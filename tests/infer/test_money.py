"""Amounts and percents with their signs are drafted as numbers, and loaded as such."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sluiceway.ledger.store import TableRun
from tests.infer.drafted import drafted

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("texts", "numbers", "remove"),
    [
        (["$1,234.50", "-$3", "$ 7", "$-0.5"], ["1234.50", "-3", "7", "-0.5"], "$ ,"),
        (["£5.25", "£1234.50", ""], ["5.25", "1234.50", None], "£"),
        (["12.5%", "3 %", "0"], ["12.5", "3", "0"], "% "),
        (["1 234 €", "1\u00a0234.00 €", "7 €"], ["1234", "1234.00", "7"], "€ \u00a0"),
        (["$1,000.00", "($3.50)", "$ (1,004)", "(5) $", "7-"], ["1000.00", "-3.50", "-1004", "-5", "-7"], "$, "),
        (["£5", "£ -", "n/a", "£7.5"], ["5", None, None, "7.5"], "£ "),
    ],
)
def test_amounts_are_numbers_once_their_signs_are_removed(
    texts: list[str],
    numbers: list[str | None],
    remove: str,
    tmp_path: Path,
    load: Callable[..., TableRun],
    query: Query,
) -> None:
    content = "id;amount\n" + "".join(f"{index};{text}\n" for index, text in enumerate(texts))
    draft = drafted(tmp_path, "spend.csv", content)
    column = draft.data["columns"]["amount"]
    assert (column["type"], sorted(column["remove"])) == ("numeric", sorted(remove))
    assert load("spend.csv", content).rejected == 0
    found = [None if value is None else Decimal(value) for (value,) in query("SELECT amount FROM drafted ORDER BY id")]
    assert found == [None if number is None else Decimal(number) for number in numbers]


def test_numbers_in_parentheses_are_negative_without_any_sign_of_money(
    tmp_path: Path, load: Callable[..., TableRun], query: Query
) -> None:
    content = "id;change\n1;5\n2;(1,234)\n3;7-\n4;-8\n"
    draft = drafted(tmp_path, "change.csv", content)
    assert draft.data["columns"]["change"] == {"type": "numeric", "remove": ",", "accounting": True}
    assert load("change.csv", content).rejected == 0
    assert [int(value) for (value,) in query("SELECT change FROM drafted ORDER BY id")] == [5, -1234, -7, -8]


@pytest.mark.parametrize(
    ("texts", "own", "numbers"),
    [
        (["1.234,50 €", "7 €", "-0,5 €"], {"decimal": ",", "thousands": ".", "remove": "€ "}, ["1234.50", "7", "-0.5"]),
        (["1,5 %", "20 %"], {"decimal": ",", "remove": "% "}, ["1.5", "20"]),
        (["1.234,50", "7", "12.000,00"], {"decimal": ",", "thousands": "."}, ["1234.50", "7", "12000"]),
        (["(1.234,50)", "7,00"], {"decimal": ",", "thousands": ".", "accounting": True}, ["-1234.50", "7"]),
    ],
)
def test_amounts_with_marks_of_their_own_stand_beside_numbers_with_points(
    texts: list[str],
    own: dict[str, Any],
    numbers: list[str],
    tmp_path: Path,
    load: Callable[..., TableRun],
    query: Query,
) -> None:
    content = "id;lat;amount\n" + "".join(f"{index};47.{index}1;{text}\n" for index, text in enumerate(texts))
    draft = drafted(tmp_path, "a.csv", content)
    assert draft.types["lat"] in {"double precision", "numeric"}
    column = draft.data["columns"]["amount"]
    assert {key: sorted(value) if key == "remove" else value for key, value in column.items()} == {
        "type": "numeric",
        **{key: sorted(value) if key == "remove" else value for key, value in own.items()},
    }
    assert load("a.csv", content).rejected == 0
    found = [Decimal(value) for (value,) in query("SELECT amount FROM drafted ORDER BY id")]
    assert found == [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    "texts", [["1,5", "2,3"], ["10.0.0.1", "10.0.0.2"], ["12.345.678", "1.234.567"], ["1.5,2", "3"]]
)
def test_what_may_be_a_list_or_a_code_stays_a_text_beside_numbers_with_points(texts: list[str], tmp_path: Path) -> None:
    content = "id;lat;code\n" + "".join(f"{index};47.{index}1;{text}\n" for index, text in enumerate(texts))
    assert drafted(tmp_path, "a.csv", content).types["code"] == "text"


def test_a_dash_among_amounts_is_told_to_be_null_or_zero(tmp_path: Path) -> None:
    text = drafted(tmp_path, "a.csv", "id;amount\n1;$5\n2;$ -\n").text
    assert '"-" is null: if it is a zero, say map = { "-" = 0 } and not null' in " ".join(text.replace("#", "").split())


def test_percents_are_told_how_they_become_shares(tmp_path: Path) -> None:
    text = drafted(tmp_path, "a.csv", "id,share\n1,5%\n2,7%\n").text
    assert "such as '5%'; scale = 0.01 makes shares of them" in text


@pytest.mark.parametrize(
    "texts",
    [
        ["$5", "about $7"],
        ["(5) kg", "$3"],
        ["$", "$5"],
        ["(1)", "(2)"],
        ["(1) a", "3"],
        ["5 %", "5 kg"],
    ],
)
def test_what_is_not_all_amounts_stays_a_text(texts: list[str], tmp_path: Path) -> None:
    content = "id;amount\n" + "".join(f"{index};{text}\n" for index, text in enumerate(texts))
    assert drafted(tmp_path, "a.csv", content).data["columns"]["amount"] == "text"


@pytest.mark.parametrize(
    ("odd", "others", "told"),
    [
        ("TBD", [f"${number}.50" for number in range(24)], "no amount, such as 'TBD'"),
        ("13/45/2025", [f"04/{day}/2025" for day in range(8, 30)], "no date as %m/%d/%Y, such as '13/45/2025'"),
        ("13/45/2025", [f"04/{day:02}/2025" for day in range(1, 12)] * 2, "no date, such as '13/45/2025'"),
        ("Maybe", ["Y", "N"] * 12, "no boolean, such as 'Maybe'"),
    ],
)
def test_the_one_value_that_makes_a_column_a_text_is_named(
    odd: str, others: list[str], told: str, tmp_path: Path
) -> None:
    def remark(texts: list[str]) -> str:
        content = "id,told\n" + "".join(f"{index},{text}\n" for index, text in enumerate(texts))
        return drafted(tmp_path, "spend.csv", content).comment("told")

    assert remark([*others, odd]) == f"1 of {len(others) + 1} values is {told}"
    # of many such it is a text like any other
    assert remark([*others, odd, "x y", "z"]) == ""
