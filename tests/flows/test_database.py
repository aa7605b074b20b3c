"""The sensor of a database, on a real PostgreSQL and a real SQLite: what is seen, what it costs, and no injection."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import dialects
from sqlalchemy.dialects import mssql, mysql, oracle
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError

from dev.cluster import Cluster
from sluiceway.errors import (
    ConfigError,
    SchemaDriftError,
    SettingsError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.flows.kinds import database_look
from sluiceway.sources.connections import Connection, from_uri
from tests.flows.looks import Looks, trigger_of
from tests.warehouses import Warehouses

Run = Callable[..., list[tuple[object, ...]]]
NEWEST = {"table_name": "orders", "detection_mode": "timestamp_column", "timestamp_column": "created_at"}
COUNT = {"table_name": "orders", "detection_mode": "row_count"}


SHOP = {"connection": "shop"}


def query_of(statement: str) -> dict[str, str]:
    return {"detection_mode": "custom_query", "custom_query": statement}


@pytest.fixture(autouse=True)
def _no_session_stays() -> Iterator[None]:
    yield
    for kept in database_look._engines.values():
        kept.engine.dispose()
    database_look._engines.clear()


@pytest.fixture
def run(warehouses: Warehouses, database: str) -> Run:
    """Runs statements, gives the rows of the last, and has an empty table of orders."""

    def execute(*statements: str) -> list[tuple[object, ...]]:
        for statement in statements:
            cursor = warehouses.asker(database).execute(statement)
        return cursor.fetchall() if cursor.description else []

    execute("CREATE TABLE orders (id int, status text DEFAULT 'new', created_at timestamptz)")
    return execute


@pytest.fixture
def watch(run: Run, warehouse_url: str) -> Callable[..., Looks]:
    """A sensor that has looked once, at the project's own database."""

    def make(**keys: Any) -> Looks:
        looks = Looks(trigger_of(sensor_type="database", **keys), lambda conn_id: from_uri(conn_id, warehouse_url))
        assert looks.events() == ()
        return looks

    return make


def day(number: int, rows: int = 1, status: str = "new") -> str:
    return f"INSERT INTO orders SELECT n, '{status}', '2024-05-{number:02}Z' FROM generate_series(1, {rows}) n"


# newest timestamp


def test_a_newer_row_is_an_event_with_old_and_new_value(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1))
    looks = watch(**NEWEST)
    run(day(2))
    told = {"event": "changed", "table": "orders", "mode": "timestamp_column"}
    old, new = "2024-05-01T00:00:00.000000+00:00", "2024-05-02T00:00:00.000000+00:00"
    assert looks.facts() == [{**told, "old": old, "new": new, "rows": 1}]
    assert looks.events() == ()


def test_the_first_row_of_an_empty_table_is_an_event(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**NEWEST)
    run(day(1, rows=3))
    (facts,) = looks.facts()
    assert (facts["old"], facts["rows"]) == (None, 3)


def test_a_row_that_comes_later_with_the_newest_timestamp_is_an_event(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1))
    looks = watch(**NEWEST)
    run(day(1))
    (facts,) = looks.facts()
    assert (facts["old"] == facts["new"], facts["rows"]) == (True, 2)


def test_rows_with_the_newest_timestamp_are_counted_up_to_a_thousand(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1, rows=2000))
    looks = watch(**NEWEST)
    run(day(1))
    assert looks.events() == ()
    run(day(2, rows=2000))
    assert [facts["rows"] for facts in looks.facts()] == [1000]


def test_a_row_that_comes_later_with_an_older_timestamp_is_not_seen(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(2))
    looks = watch(**NEWEST)
    run(day(1))
    assert looks.events() == ()


def test_a_deleted_row_is_no_event_and_its_successor_is_one(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1), day(3))
    looks = watch(**NEWEST)
    run("DELETE FROM orders WHERE created_at > '2024-05-02'")
    assert looks.events() == ()
    run(day(2))
    assert len(looks.events()) == 1
    run("DELETE FROM orders")
    assert looks.events() == ()
    run(day(2))
    assert len(looks.events()) == 1


def test_rows_without_a_timestamp_do_not_count(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1))
    looks = watch(**NEWEST)
    run("INSERT INTO orders VALUES (1, 'new', NULL)")
    assert looks.events() == ()


