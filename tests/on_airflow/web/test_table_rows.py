"""Which tables the page of freshness shows, in which order, and what it says of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluiceway.freshness.around import LastLoads
from sluiceway.freshness.model import TableState, TableVerdict, Verdict
from sluiceway.on_airflow.web.pages.freshness import load_cells, name_cell
from sluiceway.on_airflow.web.pages.table_rows import Asked, Tables, points, shown

AT = datetime(2026, 8, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MASTER = {"master_etl"}


def table(name: str, state: TableState = "fresh", *, hours: int | None = 1, **others: Any) -> TableVerdict:
    values: dict[str, Any] = {
        "sentence": f"why {name} is {state}",
        "fresh_within_s": 7200.0,
        "looked_at": AT - hours * HOUR if hours is not None else None,
        **dict.fromkeys(("data_from", "commit", "dag_id", "run_id", "rows")),
        **others,
    }
    return TableVerdict(table=name, state=state, **values)


def load(*, dag_id: str = "master_etl", **others: Any) -> LastLoads:
    values: dict[str, Any] = {
        "run_id": "r1",
        "run_status": "success",
        "status": "loaded",
        "rejected": 0,
        "error": None,
        "log_url": None,
        "rows": (),
        **others,
    }
    return LastLoads(dag_id=dag_id, **values)


def of(*tables: TableVerdict, state: str = "", sort: str = "", q: str = "", **loads: LastLoads) -> Tables:
    verdict = Verdict(computed_at=AT, state="stale", sentence="", environment=None, tables=tables)
    return shown(verdict, loads, MASTER, Asked.parse(state=state, sort=sort, q=q))


def names(found: Tables) -> list[str]:
    return [row.table.table for row in found.rows]


def test_the_age_stands_against_the_promise() -> None:
    late, overdue, plain, never = of(
        table("a", hours=1),
        table("b", "stale", hours=9),
        table("c", "no promise", fresh_within_s=None),
        table("d", "unknown", hours=None),
    ).rows
    assert (late.age, late.promise, late.share) == ("1 h", "2 h", 50)
    assert (overdue.age, overdue.share) == ("9 h", 100)
    assert (plain.age, plain.promise, plain.share) == ("1 h", "", 0)
    assert (never.age, never.promise, never.share) == ("", "2 h", 0)


def test_a_state_and_a_part_of_the_name_pick_tables_and_the_counts_are_of_all() -> None:
    tables = table("city", "stale"), table("city_part"), table("town")
    assert names(of(*tables)) == ["city", "city_part", "town"]
    assert names(of(*tables, q=" CITY ")) == ["city", "city_part"]
    picked = of(*tables, q="city", state="fresh")
    assert names(picked) == ["city_part"]
    assert (picked.total, picked.counts) == (3, {"stale": 1, "fresh": 2})


@pytest.mark.parametrize(
    ("sort", "order"), [("worst", "bcad"), ("table", "abcd"), ("age", "dbac"), ("rows", "cabd"), ("rejects", "abcd")]
)
def test_tables_are_sorted_as_asked_for(sort: str, order: str) -> None:
    tables = (
        table("b", "stale", hours=9),
        table("c", rows=7, hours=1),
        table("a", rows=5, hours=2),
        table("d", "unknown", hours=None),
    )
    assert "".join(names(of(*tables, sort=sort, a=load(rejected=4)))) == order


@pytest.mark.parametrize(("name", "value", "near"), [("state", "stall", "stale"), ("sort", "tabel", "table")])
def test_what_does_not_exist_is_named_with_the_nearest_that_does(name: str, value: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"no {name} '{value}'; did you mean {near}"):
        Asked.parse(**{"state": "", "sort": "", "q": "", name: value})


def test_the_address_keeps_what_is_asked_for_and_leaves_out_what_goes_without_saying() -> None:
    asked = Asked.parse(state="no promise", sort="", q="a&b")
    assert asked.address() == "?state=no+promise&q=a%26b"
    assert asked.address(state="") == "?q=a%26b"
    assert asked.address(sort="age", q="") == "?state=no+promise&sort=age"
    assert Asked.parse(state="", sort="worst", q="").address() == "?"


def test_a_failed_try_says_its_error_and_a_broken_file_why() -> None:
    failed, of_red, good, broken = of(
        *(table(each) for each in "abc"),
        table("d", "unknown"),
        a=load(status="failed", error="Drift: no column", run_status="failed"),
        b=load(run_status="failed"),
        c=load(),
    ).rows
    assert failed.told == "Drift: no column"
    assert of_red.loads.last is not None and of_red.loads.last.has_failed
    assert of_red.told is None and good.told is None
    assert broken.told == "why d is unknown"


def test_what_is_true_of_all_is_said_once() -> None:
    silent = [table(each, "unknown", hours=None, sentence="no answer") for each in "ab"]
    found = of(*silent)
    assert found.sentence == "no answer"
    assert [row.told for row in found.rows] == [None, None]
    assert of(*silent, table("c")).sentence is None
    assert of(silent[0]).rows[0].told == "no answer"


def test_of_a_dag_that_the_reader_may_not_read_neither_run_nor_error_is_told() -> None:
    hidden, own = of(
        table("a", "unknown", sentence="failed in shop/r1: secret"),
        table("b"),
        a=load(dag_id="shop", status="failed", error="secret", log_url="https://log"),
        b=load(dag_id="cli"),
    ).rows
    assert (hidden.loads.last, hidden.told, hidden.loads.is_hidden) == (None, None, True)
    assert own.loads.last is not None and not own.loads.is_hidden


def test_the_trend_is_drawn_from_left_to_right_and_the_most_is_at_the_top() -> None:
    assert points([]) == points([5]) == ""
    assert points([5, 5, 5]) == "2,8 58,8"
    assert points([0, 10, 5]) == "2,14 30,2 58,8"
    (row,) = of(table("a"), a=load(rows=(3, 9, 4))).rows
    assert row.loads.change == -5


def test_a_line_leads_to_its_table_whatever_the_name_of_its_file() -> None:
    assert '<a href="/sluiceway/tables/city">city</a>' in name_cell("city", "/sluiceway")
    wrong = name_cell('a b?"<', "/sluiceway")
    assert '<a href="/sluiceway/tables/a%20b%3F%22%3C">a b?&#34;&lt;</a>' in wrong


def test_the_loads_of_a_line_are_drawn_anew_when_anything_of_them_is_another_and_not_when_time_goes_by() -> None:
    def drawn(last: LastLoads, **others: Any) -> str:
        (row,) = of(table("city", **others), city=last).rows
        return load_cells(row.loads, "/sluiceway")

    good = drawn(load(rows=(3, 4)))
    assert drawn(load(rows=(3, 4)), hours=2) is good
    others = load(rows=(3, 5)), load(rows=(4,)), load(rejected=1), load(run_status="failed"), load(dag_id="shop")
    assert len({good, *map(drawn, others), drawn(load(), rows=9), drawn(load(), data_from=AT)}) == 8
