"""What one cause is, and what is another."""

from __future__ import annotations

import pytest

from sluiceway.alerts.cause import error_key, key_of

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
]
OTHER = [
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