def test_only_rows_that_meet_the_condition_count(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**NEWEST, condition="status = 'new' -- only these")
    run(day(1, status="done"))
    assert looks.events() == ()
    run(day(2))
    assert len(looks.events()) == 1


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("date", ["2024-05-09", "2024-05-10"]),
        ("timestamp", ["2024-05-09 00:00:00", "2024-05-09 00:00:00.000001"]),
        ("bigint", ["9", "10"]),
        ("numeric", ["9.5", "10.25"]),
        ("numeric", ["9", "10"]),
        ("text", ["2024-05-09", "2024-05-10"]),
    ],
)
def test_what_grows_may_have_any_type(run: Run, watch: Callable[..., Looks], type_: str, values: list[str]) -> None:
    run("DROP TABLE orders", f"CREATE TABLE orders (created_at {type_})", f"INSERT INTO orders VALUES ('{values[0]}')")
    looks = watch(**NEWEST)
    run(f"INSERT INTO orders VALUES ('{values[1]}')")
    assert len(looks.events()) == 1
    run(f"DELETE FROM orders WHERE created_at = '{values[1]}'")
    assert looks.events() == ()


# number of rows


def test_every_change_of_the_number_of_rows_is_an_event(run: Run, watch: Callable[..., Looks]) -> None:
    looks, seen = watch(**COUNT), []
    for statement in (day(1), day(1, rows=2), "DELETE FROM orders WHERE id = 2", day(1), "SELECT 1"):
        run(statement)
        seen += [(facts["old"], facts["new"]) for facts in looks.facts()]
    assert seen == [(0, 1), (1, 3), (3, 2), (2, 3)]


def test_a_table_of_a_schema_is_found(
    run: Run, warehouse_url: str, owner_url: str, watch: Callable[..., Looks]
) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS src")
        owner.execute('CREATE TABLE IF NOT EXISTS src."Orders" (id int)')
        owner.execute("GRANT USAGE ON SCHEMA src TO sluiceway_loader")
        owner.execute('GRANT SELECT ON src."Orders" TO sluiceway_loader')
        looks = watch(**{**COUNT, "table_name": "src.Orders"})
        owner.execute('INSERT INTO src."Orders" VALUES (1)')
    assert len(looks.events()) == 1


# a query of one's own


def test_what_a_query_gives_is_compared(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**query_of("SELECT max(id) FROM orders WHERE status = 'new';"))
    run("INSERT INTO orders VALUES (7)")
    told = {"event": "changed", "table": None, "mode": "custom_query"}
    assert looks.facts() == [{**told, "old": None, "new": 7}]
    assert looks.events() == ()


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 1 AS a, 'x' AS b", {"a": 1, "b": "x"}),
        ("SELECT 1 AS a, 2 AS a", [1, 2]),
        ("SELECT 1 WHERE false", None),
        ("WITH q AS (SELECT 1.50 AS a) SELECT a FROM q -- the price", 1.5),
        ("VALUES ('2024-05-01Z'::timestamptz)", "2024-05-01T00:00:00.000000+00:00"),
        ("SELECT '{\"a\": [1]}'::jsonb", '{"a": [1]}'),
        ("SELECT 'NaN'::float8", "nan"),
        ("SELECT 'a:b' || '%s' || ':c'::text || $$;$$", "a:b%s:c;"),
        ("SELECT 10 % 3", 1),
        ("SELECT '\\x00ff'::bytea", "00ff"),
        ("SELECT '05:06:07.000008'::time", "05:06:07.000008"),
        ("SELECT '2024-05-01'::date", "2024-05-01"),
        ("SELECT '2024-05-01 02:03'::timestamp", "2024-05-01T02:03:00.000000"),
        ("SELECT '2024-05-01 02:03+05'::timestamptz", "2024-04-30T21:03:00.000000+00:00"),
        ("SELECT 12345678901234567890::numeric", 12345678901234567890),
        ("SELECT 'NaN'::numeric", "nan"),
        ("SELECT '-Infinity'::numeric", "-inf"),
        ("SELECT true AS a, NULL AS b", {"a": True, "b": None}),
        ("SELECT 1 AS a, 2 AS b, 3 AS a", [1, 2, 3]),
    ],
)
def test_a_value_is_kept_as_json(watch: Callable[..., Looks], query: str, value: object) -> None:
    looks = watch(**query_of(query))
    observed = looks.trigger.observe(looks.connections, None)
    assert isinstance(observed, dict)
    assert observed["value"] == value


def test_a_time_is_kept_in_utc_wherever_the_database_and_who_looks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        kept = database_look._json(datetime.fromisoformat("2024-05-01T02:03+05:00"))
    time.tzset()
    assert kept == "2024-04-30T21:03:00.000000+00:00"


def test_a_query_that_gives_several_rows_is_an_error(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**query_of("SELECT id FROM orders"))
    run(day(1, rows=2))
    said = (
        "^warehouse: custom_query: gives more than one row, and one value is compared; make one of them: count, max, "
        "string_agg$"
    )
    with pytest.raises(SourceUnreadableError, match=said):
        looks.events()


def test_of_many_rows_no_more_are_fetched_than_tell_that_they_are_several(watch: Callable[..., Looks]) -> None:
    slow = "SELECT i FROM generate_series(1, 1000) i WHERE i < 100 OR pg_sleep(1) IS NOT NULL"
    with pytest.raises(SourceUnreadableError, match="gives more than one row"):
        watch(**query_of(slow), statement_timeout_s=0.5)


