"""What came from an older version is asked anew: all of it, once, and not all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from sluiceway.jobs import recheck
from sluiceway.ledger.warehouse import PsycopgSession

WEEK = timedelta(days=7)
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def items(jobs_url: str) -> Iterator[Callable[..., None]]:
    """Makes items of a job, done a while ago and not due for long."""
    with psycopg.connect(jobs_url, autocommit=True) as connection:

        def make(count: int, *, job: str = "j", state: str = "done", version: str | None = "old") -> None:
            connection.execute(
                "INSERT INTO etl_jobs.item (job, item, state, due_at, source_version, last_error) "
                "SELECT %s, concat(%s::text, %s::text, n), %s, now() + interval '300 days', %s, 'x' "
                "FROM generate_series(1, %s) n",
                (job, state, version, state, version, count),
            )

        yield make


@pytest.fixture
def spread(jobs_url: str) -> Iterator[Callable[[str], int]]:
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        yield lambda version: recheck.spread(PsycopgSession(connection), "j", version=version, over=WEEK)


Make = Callable[..., None]
Spread = Callable[[str], int]
DAYS = "SELECT item, extract(epoch FROM due_at - now())::float8 / 86400 FROM etl_jobs.item ORDER BY item"


def test_all_of_an_older_version_is_due_within_the_time_and_evenly(items: Make, spread: Spread, query: Query) -> None:
    items(700)
    assert spread("new") == 700
    days = [day for _, day in query(DAYS)]
    assert min(days) > -0.01 and max(days) < 7
    # 100 a day; a day of an even spread has fewer than 50 or more than 150 once in ten million times
    assert all(50 < sum(number <= day < number + 1 for day in days) < 150 for number in range(7))


def test_the_same_call_again_changes_nothing(items: Make, spread: Spread, query: Query) -> None:
    items(50)
    spread("new")
    before = query("SELECT item, due_at FROM etl_jobs.item ORDER BY item")
    assert spread("new") == 0
    assert query("SELECT item, due_at FROM etl_jobs.item ORDER BY item") == before


def test_only_what_is_done_and_from_another_version_becomes_due(items: Make, spread: Spread, query: Query) -> None:
    for state in ("done", "due", "dead", "waiting"):
        items(1, state=state)
    items(1, version="new")
    items(1, version=None)
    items(1, job="other")
    assert spread("new") == 2
    assert query("SELECT job, state, source_version FROM etl_jobs.item WHERE due_at < now() + interval '8 days'") == [
        ("j", "done", "old"),
        ("j", "done", None),
    ]


def test_what_is_due_sooner_stays(items: Make, spread: Spread, query: Query) -> None:
    items(1)
    assert spread("new") == 1
    ((_, first),) = query(DAYS)
    assert spread("newer") == 0
    ((_, second),) = query(DAYS)
    assert abs(first - second) < 0.01


def test_what_a_person_has_discarded_stays_put_away(items: Make, spread: Spread, jobs_url: str) -> None:
    items(3)
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        connection.execute("UPDATE etl_jobs.item SET last_code = 'discarded' WHERE item = 'doneold1'")
    assert spread("new") == 2
