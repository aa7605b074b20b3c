"""What each role of the warehouse may do there, as docs/how-to/access.md shows it. Nothing of it is committed."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from dev.cluster import Cluster
from dev.docs.access import LIMITS, ROLES, STATEMENTS, Statement
from sluiceway.ledger.rights import LOADER_WRITES, READER_READS, grants

Session = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def sessions(postgres: Cluster) -> Iterator[dict[str, Session]]:
    """One of each role, in the database `warehouse` itself: a copy has the rights of nobody on the database."""
    opened = {role: psycopg.connect(postgres.url(f"sluiceway_{role}", "warehouse"), autocommit=True) for role in ROLES}
    yield opened
    for session in opened.values():
        session.close()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda each: f"{each.text} in {each.database}")
def test_a_role_may_what_the_page_says_and_nothing_else(
    role: str, statement: Statement, postgres: Cluster, sessions: dict[str, Session]
) -> None:
    if statement.database != "warehouse":
        assert role not in statement.may
        with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{statement.database}"'):
            psycopg.connect(postgres.url(f"sluiceway_{role}", statement.database))
        return
    session = sessions[role]
    if role in statement.may:
        with session.transaction(force_rollback=True):
            session.execute(statement.text)
        return
    # not in a transaction, in which some are refused for another reason
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement.text)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_the_time_that_the_page_says(role: str, sessions: dict[str, Session]) -> None:
    found = {name: sessions[role].execute(f"SHOW {name}").fetchone() for name in LIMITS[role]}
    assert found == {name: (value,) for name, value in LIMITS[role].items()}


def test_every_table_that_rights_are_granted_on_is_there(sessions: dict[str, Session]) -> None:
    found = sessions["owner"].execute("SELECT relname FROM pg_class WHERE relnamespace = 'etl'::regnamespace")
    names = {str(name) for (name,) in found.fetchall()}
    assert LOADER_WRITES.keys() | READER_READS.keys() <= names


def test_a_right_that_a_role_had_before_is_taken_back_when_rights_are_granted_anew(
    sessions: dict[str, Session],
) -> None:
    owner = sessions["owner"]
    with owner.transaction(force_rollback=True):
        owner.execute("GRANT SELECT (hash) ON etl.face_token TO sluiceway_reader")
        owner.execute("GRANT SELECT ON etl.trigger_event TO sluiceway_jobs")
        owner.execute("GRANT DELETE ON etl.task_run TO sluiceway_loader")
        owner.execute(grants().encode())
        found = owner.execute(
            "SELECT has_any_column_privilege('sluiceway_reader', 'etl.face_token', 'SELECT'), "
            "has_table_privilege('sluiceway_jobs', 'etl.trigger_event', 'SELECT'), "
            "has_table_privilege('sluiceway_loader', 'etl.task_run', 'DELETE')"
        )
        assert found.fetchone() == (False, False, False)


def test_a_try_is_counted_although_the_loader_may_not_write_the_counts(sessions: dict[str, Session]) -> None:
    with sessions["loader"].transaction(force_rollback=True):
        sessions["loader"].execute("INSERT INTO etl.run (dag_id, run_id, trigger_kind) VALUES ('d', 'r', 'test')")
        sessions["loader"].execute(
            "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status, finished_at) "
            "VALUES ('d', 'r', 'city', 1, 'failed', now())"
        )
        counted = sessions["loader"].execute("SELECT failures FROM etl.table_tally WHERE table_name = 'city'")
        assert counted.fetchall() == [(1,)]
