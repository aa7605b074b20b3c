"""What one cause is, and what is another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.alerts.cause import error_key, key_of
from sluiceway.errors import CheckFailedError
from sluiceway.load.failing import Failing, check_none_fails
from sluiceway.tables.spec import TableSpec

SAME = [
    (
        "SourceMissingError: /srv/exports/city.csv: there is no such file",
        "SourceMissingError: /srv/exports/town.csv: there is no such file",
    ),
    (
        "EmptyExtractionError: city: the source gave 3 rows, 1,000 are needed",
        "EmptyExtractionError: town: the source gave 17 rows, 250 are needed",
    ),
    (
        "killed: its process that began 2026-11-29 10:04:05 UTC ended (log: http://a/dags/x/runs/1)",
        "killed: its process that began 2026-11-30 11:00:00 UTC ended",
    ),
    (
        "NoCommitError: https://x.org/v says 1f0c2ab",
        "NoCommitError: https://x.org/v says 9e8d7c6b5a",
    ),
    (
        "TooManyRejectsError: city: 1 of 9 rows cannot be loaded and checks.max_rejects allows 0. The first: row 2: "
        "riders: 'n/a' is no integer (march.csv, row 2). Nothing was changed.",
        "TooManyRejectsError: town: 30 of 90 rows cannot be loaded and checks.max_rejects allows 0. The first: row 71: "
        "riders: 'a long text that is cut... is no integer (april.csv, row 7). Nothing was changed.",
    ),
    (
        "TooManyRejectsError: city: The first: row 2: severity = 'FATAL', killed = 0 fails holds killed > 0",
        "TooManyRejectsError: town: The first: row 9: severity = null, killed = -1 fails holds killed > 0",
    ),
    (
        "TooManyRejectsError: city: The first: row 2: 'Ponce', 5.00 fails unique (place, cost): row 8 has the same",
        "TooManyRejectsError: town: The first: row 4: 'Yauco', null fails unique (place, cost): row 9 has the same",
    ),
]
OTHER = [
    (
        "TooManyRejectsError: city: 1 of 9 rows cannot be loaded. The first: row 2: riders: 'n/a' is no integer",
        "TooManyRejectsError: city: 1 of 9 rows cannot be loaded. The first: row 2: seats: 'n/a' is no integer",
    ),
    ("SchemaDriftError: the column 'id' is missing", "SchemaDriftError: the column 'name' is missing"),
    (
        "SourceMissingError: /srv/exports/city.csv: there is no such file",
        "SourceMissingError: /srv/imports/city.csv: there is no such file",
    ),
    ("WarehouseError: the same text", "ValidationError: the same text"),
    (
        "WarehouseUnavailableError: db.example.org does not answer",
        "WarehouseUnavailableError: dc.example.org does not answer",
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_differs_from_place_to_place_is_one_cause(one: str, other: str) -> None:
    assert error_key(one, "city", "r1") == error_key(other, "town", "r2")


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_says_something_else_is_another_cause(one: str, other: str) -> None:
    assert error_key(one, "city") != error_key(other, "city")


def test_the_same_text_of_another_kind_is_another_cause() -> None:
    assert key_of("blind", "it does not answer") != key_of("error", "it does not answer")


CHECKED = """
description = "Cities"
key = "id"

[source]
kind = "csv"
uri = "city.csv"

[columns]
id = "integer"
state = "text"
day = "date"

[checks.columns.state]
accepted = ["CA"]
failing = "fail"

[checks.columns.day]
range = { least = 2015-01-01 }
failing = "fail"
"""


@pytest.fixture
def said(write_spec: Callable[..., TableSpec]) -> Callable[..., str]:
    """What a load says of rows that fail checks which let none through."""
    spec = write_spec("city", CHECKED)

    def said(**rows: list[tuple[int, str]]) -> str:
        failing = Failing()
        for rule in spec.checks.rules("accepted", "range"):
            if found := rows.get(rule.kind):
                failing.add(rule.key, len(found), found)
        with pytest.raises(CheckFailedError) as raised:
            check_none_fails(spec, failing)
        return f"CheckFailedError: {raised.value}"

    return said


def test_a_check_that_other_rows_fail_the_next_day_is_one_cause(said: Callable[..., str]) -> None:
    one = said(accepted=[(3, "'XX'")], range=[(2, "1900-01-01")])
    many = [(row, f"'a; b: row {row}'") for row in range(1_000, 1_009)]
    other = said(accepted=many, range=[(5, "1901-02-03"), (7, "infinity")])
    assert error_key(one, "city", "r1") == error_key(other, "city", "r2")


def test_another_check_that_rows_fail_is_another_cause(said: Callable[..., str]) -> None:
    keys = {
        error_key(each, "city")
        for each in (
            said(accepted=[(3, "'XX'")]),
            said(range=[(3, "1900-01-01")]),
            said(accepted=[(3, "'XX'")], range=[(3, "1900-01-01")]),
        )
    }
    assert len(keys) == 3
