"""The ledger's migrations, and who may do what to it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import LedgerMissingError, WarehouseError, WarehouseUnavailableError
from sluiceway.jobs import results
from sluiceway.jobs.definition import Results
from sluiceway.ledger import last_loads, store
from sluiceway.ledger.migrate import _config, migrate
from sluiceway.ledger.rejects import rejects_of
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import LEDGER_REVISION, connect
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

Query = Callable[..., list[tuple[object, ...]]]


def test_the_revision_the_code_needs_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == LEDGER_REVISION


def test_a_migrated_warehouse_has_the_revision_the_code_needs(blank: str, postgres: Cluster) -> None:
    assert migrate(postgres.url("sluiceway_owner", blank)) == LEDGER_REVISION
    with connect(postgres.url("sluiceway_loader", blank)) as session:
        check_revision(session)


def test_a_ledger_is_migrated_also_where_a_job_has_made_the_table_of_its_results(
    postgres: Cluster, database: str, owner_url: str
) -> None:
    with connect(postgres.url("sluiceway_jobs", database)) as session:
        results.ensure(session, Results(table="height", columns={"metres": "double precision"}))
    assert migrate(owner_url) == LEDGER_REVISION
    for role in ("sluiceway_loader", "sluiceway_reader"):
        with psycopg.connect(postgres.url(role, database)) as connection:
            for table in ("height", "item", "rate", "lane", "request", "decision"):
                connection.execute(sql.SQL("SELECT FROM etl_jobs.{}").format(sql.Identifier(table)))


def test_migrating_again_changes_nothing(owner_url: str, open_run: Callable[[str], RunKey], query: Query) -> None:
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


def test_of_two_servers_the_one_that_answers_is_migrated(blank: str, postgres: Cluster) -> None:
    url = postgres.url("sluiceway_owner", blank)
    head, at, place = url.rpartition("@")
    assert migrate(f"{head}{at}127.0.0.1:1,{place}") == LEDGER_REVISION


def test_servers_of_which_none_answers_are_all_named() -> None:
    with pytest.raises(WarehouseUnavailableError, match=r"127\.0\.0\.1:1,localhost:2/none does not answer"):
        migrate("postgresql://u:secret@127.0.0.1:1,localhost:2/none")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE etl.run ADD COLUMN mine text",
        "DROP TABLE etl.reject",
        "TRUNCATE etl.run CASCADE",
        "CREATE TABLE etl.mine (id integer)",
        "ALTER TABLE etl.table_run DROP CONSTRAINT no_row_is_lost",
        "UPDATE etl.alembic_version SET version_num = '9999'",
        "DROP SCHEMA etl, etl_jobs CASCADE",
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
        check_revision(session)


@pytest.fixture
def at_revision(blank: str, postgres: Cluster) -> Callable[..., None]:
    """Checks a ledger of that revision, which names some older ones as those that may go on with it."""
    migrate(postgres.url("sluiceway_owner", blank))

    def check(revision: str, *compatible: str) -> None:
        with psycopg.connect(postgres.url("sluiceway_owner", blank)) as connection:
            connection.execute("UPDATE etl.alembic_version SET version_num = %s", [revision])
            connection.execute("DELETE FROM etl.compatible")
            for each in compatible:
                connection.execute("INSERT INTO etl.compatible VALUES (%s)", [each])
        with connect(postgres.url("sluiceway_loader", blank)) as session:
            check_revision(session)

    return check


def test_code_works_on_the_ledger_of_its_own_revision_whatever_that_names(at_revision: Callable[..., None]) -> None:
    at_revision(LEDGER_REVISION)


def test_an_older_ledger_is_refused_and_the_sentence_says_how_to_migrate_it(at_revision: Callable[..., None]) -> None:
    with pytest.raises(
        LedgerMissingError,
        match=f"is at revision 0005 and this code needs {LEDGER_REVISION}; run `sluiceway ledger migrate`",
    ):
        at_revision("0005", LEDGER_REVISION)


def test_a_newer_ledger_that_names_this_code_serves_it(at_revision: Callable[..., None]) -> None:
    at_revision("9999", "0005", LEDGER_REVISION)


def test_a_newer_ledger_that_does_not_name_this_code_is_refused_and_the_sentence_asks_for_newer_code(
    at_revision: Callable[..., None],
) -> None:
    with pytest.raises(
        LedgerMissingError, match=f"is at revision 9999, which no longer serves code of {LEDGER_REVISION}; deploy the"
    ):
        at_revision("9999", "9998")


def test_every_migration_names_its_own_revision_as_compatible(blank: str, postgres: Cluster) -> None:
    migrate(postgres.url("sluiceway_owner", blank))
    with psycopg.connect(postgres.url("sluiceway_owner", blank)) as connection:
        found = connection.execute("SELECT revision FROM etl.compatible ORDER BY revision").fetchall()
    # what came since 0006 adds schemas, tables, columns, a view and narrower rights, which code of before does not miss
    every = {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}
    assert [revision for (revision,) in found] == sorted(each for each in every if each >= "0006")


def test_no_table_is_loaded_into_a_warehouse_without_a_ledger(
    blank: str, postgres: Cluster, write_spec: Callable[..., TableSpec]
) -> None:
    spec = write_spec(
        "city",
        'description = "c"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\ncolumns = { id = "integer" }\n',
        city__csv="id\n1\n",
    )
    with pytest.raises(LedgerMissingError):
        load_table(spec, postgres.url("sluiceway_loader", blank), run=RunKey("dag", "r"))
    with psycopg.connect(postgres.url("sluiceway_owner", blank), autocommit=True) as connection:
        assert connection.execute("SELECT to_regclass('city')").fetchone() == (None,)


def moved(url: str, go: Callable[[Config, str], None], revision: str) -> None:
    """Bring a ledger to a revision, up or down."""
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(url).set(drivername="postgresql+psycopg"))
    config = _config()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS etl")
        config.attributes["connection"] = connection
        go(config, revision)
    engine.dispose()


Owner = psycopg.Connection[tuple[object, ...]]
BEFORE_0006 = """
INSERT INTO etl.run (run_id, dag_id, trigger_kind, status, finished_at, note) VALUES
    ('deploy__a', 'master_etl', 'deploy', 'success', now(), '1 of 1 tables loaded'),
    ('cli__1', NULL, 'cli', 'failed', now(), 'no'),
    ('deploy__b', 'master_etl', 'deploy', 'superseded', now(), 'a newer commit waits'),
    ('deploy__c', 'master_etl', 'deploy', 'superseded', now(), NULL);
