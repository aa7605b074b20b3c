"""What is due: read from the warehouse, and nothing written by it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import ConfigError
from sluiceway.jobs import due
from sluiceway.ledger.locks import LockedSession

BIRDS = (
    "SELECT * FROM (VALUES ('Aves', 1, 'x'), ('Felis', 2, 'y'), ('Felis', 3, 'z'), ('Homo', 4, NULL)) v (item, n, t)"
)


@pytest.fixture
def session(postgres: Cluster, database: str, jobs_url: str) -> Iterator[LockedSession]:
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        yield LockedSession(connection, jobs_url)


def test_a_select_becomes_items_each_once_with_its_input(session: LockedSession) -> None:
    assert due.enqueue(session, "j", BIRDS) == 3
    assert session.execute(sql.SQL("SELECT item, input->>'t' FROM etl_jobs.item ORDER BY 1")) == [
        ("Aves", "x"),
        ("Felis", "y"),
        ("Homo", None),
    ]
    assert due.enqueue(session, "j", BIRDS) == 0


@pytest.mark.parametrize("where", ["n > 3 OR item = 'Aves'", "item LIKE 'Aves' OR t IS NULL", "(n = 1) OR (n = 4)"])
def test_a_person_chooses_with_a_condition(session: LockedSession, where: str) -> None:
    assert due.find(session, BIRDS, where) == ["Aves", "Homo"]


@pytest.mark.parametrize(
    "where", ["1 = 1) OR (2 = 2", "true; DELETE FROM etl_jobs.item", "true --", "(true", "true /*"]
)
def test_a_condition_that_is_more_than_one_is_refused(session: LockedSession, where: str) -> None:
    with pytest.raises(ConfigError, match="write one condition"):
        due.find(session, BIRDS, where)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM etl_jobs.item RETURNING item", "SELECT 1 AS item; SELECT 2 AS item"]
)
def test_what_is_no_single_select_is_refused(session: LockedSession, statement: str) -> None:
    with pytest.raises(ConfigError, match="must be one SELECT"):
        due.find(session, statement)


def test_a_select_that_writes_by_a_function_is_refused_and_writes_nothing(session: LockedSession) -> None:
    session.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION etl_jobs.sly() RETURNS text LANGUAGE sql AS "
            "$$ INSERT INTO etl_jobs.item (job, item) VALUES ('j', 'sly') RETURNING item $$"
        )
    )
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        due.enqueue(session, "j", "SELECT etl_jobs.sly() AS item")
    assert session.execute(sql.SQL("SELECT count(*) FROM etl_jobs.item")) == [(0,)]
