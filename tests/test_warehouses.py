"""The copies that tests use one after another: whatever a test has done to one, the next finds it as new."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from dev.cluster import Cluster
from tests.warehouses import Warehouses

LEFT = [
    "CREATE TABLE left_over (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, geom geometry)",
    "CREATE SEQUENCE left_over",
    "CREATE VIEW left_over AS SELECT 1",
    "CREATE TABLE a (id int); CREATE MATERIALIZED VIEW left_over AS SELECT * FROM a; CREATE VIEW b AS SELECT * FROM a",
    "CREATE SCHEMA left_over; CREATE TABLE left_over.t (id int)",
    "CREATE FUNCTION left_over() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE left_over AS ENUM ('a'); CREATE TABLE t (a left_over)",
    "CREATE EXTENSION fuzzystrmatch",
    "INSERT INTO etl.run (run_id, dag_id, trigger_kind, status) VALUES ('r', 'd', 'test', 'running')",
]
CHANGED = [
    "ALTER TABLE etl.run ADD COLUMN mine int",
    "DROP TABLE etl.reject",
    "REVOKE SELECT ON etl.run FROM sluiceway_reader",
    "UPDATE etl.alembic_version SET version_num = 'another'",
    "DELETE FROM spatial_ref_sys WHERE srid = 4326",
    "ALTER TABLE etl.run DISABLE TRIGGER ALL",
    "ALTER TABLE etl.run ALTER COLUMN note SET DEFAULT 'mine'",
    "REVOKE CREATE ON SCHEMA public FROM sluiceway_loader",
    "DROP EXTENSION postgis CASCADE",
    "DROP SCHEMA etl, etl_jobs CASCADE",
    "ALTER DATABASE {name} SET statement_timeout = '1h'",
    "REVOKE CONNECT ON DATABASE {name} FROM sluiceway_reader",
]


@pytest.fixture(scope="module")
def own(postgres: Cluster) -> Iterator[Warehouses]:
    """Apart from those of the other tests: who asks next gets the one that was given back."""
    found = Warehouses(postgres)
    yield found
    found.drop_all()


def spoil(postgres: Cluster, own: Warehouses, statement: str) -> tuple[str, str]:
    """Do that to a copy; its name, and that of the next."""
    with own.lend() as first, psycopg.connect(postgres.url("postgres", first), autocommit=True) as connection:
        connection.execute(statement.format(name=first))
    with own.lend() as second:
        pass
    return first, second


def content(postgres: Cluster, name: str) -> list[object]:
    """What stands in a copy, as far as it can be counted."""
    with psycopg.connect(postgres.url("postgres", name)) as connection:
        asked = (
            "SELECT count(*), max(relname) FILTER (WHERE relname ~ 'left_over|^[abt]$') FROM pg_class "
            "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_'",
            "SELECT nspname, nspacl FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
            "SELECT extname FROM pg_extension ORDER BY 1",
            "SELECT count(*) FROM pg_proc",
            "SELECT count(*) FROM pg_type WHERE typtype = 'e'",
            "SELECT count(*) FROM etl.run",
            "SELECT version_num FROM etl.alembic_version",
            "SELECT count(*) FROM spatial_ref_sys",
            "SELECT array_agg(attname ORDER BY attname) FROM pg_attribute WHERE attrelid = 'etl.run'::regclass",
            "SELECT relacl FROM pg_class WHERE oid = 'etl.run'::regclass",
            "SHOW statement_timeout",
        )
        return [connection.execute(statement).fetchall() for statement in asked]


@pytest.mark.parametrize("statement", LEFT)
def test_what_a_test_has_left_is_cleared_away(postgres: Cluster, own: Warehouses, statement: str) -> None:
    first, second = spoil(postgres, own, statement)
    assert first == second, "the same copy"
    assert content(postgres, second) == content(postgres, "warehouse")


@pytest.mark.parametrize("statement", CHANGED)
def test_a_copy_that_cannot_be_cleared_is_replaced(postgres: Cluster, own: Warehouses, statement: str) -> None:
    first, second = spoil(postgres, own, statement)
    assert first != second
    assert content(postgres, second) == content(postgres, "warehouse")


def test_a_connection_that_was_left_open_is_closed(postgres: Cluster, own: Warehouses) -> None:
    with own.lend() as name:
        left = psycopg.connect(postgres.url("sluiceway_loader", name))
        left.execute("LOCK TABLE etl.run IN ACCESS SHARE MODE")
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")


def test_who_asks_stays_connected_and_forgets_what_the_test_before_has_set(own: Warehouses) -> None:
    pid = "SELECT pg_backend_pid(), current_user, current_setting('search_path')"
    with own.lend() as first:
        before = own.asker(first).execute(pid).fetchall()
        own.asker(first).execute("SET search_path TO etl")
        own.asker(first).execute("CREATE TEMP TABLE left_over (id int)")
    with own.lend() as second:
        assert own.asker(second).execute(pid).fetchall() == before
        with pytest.raises(psycopg.errors.UndefinedTable):
            own.asker(second).execute("SELECT * FROM left_over")
        own.asker(second).close()
        assert own.asker(second).execute(pid).fetchall() != before
    assert first == second


def test_two_at_once_are_two(own: Warehouses) -> None:
    with own.lend() as first, own.lend() as second:
        assert first != second
