"""The ledger's migrations, and who may do what to it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import LedgerMissingError, WarehouseError, WarehouseUnavailableError
from sluiceway.ledger import store
from sluiceway.ledger.migrate import _config, migrate
from sluiceway.ledger.warehouse import LEDGER_REVISION, connect
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def blank(postgres: Cluster) -> Iterator[str]:
    """The name of a database without a ledger."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
        )
        with psycopg.connect(postgres.url("sluiceway_owner", name), autocommit=True) as owner:
            owner.execute("DROP SCHEMA etl CASCADE")
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_the_revision_the_code_needs_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == LEDGER_REVISION


def test_a_migrated_warehouse_has_the_revision_the_code_needs(blank: str, postgres: Cluster) -> None:
    assert migrate(postgres.url("sluiceway_owner", blank)) == LEDGER_REVISION
    with connect(postgres.url("sluiceway_loader", blank)) as session:
        store.check_revision(session)


def test_migrating_again_changes_nothing(owner_url: str, open_run: Callable[[str], str], query: Query) -> None:
    open_run("kept")
    before = query("SELECT oid, relname FROM pg_class WHERE relnamespace = 'etl'::regnamespace ORDER BY oid")
    assert migrate(owner_url) == LEDGER_REVISION
    assert query("SELECT oid, relname FROM pg_class WHERE relnamespace = 'etl'::regnamespace ORDER BY oid") == before
    assert query("SELECT run_id FROM etl.run") == [("kept",)]


def test_two_migrations_at_once_both_succeed(blank: str, postgres: Cluster) -> None:
    url = postgres.url("sluiceway_owner", blank)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(migrate, [url, url])) == [LEDGER_REVISION] * 2


def test_a_role_that_owns_nothing_cannot_migrate_and_is_told_who_can(blank: str, postgres: Cluster) -> None:
    with pytest.raises(WarehouseError, match=r"permission denied.*SLUICEWAY_OWNER_URL"):
        migrate(postgres.url("sluiceway_loader", blank))


def test_migrating_a_warehouse_that_does_not_answer_names_the_place_without_the_password() -> None:
    with pytest.raises(WarehouseUnavailableError, match=r"127\.0\.0\.1:1/none does not answer") as caught:
        migrate("postgresql://u:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE etl.run ADD COLUMN mine text",
        "DROP TABLE etl.reject",
        "TRUNCATE etl.run CASCADE",
        "CREATE TABLE etl.mine (id integer)",
        "ALTER TABLE etl.table_run DROP CONSTRAINT no_row_is_lost",
        "UPDATE etl.alembic_version SET version_num = '9999'",
        "DROP SCHEMA etl CASCADE",
    ],
)
def test_the_loader_cannot_change_the_shape_of_the_ledger(query: Query, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(statement)


@pytest.mark.parametrize("table", ["run", "table_run", "reject"])
def test_the_loader_writes_the_ledger_and_the_reader_only_reads_it(
    table: str, query: Query, postgres: Cluster, database: str
) -> None:
    query(f"DELETE FROM etl.{table}")
    with psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as reader:
        assert reader.execute(f"SELECT count(*) FROM etl.{table}").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"DELETE FROM etl.{table}")


def test_the_reader_cannot_create_a_table(postgres: Cluster, database: str) -> None:
    with (
        psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute("CREATE TABLE public.mine (id integer)")


def test_a_warehouse_without_a_ledger_says_how_to_get_one(blank: str, postgres: Cluster) -> None:
    with (
        connect(postgres.url("sluiceway_loader", blank)) as session,
        pytest.raises(LedgerMissingError, match=r"ledger is missing and this code needs .* run `sluiceway ledger mig"),
    ):
        store.check_revision(session)


def test_a_ledger_of_another_revision_is_refused(blank: str, postgres: Cluster) -> None:
    owner = postgres.url("sluiceway_owner", blank)
    migrate(owner)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("UPDATE etl.alembic_version SET version_num = '9999'")
    with (
        connect(postgres.url("sluiceway_loader", blank)) as session,
        pytest.raises(LedgerMissingError, match=f"is at revision 9999 and this code needs {LEDGER_REVISION}"),
    ):
        store.check_revision(session)


def test_no_table_is_loaded_into_a_warehouse_without_a_ledger(
    blank: str, postgres: Cluster, write_spec: Callable[..., TableSpec]
) -> None:
    spec = write_spec(
        "city",
        'description = "c"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\ncolumns = { id = "integer" }\n',
        city__csv="id\n1\n",
    )
    with pytest.raises(LedgerMissingError):
        load_table(spec, postgres.url("sluiceway_loader", blank), run_id="r")
    with psycopg.connect(postgres.url("sluiceway_owner", blank), autocommit=True) as connection:
        assert connection.execute("SELECT to_regclass('city')").fetchone() == (None,)
