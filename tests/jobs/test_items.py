"""Items are claimed once, acknowledged by whoever holds them, and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.jobs import items
from sluiceway.jobs.items import Outcome
from sluiceway.ledger.warehouse import PsycopgSession

JOB = "resolve"
LEASE = timedelta(seconds=30)
ENDED = timedelta(seconds=-1)
"""A lease that is over when it begins."""


def due(count: int, *, hash_: str = "a") -> sql.Composed:
    """A SELECT of that many items."""
    return sql.SQL(
        "SELECT 'i' || lpad(n::text, 6, '0') AS item, '{{}}'::jsonb AS input, {} AS input_hash "
        "FROM generate_series(1, {}) n"
    ).format(sql.Literal(hash_), sql.Literal(count))


@pytest.fixture
def session(postgres: Cluster, database: str) -> Iterator[PsycopgSession]:
    with psycopg.connect(postgres.url("sluiceway_jobs", database), autocommit=True) as connection:
        yield PsycopgSession(connection)


def rows(session: PsycopgSession) -> list[tuple[Any, ...]]:
    return session.execute(sql.SQL("SELECT item, state, attempts, lapses, last_code FROM etl_jobs.item ORDER BY item"))


def test_what_is_due_is_claimed_once_the_oldest_first(session: PsycopgSession) -> None:
    assert items.enqueue(session, JOB, due(5)) == 5
    first, second, third = (items.claim(session, JOB, limit=2, lease=LEASE) for _ in range(3))
    assert [each.item for each in first.items] == ["i000001", "i000002"]
    assert [len(each.items) for each in (first, second, third)] == [2, 2, 1]
    assert items.claim(session, JOB, limit=2, lease=LEASE).items == []


def test_what_is_there_already_is_not_made_due_unless_it_changed_or_is_to_be_asked_anew(
    session: PsycopgSession,
) -> None:
    items.enqueue(session, JOB, due(3))
    claimed = items.claim(session, JOB, limit=3, lease=LEASE)
    again = timedelta(days=90)
    ended = [Outcome("i000001", "done", again), Outcome("i000002", "done"), Outcome("i000003", "dead", error="no")]
    assert len(items.acknowledge(session, JOB, claimed, ended)) == 3
    assert items.enqueue(session, JOB, due(3)) == 1, "the one whose time has come"
    assert items.enqueue(session, JOB, due(3), again=True) == 1, "the one that is done"
    assert items.enqueue(session, JOB, due(3, hash_="b")) == 1, "the dead one, for those that are due are due"
    assert {row[1] for row in rows(session)} == {"due"}


def test_whose_claim_has_lapsed_changes_nothing(session: PsycopgSession) -> None:
    items.enqueue(session, JOB, due(1))
    late = items.claim(session, JOB, limit=1, lease=ENDED)
    assert items.rescue(session, JOB, max_lapses=3) == {"due": 1}
    now = items.claim(session, JOB, limit=1, lease=LEASE)
    assert items.acknowledge(session, JOB, late, [Outcome("i000001", "dead", error="late")]) == set()
    assert rows(session) == [("i000001", "claimed", 0, 1, "lapse")]
    assert items.acknowledge(session, JOB, now, [Outcome("i000001", "done")]) == {"i000001"}
    assert items.acknowledge(session, JOB, late, [Outcome("i000001", "due")]) == set()
    assert rows(session) == [("i000001", "done", 0, 0, None)]


def test_what_an_answer_came_from_is_kept_until_an_answer_of_another_version(session: PsycopgSession) -> None:
    items.enqueue(session, JOB, due(2))
    for version in ("2025", None, "2026"):
        session.execute(sql.SQL("UPDATE etl_jobs.item SET state = 'due', due_at = '-infinity'"))
        claimed = items.claim(session, JOB, limit=1, lease=LEASE)
        items.acknowledge(session, JOB, claimed, [Outcome("i000001", "done", source_version=version)])
        found = session.execute(sql.SQL("SELECT source_version FROM etl_jobs.item ORDER BY item"))
        assert found == [(version or "2025",), (None,)]


def test_one_that_kills_its_process_dies_alone(session: PsycopgSession) -> None:
    poison = "i000007"
    items.enqueue(session, JOB, due(20))
    while (claimed := items.claim(session, JOB, limit=10, lease=ENDED)).items:
        for each in claimed.items:
            if each.item == poison:
                break
            items.acknowledge(session, JOB, claimed, [Outcome(each.item, "done")])
        items.rescue(session, JOB, max_lapses=3)
    found = {row[0]: row[1:] for row in rows(session)}
    assert found.pop(poison) == ("dead", 0, 3, "lapse")
    assert set(found.values()) == {("done", 0, 0, None)}
