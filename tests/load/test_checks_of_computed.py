"""Checks of values over columns that are computed: PostgreSQL answers them, of the rows that are staged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.errors import CheckFailedError, ConfigError
from sluiceway.infer.preview import preview
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
PARCEL = """
description = "Parcels"
key = "id"
source = {{ kind = "csv", uri = "parcel.csv" }}
[columns]
id = "integer"
area_m2 = {{ type = "numeric(12,2)", stored = false }}
area_ha = {{ type = "numeric(10,4)", expression = "area_m2 / 10000" }}
first = {{ type = "text", stored = false }}
code = {{ type = "text", expression = "upper(first)" }}
year = {{ type = "integer", stored = false }}
opened = {{ type = "date", expression = "make_date(year, 1, 1)" }}
[checks]
max_rejects = 9
max_shrink = 1.0
{checks}
"""
ROWS = "id,area_m2,first,year\n1,10000,a,2020\n2,25000.5,b,2021\n3,,c,1799\n4,5,,2022\n"


@pytest.fixture
def spec(write_spec: WriteSpec) -> Callable[[str], TableSpec]:
    return lambda checks: write_spec("parcel", PARCEL.format(checks=checks), parcel__csv=ROWS)


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey], spec: Callable[[str], TableSpec]) -> Load:
    count = 0

    def run(checks: str, *, force: bool = False) -> TableRun:
        nonlocal count
        count += 1
        return load_table(spec(checks), warehouse_url, run=open_run(f"r{count}"), force=force)

    return run


@pytest.mark.parametrize(
    ("checks", "failing"),
    [
        ("[checks.columns.area_ha]\nrange = { least = 0.001, most = 2.5 }", [(2, "area_ha"), (4, "area_ha")]),
        ("[checks.columns.area_ha]\nrange = { least = 0.0005, most = 1 }", [(2, "area_ha")]),
        ('[checks.columns.code]\naccepted = ["A", "B"]', [(3, "code")]),
        ("[checks.columns.opened]\nrange = { least = 1800-01-01 }", [(3, "opened")]),
        ("[checks.columns.opened]\nunique = true", []),
        ('[[checks.rows]]\nholds = "area_ha < 1 OR area_m2 > 10000"', [(1, "area_ha")]),
        ("[checks.columns.area_m2]\nrange = { most = 20000 }", [(2, "area_m2")]),
    ],
)
def test_what_a_computed_column_fails_is_a_reject(
    checks: str, failing: list[tuple[int, str]], load: Load, query: Query
) -> None:
    result = load(checks)
    assert query("SELECT row_number, column_name FROM etl.reject ORDER BY 1") == failing
    assert (result.extracted, result.inserted, result.rejected) == (4, 4 - len(failing), len(failing))
    again = load(checks, force=True)
    assert (again.unchanged, again.rejected) == (4 - len(failing), len(failing))


def test_a_reason_shows_the_value_that_was_computed(load: Load, query: Query) -> None:
    load('[checks.columns.code]\naccepted = ["A", "B"]')
    assert query("SELECT reason FROM etl.reject") == [("code: 'C' fails accepted (A, B)",)]


def test_a_computed_value_may_end_the_load(load: Load, query: Query) -> None:
    with pytest.raises(CheckFailedError, match=r"1 row fails checks.columns.area_ha.range \(most 2\): row 2: 2.5001"):
        load('[checks.columns.area_ha]\nrange = { most = 2 }\nfailing = "fail"')
    assert query("SELECT to_regclass('parcel') IS NULL") == [(True,)]


def test_nulls_of_a_computed_column_are_counted(load: Load) -> None:
    with pytest.raises(CheckFailedError, match=r"code is null in 1 of 4 rows, and .*null_share = 0.2 allows 0"):
        load("[checks.columns.code]\nnull_share = 0.2")
    assert load("[checks.columns.code]\nnull_share = 0.25").inserted == 4


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ('[checks.columns.code]\npattern = "[A-Z]"', "checks.columns.code.pattern: PostgreSQL computes the column"),
        ("[checks.columns.first]\nunique = true", "checks.columns.first.unique: 'first' is not stored"),
        (
            "[checks.columns.first]\nnull_share = 0.1",
            "null_share: the column is not stored; remove stored, or null_share",
        ),
    ],
)
def test_a_check_that_nothing_can_answer_is_refused(checks: str, said: str, spec: Callable[[str], TableSpec]) -> None:
    with pytest.raises(ConfigError) as refused:
        spec(checks)
    assert said in str(refused.value)


def test_a_preview_says_which_checks_only_a_load_can_judge(spec: Callable[[str], TableSpec]) -> None:
    checks = '[checks.columns.code]\naccepted = ["A"]\nunique = true\n[checks.columns.first]\npattern = "[a-b]"'
    found = preview(spec(checks))
    assert found.unjudged == ["checks.columns.code.accepted (A)", "checks.columns.code.unique (code)"]
    assert [reject.reason for reject in found.rejects] == ["first: 'c' fails pattern [a-b]"]
