"""What is due: read from the warehouse, and nothing written by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import ConfigError
from sluiceway.jobs import due
from sluiceway.jobs.definition import Job, Results
from sluiceway.jobs.taxa import names
from sluiceway.ledger.locks import LockedSession
from tests.jobs.enqueued import enqueue, enqueue_job

BIRDS = (
    "SELECT * FROM (VALUES ('Aves', 1, 'x'), ('Felis', 2, 'y'), ('Felis', 3, 'z'), ('Homo', 4, NULL)) v (item, n, t)"
)


@pytest.fixture
def session(postgres: Cluster, database: str, jobs_url: str) -> Iterator[LockedSession]:
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        yield LockedSession(connection, jobs_url)


def test_a_select_becomes_items_each_once_with_its_input(session: LockedSession) -> None:
    assert enqueue(session, "j", BIRDS) == 3
    assert session.execute(sql.SQL("SELECT item, input->>'t' FROM etl_jobs.item ORDER BY 1")) == [
        ("Aves", "x"),
        ("Felis", "y"),
        ("Homo", None),
    ]
    assert enqueue(session, "j", BIRDS) == 0


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
    "statement",
    [
        "DELETE FROM etl_jobs.item RETURNING item",
        "SELECT 1 AS item; SELECT 2 AS item",
        "WITH d AS (DELETE FROM etl_jobs.item RETURNING item) SELECT item FROM d",
        "SELECT lo_import('/etc/hostname')::text AS item",
    ],
)
def test_what_does_more_than_read_is_refused(session: LockedSession, statement: str) -> None:
    with pytest.raises(ConfigError, match="must be one SELECT"):
        due.find(session, statement)


def test_a_condition_that_does_more_than_read_is_refused(session: LockedSession) -> None:
    with pytest.raises(ConfigError, match="calls lo_unlink, which does more than read"):
        due.find(session, BIRDS, "lo_unlink(1) = 1")


def test_a_select_that_writes_by_a_function_is_refused_and_writes_nothing(session: LockedSession) -> None:
    session.execute(
        sql.SQL(
            "CREATE OR REPLACE FUNCTION etl_jobs.sly() RETURNS text LANGUAGE sql AS "
            "$$ INSERT INTO etl_jobs.item (job, item) VALUES ('j', 'sly') RETURNING item $$"
        )
    )
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        enqueue(session, "j", "SELECT etl_jobs.sly() AS item")
    assert session.execute(sql.SQL("SELECT count(*) FROM etl_jobs.item")) == [(0,)]


def test_an_item_that_is_null_is_refused_by_a_sentence(session: LockedSession) -> None:
    with pytest.raises(ConfigError, match="an item that is NULL"):
        enqueue(session, "j", "SELECT NULL AS item")


SPELLINGS = (
    "SELECT * FROM (VALUES ('MERGUS MERGANSER', 1), ('Mergus\u00a0merganser', 2), ('Mergus merganser', 3), "
    "('Aloe\u0301 vera', 4), ('Alo\u00e9 vera', 5), ('42', 6), ('Mergus serrator', 7)) v (item, n)"
)


def inputs(session: LockedSession) -> dict[str, Any]:
    return dict(session.execute(sql.SQL("SELECT item, input FROM etl_jobs.item")))


def test_a_name_that_no_index_holds_is_refused_by_a_sentence(session: LockedSession) -> None:
    assert due.find(session, "SELECT repeat('a', 2000) AS item") == ["a" * 2000]
    with pytest.raises(ConfigError, match=r"an item of 2,001 bytes, 'a{60}'\.\.\.; a name has at most 2,000"):
        due.find(session, "SELECT repeat('a', 2001) AS item")


def test_of_an_item_with_several_inputs_it_is_always_the_same_one(session: LockedSession) -> None:
    rows = ["('a', 1)", "('a', 2)", "('b', 3)"]
    for order in (rows, rows[::-1]):
        enqueue(session, "j", f"SELECT * FROM (VALUES {', '.join(order)}) v (item, n)")
        found = session.execute(sql.SQL("SELECT item, input->>'n' FROM etl_jobs.item ORDER BY 1"))
        assert found == [("a", "1"), ("b", "3")]


def test_spellings_of_one_name_are_one_item_that_keeps_them_all(session: LockedSession) -> None:
    assert enqueue(session, "j", SPELLINGS, key=names.key) == 4
    assert inputs(session) == {
        "Mergus merganser": {
            "n": 1,
            "raw": ["MERGUS MERGANSER", "Mergus merganser", "Mergus\u00a0merganser"],
        },
        "Alo\u00e9 vera": {"n": 4, "raw": ["Aloe\u0301 vera", "Alo\u00e9 vera"]},
        "42": {"n": 6, "raw": ["42"]},
        "Mergus serrator": {"n": 7, "raw": ["Mergus serrator"]},
    }
    assert enqueue(session, "j", SPELLINGS, key=names.key) == 0


def test_a_spelling_that_comes_later_joins_its_item(session: LockedSession) -> None:
    enqueue(session, "j", "SELECT 'Mergus merganser' AS item", key=names.key)
    session.execute(sql.SQL("UPDATE etl_jobs.item SET state = 'done', due_at = 'infinity'"))
    two = "SELECT 'Mergus merganser' AS item UNION SELECT 'MERGUS MERGANSER'"
    assert enqueue(session, "j", two, key=names.key) == 1
    assert inputs(session) == {"Mergus merganser": {"raw": ["MERGUS MERGANSER", "Mergus merganser"]}}


def test_more_names_than_are_fetched_at_once_all_get_their_keys(
    session: LockedSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "FETCHED_AT_ONCE", 7)
    many = "SELECT 'AVIS ' || repeat('A', n) AS item FROM generate_series(1, 50) n"
    found = due.find(session, many, key=names.key)
    assert sorted(found) == sorted(f"Avis {'a' * number}" for number in range(1, 51))


def test_a_table_of_another_job_need_not_be_there_yet(session: LockedSession) -> None:
    taxa = Results(table="taxon", key="name", columns={"taxon_key": "text"})
    job = Job(
        due="SELECT taxon_key AS item FROM etl_jobs.taxon",
        work=lambda batch: [],
        results=Results(table="image", columns={"file": "text"}),
    )
    with pytest.raises(psycopg.errors.UndefinedTable):
        enqueue_job(session, "j", job)
    needing = job.model_copy(update={"needs_results": (taxa,)})
    assert enqueue_job(session, "j", needing) == 0
    session.execute(sql.SQL("INSERT INTO etl_jobs.taxon (name, taxon_key) VALUES ('Aves', 'V2')"))
    assert enqueue_job(session, "j", needing) == 1
