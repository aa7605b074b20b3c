"""Checks of values that a batch answers by itself: accepted values, ranges, patterns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from sluiceway.errors import CheckFailedError, ConfigError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load import staging
from sluiceway.load.table import load_table
from sluiceway.load.value_checks import ValueChecks
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
THING = """
description = "Things"
key = "id"
{top}
source = {{ kind = "csv", uri = "thing.csv" }}
columns = {{ id = "integer", v = {column} }}
[checks]
max_rejects = 9
max_shrink = 1.0
[checks.columns.v]
{checks}
"""


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey], write_spec: WriteSpec) -> Load:
    """Loads these values with these checks as run r1, r2, ..."""
    count = 0

    def run(column: str, checks: str, *values: str, top: str = "", force: bool = False) -> TableRun:
        nonlocal count
        count += 1
        csv = "id,v\n" + "".join(f'{number},"{value}"\n' for number, value in enumerate(values, 1))
        # a null is a value without quotes
        spec = write_spec("thing", THING.format(column=column, checks=checks, top=top), thing__csv=csv)
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"), force=force)

    return run


TEXT, NUMBER = '"text"', '"numeric(6,2)"'
DAYS = "range = { least = 2026-01-01, most = '2026-12-31' }"


@pytest.mark.parametrize(
    ("column", "checks", "good", "bad"),
    [
        (TEXT, 'accepted = ["CA", "NV"]', ["CA", "NV", ""], ["ca", "CA ", "C", "CAN"]),
        ('"varchar(3)"', 'accepted = ["CA"]', ["CA"], ["NV"]),
        ('{ type = "text", upper = true }', 'accepted = ["CA"]', ["ca"], ["nv"]),
        ('"integer"', "accepted = [1, 2]", ["1", "002", ""], ["3", "-1"]),
        ('"smallint"', "accepted = [1]", ["1"], ["2"]),
        ('"bigint"', "accepted = [9007199254740993]", ["9007199254740993"], ["9007199254740992"]),
        (NUMBER, "accepted = [1.5, 2]", ["1.50", "2", "1.499"], ["1.51", "15"]),
        ('"numeric"', "accepted = [0.1, 2]", ["0.1", " 0.10 ", "2.000", "2e0"], ["0.1000000000000000000001"]),
        ('"real"', "accepted = [0.1]", ["0.1", "1e-1"], ["0.11"]),
        ('"double precision"', "accepted = [0.1]", ["0.1"], ["0.10000001", "nan", "inf"]),
        ('"boolean"', "accepted = [true]", ["yes", "true"], ["no"]),
        ('"date"', 'accepted = [2026-01-01, "2026-01-02"]', ["2026-01-01", "2026-1-2"], ["2026-01-03"]),
        (
            '"uuid"',
            'accepted = ["00000000-0000-0000-0000-00000000000A"]',
            ["00000000-0000-0000-0000-00000000000a"],
            ["00000000-0000-0000-0000-00000000000b"],
        ),
        ('"integer"', "range = { least = 0, most = 360 }", ["0", "360", ""], ["-1", "361"]),
        ('"integer"', "range = { least = 5 }", ["5", "2147483647"], ["4"]),
        ('"integer"', "range = { most = 5 }", ["5", "-2147483648"], ["6"]),
        (NUMBER, "range = { least = -0.5, most = 9999.99 }", ["-0.5", "9999.99", "-0.504"], ["-0.51"]),
        ('"numeric(6,0)"', "range = { most = 999999 }", ["999999.4", "-999999"], []),
        ('"numeric(38,20)"', "range = { least = 0.5 }", ["0.5", "99999999999999999"], ["0.49999999999999999999"]),
        ('"numeric"', "range = { least = 0, most = 1e3 }", ["1000", "1e3"], ["1000.0000000000000000000001", "-1e-99"]),
        ('"real"', "range = { most = 0.1 }", ["0.1", "-inf"], ["0.2", "nan", "inf"]),
        ('"double precision"', "range = { least = 0.1 }", ["0.1", "inf"], ["0.0999999999", "nan"]),
        ('"date"', DAYS, ["2026-01-01", "2026-12-31"], ["2025-12-31", "2027-01-01"]),
        ('{ type = "date", format = "%m/%d/%Y" }', DAYS, ["01/01/2026"], ["12/31/2025"]),
        ('"timestamp"', DAYS, ["2026-12-31 00:00"], ["2026-12-31 00:00:01"]),
        (
            '"timestamptz"',
            "range = { least = 2026-01-01T00:00:00-08:00 }",
            ["2026-01-01 08:00", "2026-01-01 00:00-08"],
            ["2026-01-01 07:59"],
        ),
        (TEXT, "pattern = '[A-Z]{3}'", ["KSF", ""], ["ksf", "KSFO", "KS", "KSF "]),
        (TEXT, "pattern = 'a|bc'", ["a", "bc"], ["ac", "abc", "b"]),
        (TEXT, "pattern = '(?i)a.c$'", ["ABC", "a\u00fcc"], ["abcd", "a\nc", "abc\n"]),
        (TEXT, "pattern = '\\p{L}+'", ["Ma\u00f1ana"], ["A1"]),
        (TEXT, 'accepted = ["CA", "C1"]\npattern = "[A-Z]+"', ["CA"], ["C1", "NV"]),
    ],
)
@pytest.mark.parametrize("standing", [False, True], ids=["first load", "later load"])
def test_values_that_fail_are_rejects_and_the_others_are_loaded(
    standing: bool, column: str, checks: str, good: list[str], bad: list[str], load: Load, query: Query
) -> None:
    if standing:
        load(column, checks, good[0])
    result = load(column, checks, *good, *bad)
    assert (result.extracted, result.rejected) == (len(good) + len(bad), len(bad))
    assert query("SELECT row_number FROM etl.reject ORDER BY 1") == [
        (number,) for number in range(len(good) + 1, len(good) + len(bad) + 1)
    ]
    assert query("SELECT count(*) FROM thing") == [(len(good),)]


@pytest.mark.parametrize(
    ("column", "checks", "value", "reason"),
    [
        (TEXT, 'accepted = ["CA", "NV"]', "XX", "v: 'XX' fails accepted (CA, NV)"),
        ('"boolean"', "accepted = [true]", "false", "v: false fails accepted (true)"),
        ('"integer"', "range = { least = 0, most = 360 }", "400", "v: 400 fails range (least 0, most 360)"),
        (NUMBER, "range = { most = 1.5 }", "2", "v: 2.00 fails range (most 1.5)"),
        ('"date"', DAYS, "2020-01-01", "v: 2020-01-01 fails range (least 2026-01-01, most 2026-12-31)"),
        (TEXT, "pattern = '\\d{3}'", "12", "v: '12' fails pattern \\d{3}"),
        (
            TEXT,
            "accepted = ['CA']\npattern = '[A-Z]+'",
            "n",
            "v: 'n' fails accepted (CA); v: 'n' fails pattern [A-Z]+",
        ),
        (TEXT, "pattern = 'x'", "y" * 500, f"v: '{'y' * 79}... fails pattern x"),
    ],
)
def test_a_reason_names_column_value_and_check(
    column: str, checks: str, value: str, reason: str, load: Load, query: Query
) -> None:
    good = {TEXT: "CA"}.get(column, "")
    load(column, checks, value, good)
    assert query("SELECT row_number, column_name, reason FROM etl.reject WHERE row_number = 1") == [(1, "v", reason)]


def test_a_value_that_cannot_be_cast_is_told_for_that_alone(load: Load, query: Query) -> None:
    load('"integer"', "range = { least = 0 }", "1", "x")
    assert query("SELECT reason FROM etl.reject") == [("v: 'x' is no integer",)]


def test_a_check_may_fail_the_table_and_says_how_many_rows_and_the_first(load: Load, query: Query) -> None:
    with pytest.raises(CheckFailedError) as caught:
        load(TEXT, 'accepted = ["CA"]\nfailing = "fail"', "CA", "a", "b", "c", "d")
    assert str(caught.value) == (
        "thing: 4 rows fail checks.columns.v.accepted (CA): row 2: 'a', row 3: 'b', row 4: 'c', .... Nothing was "
        'changed. Mend the source, or write failing = "reject" there to load the other rows.'
    )
    assert query("SELECT to_regclass('thing')") == [(None,)]
    assert query("SELECT status, error_type, rejected FROM etl.table_run") == [("failed", "CheckFailedError", 4)]
    assert query("SELECT count(*) FROM etl.reject") == [(4,)]


def test_without_a_failing_row_such_a_check_changes_nothing(load: Load) -> None:
    assert load(TEXT, 'accepted = ["CA"]\nfailing = "fail"', "CA", "").inserted == 2


def test_a_first_load_with_rejects_still_goes_straight_into_the_table(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "create_stage", None)
    assert load(TEXT, 'accepted = ["CA"]', "CA", "XX").inserted == 1


def test_a_row_that_fails_later_is_no_missing_one(load: Load, query: Query) -> None:
    top = 'on_missing = "delete"'
    load(TEXT, 'pattern = "[A-Z]+"', "A", "B", "C", top=top)
    result = load(TEXT, 'pattern = "[A-Z]+"', "A", "b", top=top)
    assert (result.unchanged, result.rejected, result.deleted) == (1, 1, 1)
    assert query("SELECT id, v FROM thing ORDER BY id") == [(1, "A"), (2, "B")]


def test_batches_that_passed_are_remembered(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    look = ValueChecks.look

    def counted(self: ValueChecks, batch: pa.RecordBatch, *more: Any) -> None:
        looked_at.append(batch.num_rows)
        look(self, batch, *more)

    monkeypatch.setattr(ValueChecks, "look", counted)
    load(TEXT, 'accepted = ["CA"]', "CA", "CA")
    assert load(TEXT, 'accepted = ["CA"]', "CA", "CA", force=True).unchanged == 2
    assert sum(looked_at) == 2


def test_a_check_that_is_new_is_applied_though_the_source_is_unchanged(load: Load) -> None:
    load(TEXT, 'accepted = ["CA", "XX"]', "CA", "XX")
    result = load(TEXT, 'accepted = ["CA"]', "CA", "XX")
    assert (result.status, result.rejected) == ("loaded", 1)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?=a)b", r"invalid perl operator: \(\?=; it has neither look-arounds nor back-references"),
        (r"(a)\1", r"invalid escape sequence: \\1"),
        ("(a", r"missing \): \(a"),
        ("a)|(b", r"unexpected \): a\)\|\(b"),
        (r"\Qa", "missing"),
        ("(((a{100}){100}){100})", "repetition"),
    ],
)
def test_a_pattern_that_is_none_fails_before_anything_is_written(
    pattern: str, said: str, load: Load, query: Query
) -> None:
    with pytest.raises(ConfigError, match=rf"thing: checks\.columns\.v\.pattern = .*: is no regular.*{said}"):
        load(TEXT, f"pattern = '{pattern}'", "a")
    assert query("SELECT to_regclass('thing')") == [(None,)]


def test_a_pattern_takes_no_longer_for_a_text_that_was_made_to_slow_it_down(load: Load) -> None:
    assert load(TEXT, "pattern = '(a+)+(a|aa)+b'", "a" * 200_000, "aab").rejected == 1