def test_a_value_that_is_too_long_to_be_kept_is_an_error(watch: Callable[..., Looks]) -> None:
    most = database_look.LONGEST_VALUE
    assert watch(**query_of(f"SELECT repeat('x', {most})"))
    said = "^warehouse: custom_query: gives a value of more than 10,000 characters; compare its md5 instead$"
    with pytest.raises(SourceUnreadableError, match=said):
        watch(**query_of(f"SELECT repeat('x', {most + 1})"))


# what cannot be seen


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({**COUNT, "table_name": "order"}, SourceMissingError, r"relation \"order\" does not exist; did you mean 'ord"),
        ({**COUNT, "table_name": "srk.orders"}, SourceMissingError, 'relation "srk.orders" does not exist$'),
        (
            {**COUNT, "table_name": "public.order"},
            SourceMissingError,
            r"does not exist; did you mean 'public\.orders'\?",
        ),
        (
            {**NEWEST, "timestamp_column": "made_at"},
            SchemaDriftError,
            r"\.made_at does not exist; correct timestamp_col",
        ),
        ({**COUNT, "condition": "stat = 1"}, SchemaDriftError, '"stat" does not exist.*; correct condition'),
        ({**NEWEST, "condition": "stat = 1"}, SchemaDriftError, "; correct timestamp_column or condition$"),
        (
            {**COUNT, "condition": "statu = 'new'"},
            SchemaDriftError,
            r'"statu" does not exist \(Perhaps you meant .* "orders.status".\); correct condition$',
        ),
        ({**COUNT, "condition": "status ="}, SourceUnreadableError, "syntax error.*; correct condition"),
        (query_of("SELECT * FROM none"), SourceMissingError, "does not exist; correct custom_query"),
        (query_of("SELECT srk.orders()"), SourceMissingError, 'schema "srk" does not exist; correct custom_query$'),
    ],
)
def test_a_wrong_name_is_an_error_with_the_key(
    run: Run, watch: Callable[..., Looks], keys: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=rf"^warehouse: .*{said}"):
        watch(**keys)


def test_a_table_that_was_dropped_is_an_error_and_no_event(run: Run, watch: Callable[..., Looks]) -> None:
    run(day(1))
    looks = watch(**COUNT)
    run("DROP TABLE orders")
    with pytest.raises(SourceMissingError):
        looks.events()
    run("CREATE TABLE orders (id int)", "INSERT INTO orders VALUES (1)")
    assert looks.events() == ()


def test_a_view_that_is_missing_names_the_nearest(run: Run, watch: Callable[..., Looks]) -> None:
    run("CREATE VIEW done_lately AS SELECT 1 AS id")
    with pytest.raises(SourceMissingError, match=r"does not exist; did you mean 'done_lately'\?$"):
        watch(**{**COUNT, "table_name": "done_lateley"})


def test_a_table_is_missing_also_where_nobody_says_which_there_are(
    run: Run, watch: Callable[..., Looks], owner_url: str, database: str
) -> None:
    looks = watch(**COUNT)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        # the session that is kept goes on, and another one is refused
        owner.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(database)))
    looks.trigger.config = looks.trigger.config.model_copy(update={"table_name": "order"})
    with pytest.raises(SourceMissingError, match=r'^warehouse: order: relation "order" does not exist$'):
        looks.events()


def test_a_table_that_may_not_be_read_is_an_error(owner_url: str, watch: Callable[..., Looks]) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE hidden (id int)")
        owner.execute("REVOKE ALL ON hidden FROM PUBLIC")
    said = "^warehouse: hidden: permission denied for table hidden; grant SELECT to the user of connection 'warehouse'$"
    with pytest.raises(SourceUnreadableError, match=said):
        watch(**{**COUNT, "table_name": "hidden"})


def test_a_server_that_does_not_answer_is_an_error(unused_port: int) -> None:
    looks = Looks(
        trigger_of(sensor_type="database", **COUNT),
        lambda conn_id: Connection(conn_id=conn_id, conn_type="postgres", host="127.0.0.1", port=unused_port),
    )
    with pytest.raises(SourceUnavailableError, match=r"^warehouse: orders: .*refused.*; try again later"):
        looks.events()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_kind_of_connection_that_is_no_database_is_named() -> None:
    looks = Looks(
        trigger_of(sensor_type="database", **SHOP, **COUNT),
        lambda conn_id: Connection(conn_id=conn_id, conn_type="ftp"),
    )
    with pytest.raises(SettingsError, match=r"^sensor: connection 'shop' has the type 'ftp', which is no database"):
        looks.events()


def test_a_session_that_the_server_ended_is_replaced(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**COUNT)
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = user")
    run(day(1))
    assert len(looks.events()) == 1


