"""Checks of values, and columns that are computed, of several files that are one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import CheckFailedError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec

Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
VISIT = """
description = "Visits"
key = {key}
source = {{ kind = "csv", uri = "visits/*.csv" }}
[columns]
month = {{ source = "$file", type = "text" }}
id = "integer"
guest = "text"
nights = {{ type = "integer", stored = false }}
rate = {{ type = "numeric(6,2)", expression = "100.0 / nights" }}
[checks]
max_rejects = 9
max_shrink = 1.0
{checks}
"""
ONE_OF_THREE = '[checks.columns.guest]\nunique = true\naccepted = ["a", "b", "c"]'


@pytest.fixture
def load(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Writes the files and loads all that lie there."""
    count = 0
    (tmp_path / "visits").mkdir()

    def run(checks: str, key: str = '"id"', **files: str) -> TableRun:
        nonlocal count
        count += 1
        for name, rows in files.items():
            (tmp_path / "visits" / f"{name}.csv").write_text(f"id,guest,nights\n{rows}")
        (tmp_path / "visit.toml").write_text(VISIT.format(key=key, checks=checks))
        return load_table(read_spec(tmp_path / "visit.toml"), warehouse_url, run=open_run(f"r{count}"))

    return run


def test_a_reason_names_the_file_of_its_row(load: Load, query: Query) -> None:
    checks = "[checks.columns.rate]\nrange = { least = 20 }\n" + ONE_OF_THREE
    result = load(checks, jan="1,a,2\n2,b,0\n", feb="3,c,50\n4,x,1\n5,a,1\n")
    assert (result.extracted, result.rejected) == (5, 4)
    assert query("SELECT row_number, reason FROM etl.reject ORDER BY row_number") == [
        (1, "rate: 2.00 fails range (least 20) (feb.csv, row 1)"),
        (2, "guest: 'x' fails accepted (a, b, c) (feb.csv, row 2)"),
        (3, "guest: 'a' fails unique (guest): row 4, which is loaded, has the same (feb.csv, row 3)"),
        (5, "rate: division by zero (jan.csv, row 2)"),
    ]


def test_the_rows_of_a_new_file_are_compared_with_those_of_all_files(load: Load, query: Query) -> None:
    checks, key = "[checks.columns.guest]\nunique = true", '["month", "id"]'
    assert load(checks, key, a="1,ann,1\n").inserted == 1
    result = load(checks, key, b="1,ann,1\n2,bea,1\n")
    assert (result.extracted, result.inserted, result.rejected) == (3, 2, 1), "of two that are alike the last is loaded"
    assert query("SELECT reason FROM etl.reject") == [
        ("guest: 'ann' fails unique (guest): row 2, which is loaded, has the same (a.csv, row 1)",)
    ]


def test_shares_of_nulls_are_those_of_all_files(load: Load) -> None:
    checks, key = "[checks.columns.guest]\nnull_share = 0.5", '["month", "id"]'
    assert load(checks, key, a="1,ann,1\n2,bea,1\n").inserted == 2
    assert load(checks, key, b="1,,1\n2,,1\n").inserted == 2
    with pytest.raises(CheckFailedError, match="guest is null in 3 of 5 rows"):
        load(checks, key, c="1,,1\n")


def test_a_reject_shows_its_row_and_nothing_that_a_load_adds(load: Load, query: Query) -> None:
    load("[checks.columns.rate]\nrange = { least = 20 }", '"content"\nduplicates = "keep"', a="1,ann,50\n2,bea,1\n")
    ((row,),) = query('SELECT "row" FROM etl.reject')
    assert row == {"month": "a.csv", "id": 1, "guest": "ann", "nights": 50, "rate": 2.0}