INSERT INTO etl.table_run
    (run_id, table_name, status, extracted, inserted, rejected, table_rows, watermark, finished_at)
VALUES
    ('deploy__a', 'city', 'loaded', 5, 4, 1, 4, '2020', now()),
    ('cli__1', 'town', 'failed', 0, 0, 0, NULL, NULL, now());
INSERT INTO etl.reject (run_id, table_name, row_number, column_name, reason, "row")
VALUES ('deploy__a', 'city', 3, 'id', 'no integer', '{"id": "x"}');
"""


@pytest.fixture
def filled(blank: str, postgres: Cluster) -> Iterator[Owner]:
    """A ledger of revision 0005 with runs, brought to the newest."""
    url = postgres.url("sluiceway_owner", blank)
    moved(url, command.upgrade, "0005")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BEFORE_0006)
        migrate(url)
        yield connection


def test_runs_of_before_keep_what_they_did_under_their_dag(filled: Owner) -> None:
    assert filled.execute(
        "SELECT dag_id, run_id, status, outcome, outcome_note FROM etl.run ORDER BY 2"
    ).fetchall() == [
        ("cli", "cli__1", "failed", None, None),
        ("master_etl", "deploy__a", "success", None, None),
        ("master_etl", "deploy__b", "superseded", "superseded", "a newer commit waits"),
        ("master_etl", "deploy__c", "superseded", "superseded", ""),
    ]
    assert filled.execute(
        "SELECT dag_id, run_id, table_name, try_number, status, inserted, watermark FROM etl.table_run ORDER BY 3"
    ).fetchall() == [
        ("master_etl", "deploy__a", "city", 1, "loaded", 4, "2020"),
        ("cli", "cli__1", "town", 1, "failed", 0, None),
    ]
    assert filled.execute(
        "SELECT dag_id, run_id, table_name, try_number, row_number, key FROM etl.reject"
    ).fetchall() == [("master_etl", "deploy__a", "city", 1, 3, None)]


def test_the_code_reads_what_was_written_before(filled: Owner, blank: str, postgres: Cluster) -> None:
    with connect(postgres.url("sluiceway_loader", blank)) as session:
        assert len(store.runs(session)) == 4
        last = last_loads.last_good_load(session, "city")
        assert last is not None
        assert last.key == RunKey("master_etl", "deploy__a")
        assert [reject.row for reject in rejects_of(session, last)] == [{"id": "x"}]


def test_what_a_run_of_before_has_published_stays_published(blank: str, postgres: Cluster) -> None:
    url = postgres.url("sluiceway_owner", blank)
    moved(url, command.upgrade, "0005")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("""
            INSERT INTO etl.run (run_id, dag_id, trigger_kind, status, finished_at, note) VALUES
                ('green', 'master_etl', 'manual', 'success', '2026-08-03 14:00Z', '2 of 2 tables loaded.'),
                ('cleanup', 'master_etl', 'manual', 'failed', '2026-08-03 15:00Z',
                    'failed tasks: sub.cleanup_history (failed). What was loaded is published.'),
                ('red', 'master_etl', 'manual', 'failed', '2026-08-03 16:00Z',
                    '1 of 2 tables failed: town (E: no). Nothing was published.'),
                ('cli__1', NULL, 'cli', 'success', '2026-08-03 17:00Z', NULL),
                ('open', 'master_etl', 'manual', 'running', NULL, NULL);
            INSERT INTO etl.table_run (run_id, table_name, status)
            SELECT r.run_id, t.name, t.status
            FROM etl.run r, (VALUES ('city', 'loaded'), ('town', 'unchanged')) t (name, status)
        """)
        migrate(url)
        runs = connection.execute("SELECT run_id, published_at FROM etl.run WHERE published_at IS NOT NULL").fetchall()
        tables = connection.execute(
            "SELECT run_id, table_name, published_at FROM etl.table_run WHERE published_at IS NOT NULL"
        ).fetchall()
    at = {"green": datetime(2026, 8, 3, 14, tzinfo=UTC), "cleanup": datetime(2026, 8, 3, 15, tzinfo=UTC)}
    assert dict(runs) == at
    assert set(tables) == {(run, table, at[run]) for run in at for table in ("city", "town")}


def test_back_to_the_revision_before_one_row_stands_for_all_tries_of_a_table(
    filled: Owner, blank: str, postgres: Cluster
) -> None:
    filled.execute(
        "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status) VALUES "
        "('master_etl', 'deploy__a', 'city', 0, 'planned'), ('master_etl', 'deploy__a', 'city', 2, 'unchanged'), "
        "('master_etl', 'deploy__a', 'city', 3, 'planned'), ('cli', 'cli__1', 'town', 2, 'loaded')"
    )
    moved(postgres.url("sluiceway_owner", blank), command.downgrade, "0005")
    assert filled.execute("SELECT run_id, dag_id, status, note FROM etl.run ORDER BY 1").fetchall() == [
        ("cli__1", None, "failed", "no"),
        ("deploy__a", "master_etl", "success", "1 of 1 tables loaded"),
        ("deploy__b", "master_etl", "superseded", "a newer commit waits"),
        ("deploy__c", "master_etl", "superseded", None),
    ]
    assert filled.execute("SELECT run_id, table_name, status FROM etl.table_run ORDER BY 1").fetchall() == [
        ("cli__1", "town", "loaded"),
        ("deploy__a", "city", "loaded"),
    ]
    assert filled.execute('SELECT run_id, table_name, "row" FROM etl.reject').fetchall() == [
        ("deploy__a", "city", {"id": "x"})
    ]
    assert migrate(postgres.url("sluiceway_owner", blank)) == LEDGER_REVISION