def test_a_session_stays_for_the_next_look(watch: Callable[..., Looks]) -> None:
    assert watch(**query_of("SELECT pg_backend_pid()")).events() == ()


def test_a_session_that_no_look_has_used_for_long_is_closed_when_another_begins(
    watch: Callable[..., Looks], watch_sqlite: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(**COUNT)
    (first,) = [kept.engine for kept in database_look._engines.values()]
    monkeypatch.setattr(database_look, "UNUSED_S", -1)
    assert first.pool.checkedin() == 1  # type: ignore[attr-defined]
    watch_sqlite(**COUNT)
    assert (first.pool.checkedin(), len(database_look._engines)) == (0, 1)  # type: ignore[attr-defined]


def test_a_session_that_a_look_has_used_lately_stays_however_long_ago_it_was_opened(
    watch: Callable[..., Looks], watch_sqlite: Callable[..., Looks]
) -> None:
    looks = watch(**COUNT)
    ((key, first),) = database_look._engines.items()
    database_look._engines[key] = first._replace(used_at=first.used_at - 2 * database_look.UNUSED_S)
    assert looks.events() == ()
    watch_sqlite(**COUNT)
    assert (first.engine.pool.checkedin(), len(database_look._engines)) == (1, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize("state", ["08006", "40001", "40P01", "53200", "57P03"])
def test_what_the_database_may_do_at_the_next_look_is_to_be_tried_again(
    run: Run, watch: Callable[..., Looks], state: str
) -> None:
    # not what a server without a code says of a login
    raised = f"RAISE 'it does not exist' USING ERRCODE = '{state}'"
    run(f"CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {raised}; END $$")
    with pytest.raises(SourceUnavailableError, match=r"^warehouse: custom_query: it does not exist; try again later$"):
        watch(**query_of("SELECT broken()"))


def test_what_the_database_will_not_do_at_the_next_look_either_names_the_key(
    run: Run, watch: Callable[..., Looks]
) -> None:
    with pytest.raises(SourceUnreadableError, match=r"^warehouse: .* division by zero; correct custom_query$"):
        watch(**query_of("SELECT 1 / 0"))


@pytest.mark.parametrize(("said", "told"), [("", "InternalError"), ("\n it broke\n and how", "it broke")])
def test_of_what_a_driver_says_the_first_line_is_told_and_its_kind_where_it_says_nothing(
    said: str, told: str, watch_sqlite: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DBAPIError("SELECT 1", None, sqlite3.InternalError(said))

    looks = watch_sqlite(**COUNT)
    monkeypatch.setattr(database_look, "_ask", refuse)
    with pytest.raises(SourceUnreadableError, match=f"^lite: orders: {told}; correct table_name$"):
        looks.events()


def test_a_query_that_writes_is_told_that_a_sensor_only_reads(run: Run, watch: Callable[..., Looks]) -> None:
    run("CREATE FUNCTION written() RETURNS bigint LANGUAGE sql AS 'INSERT INTO orders VALUES (1) RETURNING 1::bigint'")
    said = "^warehouse: custom_query: cannot execute INSERT in a read-only transaction; a sensor only reads$"
    with pytest.raises(SourceUnreadableError, match=said):
        watch(**query_of("SELECT written()"))


def test_only_the_projects_own_database_is_known_without_a_connection(
    run: Run, warehouse_url: str, setting: Callable[..., None]
) -> None:
    """Outside of Airflow; and another one's name must not lead there."""

    def unknown(conn_id: str) -> Connection:
        raise SettingsError(f"{conn_id} is unknown")

    own, others = (Looks(trigger_of(sensor_type="database", **NEWEST, **keys), unknown) for keys in ({}, SHOP))
    with pytest.raises(SettingsError, match="warehouse is unknown"):
        own.events()
    setting(warehouse_url=warehouse_url)
    assert own.events() == ()
    run(day(1))
    assert len(own.events()) == 1
    with pytest.raises(SettingsError, match="shop is unknown"):
        others.events()


def test_a_password_that_was_changed_counts_at_once(watch: Callable[..., Looks], warehouse_url: str) -> None:
    looks = watch(**COUNT)
    (before,) = [kept.engine for kept in database_look._engines.values()]
    parts = urlsplit(warehouse_url)
    assert parts.password
    looks.connections = lambda conn_id: from_uri(conn_id, warehouse_url.replace(parts.password or "", "wrong"))
    with pytest.raises(SettingsError, match=r"^warehouse: orders: .*authentication failed.*; correct connection 'ware"):
        looks.events()
    assert len(database_look._engines) == 1
    assert before.pool.checkedin() == 0, "the session of the password before is closed"  # type: ignore[attr-defined]


def test_a_session_is_not_for_a_process_that_is_forked(watch: Callable[..., Looks]) -> None:
    looks = watch(**query_of("SELECT pg_backend_pid()"))
    if not (pid := os.fork()):
        # it is another session's number, which is an event; no cleaning up of the parent's here
        os._exit(len(looks.events()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert looks.events() == ()


def test_a_connection_that_is_missing_is_an_error() -> None:
    with pytest.raises(SettingsError, match="There is no connection 'shop'"):
        Looks(trigger_of(sensor_type="database", connection="shop", **COUNT)).events()


def test_outside_of_airflow_the_own_database_is_known_by_its_url(
    run: Run, warehouse_url: str, setting: Callable[..., None]
) -> None:
    setting(warehouse_url=warehouse_url)
    looks = Looks(trigger_of(sensor_type="database", **COUNT))
    assert looks.events() == ()
    run(day(1))
    assert len(looks.events()) == 1


def test_an_engine_by_its_address_is_asked(run: Run, postgres: Cluster, database: str, tmp_path: Path) -> None:
    parts = urlsplit(postgres.url("sluiceway_loader", database))
    secret = tmp_path / "pgpass"
    secret.write_text(f"*:*:*:*:{parts.password}\n")
    secret.chmod(0o600)
    config = {"host": parts.hostname, "port": parts.port, "user": parts.username, "database": database}
    engine = {"name": "postgres", "config": {**config, "passfile": str(secret)}}
    looks = Looks(trigger_of(sensor_type="database", engine_config=engine, **COUNT))
    assert looks.events() == ()
    run(day(1))
    assert len(looks.events()) == 1


# reading only, and not for long


WRITES = [
    "DELETE FROM orders RETURNING 1",
    "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone",
    "SELECT nextval('own_seq')",
    "SELECT set_config('transaction_read_only', 'off', false), (SELECT nextval('own_seq'))",
    "SELECT 1 INTO copied",
    "COPY orders TO '/tmp/orders'",
    "SELECT 1; DELETE FROM orders",
    "SELECT 1; COMMIT; DELETE FROM orders",
    "SELECT 1) AS q; COMMIT; DELETE FROM orders; SELECT * FROM (SELECT 1",
    "SELECT 1) AS q, (DELETE FROM orders RETURNING 1",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_cannot_write_even_if_no_check_saw_it(run: Run, watch: Callable[..., Looks], query: str) -> None:
    run(day(1), "CREATE SEQUENCE IF NOT EXISTS own_seq")
    last = run("SELECT last_value, is_called FROM own_seq")
    looks = watch(**query_of("SELECT 1"))
    # past the model's own check of the text
    looks.trigger.config = looks.trigger.config.model_copy(update={"custom_query": query})
    with pytest.raises((SourceUnreadableError, ConfigError)):
        looks.events()
    assert run("SELECT count(*) FROM orders") == [(1,)]
    assert run("SELECT last_value, is_called FROM own_seq") == last
    assert run("SELECT to_regclass('copied')") == [(None,)]


@pytest.mark.parametrize(
    "condition",
    [
        "true); DELETE FROM orders; SELECT (1",
        "true; DELETE FROM orders",
        "true); COMMIT; DELETE FROM orders WHERE (true",
        "id IN (DELETE FROM orders RETURNING id)",
        "nextval('own_seq') > 0",
    ],
)
def test_a_condition_cannot_write_even_if_no_check_saw_it(
    run: Run, watch: Callable[..., Looks], condition: str
) -> None:
    run(day(1), "CREATE SEQUENCE IF NOT EXISTS own_seq")
    looks = watch(**COUNT)
    looks.trigger.config = looks.trigger.config.model_copy(update={"condition": condition})
    with pytest.raises((SourceUnreadableError, ConfigError)):
        looks.events()
    assert run("SELECT count(*) FROM orders") == [(1,)]


def test_a_session_of_the_pool_is_as_new_for_the_next_look(run: Run, watch: Callable[..., Looks]) -> None:
    watch(**query_of("SELECT set_config('search_path', 'pg_temp', false) IS NULL"))
    assert watch(**COUNT).events() == ()


@pytest.mark.parametrize("taken", ["pg_advisory_lock(7)", "pg_advisory_lock_shared(7)", "pg_try_advisory_lock(7, 7)"])
def test_a_query_leaves_no_lock_in_the_session_that_is_kept(run: Run, watch: Callable[..., Looks], taken: str) -> None:
    # by its own name a text may not call it
    run(f"CREATE FUNCTION held() RETURNS boolean LANGUAGE sql AS 'SELECT {taken} IS NULL'")
    looks = watch(**query_of("SELECT held()"))
    assert looks.events() == ()
    assert run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    (engine,) = [kept.engine for kept in database_look._engines.values()]
    assert (engine.pool.checkedin(), engine.pool.size()) == (1, 1), "it stays open"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        (query_of("SELECT pg_sleep(30) IS NULL"), "look more rarely, and allow more"),
        ({**COUNT, "condition": "pg_sleep(30) IS NOT NULL"}, "look more rarely, and allow more"),
        ({**NEWEST, "condition": "pg_sleep(30) IS NOT NULL"}, "index created_at"),
    ],
)
def test_a_statement_that_takes_too_long_is_ended(
    run: Run, watch: Callable[..., Looks], keys: dict[str, str], advice: str
) -> None:
    run(day(1))
    said = rf"^warehouse: \w+: took longer than 0\.2 s \(statement_timeout_s\); {advice}$"
    with pytest.raises(SourceUnreadableError, match=said):
        watch(**keys, statement_timeout_s=0.2)
    assert run("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'") == [(1,)]


@pytest.mark.parametrize(("allowed", "set_"), [(10, "10000ms"), (0.25, "250ms")])
def test_a_statement_may_take_as_long_as_declared(watch: Callable[..., Looks], allowed: float, set_: str) -> None:
    asked = query_of("SELECT setting || unit FROM pg_settings WHERE name = 'statement_timeout'")
    looks = watch(**asked, statement_timeout_s=allowed)
    assert looks.cursor["known"]["value"] == set_  # type: ignore[call-overload,index]


@pytest.mark.parametrize(
    ("keys", "key", "text"),
    [
        (query_of("SELECT 1"), "custom_query", "SELECT 1) AS q; SELECT * FROM (SELECT 1"),
        ({**COUNT, "condition": "true"}, "condition", "true); SELECT (1"),
    ],
)
@pytest.mark.parametrize("database_", ["watch", "watch_sqlite"])
def test_a_second_statement_that_no_check_saw_is_named(
    request: pytest.FixtureRequest, database_: str, keys: dict[str, str], key: str, text: str
) -> None:
    looks = request.getfixturevalue(database_)(**keys)
    looks.trigger.config = looks.trigger.config.model_copy(update={key: text})
    where = "orders" if key == "condition" else key
    with pytest.raises(ConfigError, match=f"^\\w+: {where}: {key} holds more than one statement; it must be one$"):
        looks.events()


NAMES = ['a"; DROP TABLE orders; --', "b'; SELECT 1", "c%s%(x)s:y", "ünï 数", "d e", 'f""g', "SELECT", "h\\i", "j]k`l"]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_and_a_column_are_names_whatever_they_hold(run: Run, watch: Callable[..., Looks], name: str) -> None:
    table = sql.SQL("CREATE TABLE {} ({} int)").format(sql.Identifier(name), sql.Identifier(name))
    run(table.as_string(None))
    looks = watch(table_name=name, detection_mode="timestamp_column", timestamp_column=name)
    run(sql.SQL("INSERT INTO {} VALUES (1)").format(sql.Identifier(name)).as_string(None))
    assert [facts["table"] for facts in looks.facts()] == [name]
    assert run("SELECT to_regclass('orders') IS NOT NULL") == [(True,)]


@pytest.mark.parametrize("table_name", ["newest", "public.newest", "orders"])
def test_a_table_may_be_called_what_the_look_would_call_its_newest_row(
    run: Run, watch: Callable[..., Looks], table_name: str
) -> None:
    run("CREATE TABLE newest (id int, created_at timestamptz)", day(1, rows=2))
    looks = watch(**{**NEWEST, "table_name": table_name}, condition="id IN (SELECT id FROM newest)")
    assert looks.cursor["known"]["value"]["newest"] is None  # type: ignore[call-overload,index]
    run("INSERT INTO newest VALUES (1, '2024-05-01Z')")
    assert [facts["rows"] for facts in looks.facts()] == [1]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_that_is_not_there_runs_nothing(run: Run, watch: Callable[..., Looks], name: str) -> None:
    with pytest.raises(SourceMissingError):
        watch(**{**COUNT, "table_name": name})
    assert run("SELECT to_regclass('orders') IS NOT NULL") == [(True,)]


# SQLite


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "own.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (id integer, status text, created_at text)")
    return path


@pytest.fixture
def watch_sqlite(sqlite_file: Path) -> Callable[..., Looks]:
    def make(**keys: Any) -> Looks:
        looks = Looks(
            trigger_of(sensor_type="database", connection="lite", **keys),
            lambda conn_id: Connection(conn_id=conn_id, conn_type="sqlite", host=str(sqlite_file)),
        )
        assert looks.events() == ()
        return looks

    return make


@pytest.mark.parametrize("keys", [COUNT, NEWEST, query_of("SELECT max(id) FROM orders")])
def test_a_table_of_sqlite_is_watched(
    sqlite_file: Path, watch_sqlite: Callable[..., Looks], keys: dict[str, str]
) -> None:
    looks = watch_sqlite(**keys)
    for number in (1, 2):
        with closing(sqlite3.connect(sqlite_file)) as connection, connection:
            connection.execute("INSERT INTO orders VALUES (?, 'new', ?)", (number, f"2024-05-0{number}"))
        assert len(looks.events()) == 1
    assert looks.events() == ()


@pytest.mark.parametrize(
    "query",
    [
        "ATTACH DATABASE '{folder}/made.db' AS made",
        "DELETE FROM orders",
        "PRAGMA journal_mode = DELETE",
        "SELECT 1; DELETE FROM orders",
        "SELECT 1) AS q; DELETE FROM orders; SELECT * FROM (SELECT 1",
        "SELECT 1) AS q; ATTACH DATABASE '{folder}/made.db' AS made; SELECT * FROM (SELECT 1",
        "SELECT load_extension('x')",
    ],
)
def test_a_query_of_sqlite_cannot_write(sqlite_file: Path, watch_sqlite: Callable[..., Looks], query: str) -> None:
    with closing(sqlite3.connect(sqlite_file)) as connection, connection:
        connection.execute("INSERT INTO orders VALUES (1, 'new', '2024-05-01')")
    looks = watch_sqlite(**query_of("SELECT 1"))
    text = query.format(folder=sqlite_file.parent)
    looks.trigger.config = looks.trigger.config.model_copy(update={"custom_query": text})
    with pytest.raises((SourceUnreadableError, ConfigError)):
        looks.events()
    assert [path.name for path in sqlite_file.parent.iterdir()] == ["own.db"]
    with closing(sqlite3.connect(sqlite_file)) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_a_file_of_sqlite_that_its_writer_left_in_the_middle_is_an_error(
    sqlite_file: Path, watch_sqlite: Callable[..., Looks]
) -> None:
    looks = watch_sqlite(**COUNT)
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO orders VALUES (1, ?, '')", [("x" * 1000,)] * 500)
        left = {path: path.read_bytes() for path in sqlite_file.parent.iterdir()}
        writer.execute("ROLLBACK")
    for path, content in left.items():
        path.write_bytes(content)
    said = "^lite: orders: attempt to write a readonly database; a sensor only reads$"
    with pytest.raises(SourceUnreadableError, match=said):
        looks.events()


def test_a_statement_of_sqlite_may_take_its_time(watch_sqlite: Callable[..., Looks]) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT max(i) FROM n"
    looks = watch_sqlite(**query_of(many))
    assert looks.cursor["known"]["value"] == 50_000  # type: ignore[call-overload,index]


def test_a_statement_of_sqlite_that_takes_too_long_is_ended(watch_sqlite: Callable[..., Looks]) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    said = r"^lite: custom_query: took longer than 0\.2 s \(statement_timeout_s\); look more rarely, and allow more$"
    with pytest.raises(SourceUnreadableError, match=said):
        watch_sqlite(**query_of(endless), statement_timeout_s=0.2)


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({**COUNT, "table_name": "order"}, SourceMissingError, r"order: no such table: order; did you mean 'orders'\?"),
        (
            {**COUNT, "table_name": "main.order"},
            SourceMissingError,
            r"main\.order: no such table: main\.order; did you mean 'main\.orders'\?",
        ),
        (
            {**NEWEST, "timestamp_column": "made_at"},
            SchemaDriftError,
            r"orders: no such column: orders\.made_at; correct timestamp_column or table_name",
        ),
        # where it is quoted, SQLite takes what is no column for a text
        (
            {**NEWEST, "timestamp_column": "Made at"},
            SchemaDriftError,
            r"orders: no such column: orders\.Made at; correct timestamp_column or table_name",
        ),
        (
            {**NEWEST, "condition": "stat = 1"},
            SchemaDriftError,
            "orders: no such column: stat; correct timestamp_column or condition",
        ),
        ({**COUNT, "condition": "stat = 1"}, SchemaDriftError, "orders: no such column: stat; correct condition"),
        (
            query_of("SELECT * FROM none"),
            SourceMissingError,
            "custom_query: no such table: none; correct custom_query",
        ),
        (
            query_of("SELECT lower(1, 2)"),
            SourceUnreadableError,
            r"custom_query: wrong number of arguments to function lower\(\); correct custom_query",
        ),
    ],
)
def test_a_wrong_name_in_sqlite_is_an_error_with_the_key(
    watch_sqlite: Callable[..., Looks], keys: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=rf"^lite: {said}$"):
        watch_sqlite(**keys)


# other databases


class OfOthers(SQLiteDialect_pysqlite):
    """Stands for what others have made for SQLAlchemy: nobody knows here how it runs a text."""

    name = driver = "of_others"
    supports_statement_cache = True


@pytest.fixture
def watch_others(sqlite_file: Path) -> Iterator[Callable[..., Looks]]:
    dialects.registry.register("of_others", __name__, "OfOthers")
    scheme = {"sqlalchemy_scheme": "of_others"}
    connection = Connection(conn_id="other", conn_type="own", schema=str(sqlite_file), extra=scheme)
    yield lambda **keys: Looks(trigger_of(sensor_type="database", connection="other", **keys), lambda _: connection)
    dialects.registry.deregister("of_others")


@pytest.mark.parametrize(
    ("keys", "where", "key"),
    [({**COUNT, "condition": "1 = 1"}, "orders", "condition"), (query_of("SELECT 1"), "custom_query", "custom_query")],
)
def test_a_database_that_cannot_promise_to_only_read_is_sent_no_text(
    watch_others: Callable[..., Looks], keys: dict[str, str], where: str, key: str
) -> None:
    said = (
        rf"^other: {where}: {key} is not sent to of_others\+of_others, which cannot .*; make a view there, and watch it"
    )
    with pytest.raises(ConfigError, match=said):
        watch_others(**keys).events()


@pytest.mark.parametrize("keys", [COUNT, NEWEST])
def test_a_table_of_a_database_that_is_sent_no_text_is_watched(
    sqlite_file: Path, watch_others: Callable[..., Looks], keys: dict[str, str]
) -> None:
    looks = watch_others(**keys)
    assert looks.events() == ()
    with closing(sqlite3.connect(sqlite_file)) as connection, connection:
        connection.execute("INSERT INTO orders VALUES (1, 'new', '2024-05-01')")
    assert len(looks.events()) == 1
    assert looks.events() == ()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_whatever_driver_a_connection_names_for_airflow_postgresql_is_asked(
    run: Run, warehouse_url: str, scheme: str
) -> None:
    extra = {"sqlalchemy_scheme": scheme}
    connection = from_uri("shop", warehouse_url).model_copy(update={"extra": extra})
    looks = Looks(trigger_of(sensor_type="database", **SHOP, **NEWEST, condition="id = 1"), lambda _: connection)
    assert looks.events() == ()
    run(day(2))
    assert len(looks.events()) == 1


@pytest.mark.parametrize(
    ("dialect", "limit", "now"),
    [
        (mssql, "SELECT TOP 1000 ", "SYSUTCDATETIME()"),
        (mysql, "LIMIT 1000", "CURRENT_TIMESTAMP"),
        (oracle, "FETCH FIRST 1000 ROWS ONLY", "SYS_EXTRACT_UTC(SYSTIMESTAMP)"),
    ],
)
def test_the_newest_timestamp_is_asked_for_in_the_language_of_a_database_that_does_not_run_here(
    dialect: Any, limit: str, now: str
) -> None:
    language = dialect.dialect()
    question = database_look.Question("sales.orders", "created_at", None, None, 10)
    statement = database_look._newest_statement(question, language.name)
    said = str(statement.compile(dialect=language, compile_kwargs={"literal_binds": True, "render_postcompile": True}))
    assert limit in said
    assert f", {now} AS " in said
    # Oracle reserves that word
    assert "AS rows" not in said


# wrong files


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"table_name": "orders"}, "detection_mode"),
        ({"table_name": "orders", "detection_mode": "timestamp_column"}, "needs timestamp_column; add it"),
        ({"detection_mode": "row_count"}, "needs table_name; add it"),
        ({"detection_mode": "custom_query"}, "needs custom_query; add it"),
        ({**COUNT, "timestamp_column": "a"}, "timestamp_column says nothing to detection_mode = 'row_count'"),
        ({**query_of("SELECT 1"), "condition": "a = 1"}, "write it into the query"),
        ({**COUNT, "condition": "a = 1; DROP TABLE x"}, "more than one statement"),
        ({**COUNT, "condition": " "}, "condition"),
        (query_of("SELECT 1; DROP TABLE x"), "more than one statement"),
        (query_of("DROP TABLE x"), "begins with 'DROP'; it must be one SELECT"),
        (query_of("WITH d AS (DELETE FROM x RETURNING 1) SELECT 1"), "holds DELETE; it must only read"),
        (query_of("SELECT 1 FROM x FOR UPDATE"), "which locks rows; it must only read"),
        (query_of("SELECT pg_terminate_backend(1)"), "calls pg_terminate_backend, which does more than read"),
        ({**COUNT, "condition": "true) UNION SELECT (1"}, "is more than a condition"),
        ({**COUNT, "condition": "dblink_exec('host=x', 'DELETE FROM x') = ''"}, "calls dblink_exec"),
        ({**COUNT, "table_name": "a\0b"}, "table_name"),
        ({**COUNT, "connection": "postgresql://u:p@h/d"}, "no connection's id"),
        ({**COUNT, "engine_config": {"name": "postgres", "config": {"password": "x"}}}, "a password does not belong"),
        ({**COUNT, "connection": "a", "engine_config": {"name": "postgres"}}, "exclude each other"),
    ],
)
def test_a_wrong_definition_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trigger_of(sensor_type="database", **keys)


def test_a_semicolon_in_a_text_is_no_second_statement(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**COUNT, condition="status IN ('a;b', 'new') /* ; */")
    run(day(1))
    assert len(looks.events()) == 1
