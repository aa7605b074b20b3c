"""The sensor of a database and its clock: rows from the future, without an end, and committed late."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway.errors import ConfigError
from sluiceway.flows.kinds import database_look
from sluiceway.flows.look import look_now
from sluiceway.ledger import events
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import from_uri
from tests.flows.looks import Looks, trigger_of
from tests.flows.test_database import (
    COUNT,
    NEWEST,
    Run,
    _no_session_stays,
    query_of,
    run,
    sqlite_file,
    watch,
    watch_sqlite,
)

__all__ = ["_no_session_stays", "run", "sqlite_file", "watch", "watch_sqlite"]


def add(run: Run, *moments: str) -> None:
    for moment in moments:
        run(f"INSERT INTO orders VALUES (1, 'new', {moment})")


def warning(looks: Looks) -> str | None:
    return looks.trigger.warning(looks.cursor)


TYPES = ["timestamptz", "timestamp", "date"]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("future", ["now() + interval '10 years'", "'9999-12-31'", "'11476-08-15'", "'infinity'"])
def test_a_row_from_the_future_hides_none_that_comes_after(
    run: Run, watch: Callable[..., Looks], type_: str, future: str
) -> None:
    run(f"ALTER TABLE orders ALTER created_at TYPE {type_}")
    add(run, "now() - interval '9 days'")
    looks = watch(**NEWEST)
    assert warning(looks) is None
    add(run, future)
    assert looks.events() == ()
    assert "orders: rows have a created_at after now by the database's clock, up to " in str(warning(looks))
    says_no_zone = type_ == "timestamp" and future != "'infinity'"
    assert ("if they are another's, set timezone" in str(warning(looks))) == says_no_zone
    for days in (8, 7, 6):
        add(run, f"now() - interval '{days} days'")
        assert [facts["rows"] for facts in looks.facts()] == [1]
    run("DELETE FROM orders WHERE created_at > now()")
    assert looks.events() == ()
    assert warning(looks) is None


def test_a_row_from_the_future_is_an_event_when_its_time_comes(run: Run, watch: Callable[..., Looks]) -> None:
    add(run, "now() - interval '9 days'")
    looks = watch(**NEWEST)
    add(run, "now() + interval '1 second'")
    assert looks.events() == ()
    run("SELECT pg_sleep(1.1)")
    assert len(looks.events()) == 1


def test_a_day_counts_once_it_has_begun(run: Run, watch: Callable[..., Looks]) -> None:
    run("ALTER TABLE orders ALTER created_at TYPE date")
    add(run, "current_date + 9")
    looks = watch(**NEWEST)
    add(run, "current_date")
    assert [facts["rows"] for facts in looks.facts()] == [1]
    add(run, "current_date")
    assert [facts["rows"] for facts in looks.facts()] == [2]
    add(run, "current_date + 1")
    assert looks.events() == ()


def test_a_table_that_holds_nothing_but_the_future_is_as_an_empty_one(run: Run, watch: Callable[..., Looks]) -> None:
    add(run, "'2999-01-01'", "'infinity'")
    looks = watch(**NEWEST)
    assert "up to infinity" in str(warning(looks))
    add(run, "now()")
    assert [(facts["old"], facts["rows"]) for facts in looks.facts()] == [(None, 1)]


@pytest.mark.parametrize("past", ["'-infinity'", "'0044-03-15 BC'", "'0001-01-01'"])
def test_a_row_from_long_ago_is_as_any_other(run: Run, watch: Callable[..., Looks], past: str) -> None:
    looks = watch(**NEWEST)
    add(run, past)
    assert len(looks.events()) == 1
    assert warning(looks) is None
    add(run, "now()")
    assert len(looks.events()) == 1


def test_a_cursor_that_is_ahead_already_hides_no_more(run: Run, watch: Callable[..., Looks]) -> None:
    add(run, "now() - interval '9 days'")
    looks = watch(**NEWEST)
    # as a version left it that had no bound
    looks.cursor["known"]["value"] = {"newest": "2999-01-01T00:00:00.000000+00:00", "rows": 1}  # type: ignore[call-overload,index]
    assert looks.events() == ()
    add(run, "now()")
    assert len(looks.events()) == 1


def test_a_clock_that_is_a_few_seconds_ahead_is_worth_no_word(run: Run, watch: Callable[..., Looks]) -> None:
    add(run, "now() + interval '30 seconds'")
    looks = watch(**NEWEST)
    assert warning(looks) is None
    assert looks.cursor["known"]["value"]["newest"] is None  # type: ignore[call-overload,index]


@pytest.mark.parametrize("offset", ["05:00", "-05:00"])
def test_times_without_a_zone_are_those_of_the_one_that_is_named(
    run: Run, watch: Callable[..., Looks], offset: str
) -> None:
    run("ALTER TABLE orders ALTER created_at TYPE timestamp")
    # POSIX has the sign the other way round
    named = f"Etc/GMT{'-' if offset[0] != '-' else '+'}5"
    add(run, f"now() AT TIME ZONE 'UTC' + interval '{offset}' - interval '1 minute'")
    plain, zoned = watch(**NEWEST), watch(**NEWEST, timezone=named)
    assert ("if they are another's, set timezone" in str(warning(plain))) == (offset[0] != "-")
    assert warning(zoned) is None
    add(run, f"now() AT TIME ZONE 'UTC' + interval '{offset}'")
    assert len(zoned.events()) == 1
    add(run, f"now() AT TIME ZONE 'UTC' + interval '{offset}' + interval '1 hour'")
    assert zoned.events() == ()
    assert str(warning(zoned)).endswith("each counts when its time comes, or correct it")


def test_a_column_that_became_one_of_another_type_is_an_event() -> None:
    trigger = trigger_of(sensor_type="database", **NEWEST)
    before = trigger.compare({"at": 1, "value": {"newest": "2024-05-01", "rows": 1}}, None)
    assert len(trigger.compare({"at": 2, "value": {"newest": 1714521600, "rows": 1}}, before.cursor).events) == 1


def test_before_the_first_look_and_of_what_is_no_time_there_is_nothing_to_warn_of(
    run: Run, watch: Callable[..., Looks]
) -> None:
    for keys in (NEWEST, COUNT, query_of("SELECT count(*) FROM orders")):
        looks = watch(**keys)
        assert looks.trigger.warning(None) is warning(looks) is None


def test_times_without_a_zone_are_those_that_the_database_writes_by_itself(
    run: Run, owner_url: str, database: str, watch: Callable[..., Looks]
) -> None:
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {database} SET TimeZone TO 'Asia/Tokyo'")
    run("ALTER TABLE orders ALTER created_at TYPE timestamp")
    looks = watch(**NEWEST)
    add(run, "now() AT TIME ZONE 'Asia/Tokyo'")
    assert len(looks.events()) == 1
    assert warning(looks) is None


@pytest.mark.parametrize(("type_", "endless"), [("float8", "'NaN'"), ("float8", "'Infinity'"), ("numeric", "'NaN'")])
def test_a_number_without_an_end_hides_none_that_comes_after(
    run: Run, watch: Callable[..., Looks], type_: str, endless: str
) -> None:
    run("DROP TABLE orders", f"CREATE TABLE orders (id int, status text, created_at {type_})")
    add(run, "1")
    looks = watch(**NEWEST)
    add(run, endless)
    assert looks.events() == ()
    assert "orders: rows have no finite number as created_at, and do not count" in str(warning(looks))
    add(run, "2")
    assert [(facts["old"], facts["new"]) for facts in looks.facts()] == [(1, 2)]


FORMATS = ["%Y-%m-%dT%H:%M:%fZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%d"]


@pytest.mark.parametrize("text", FORMATS)
def test_texts_of_the_future_hide_none_that_comes_after(
    sqlite_file: Path, watch_sqlite: Callable[..., Looks], text: str
) -> None:
    def put(shift: str) -> None:
        with closing(sqlite3.connect(sqlite_file)) as connection, connection:
            connection.execute(f"INSERT INTO orders VALUES (1, 'new', strftime('{text}', 'now', '{shift}'))")

    put("-9 days")
    looks = watch_sqlite(**NEWEST)
    put("+2 days")
    assert looks.events() == ()
    assert "after now by the database's clock" in str(warning(looks))
    put("-8 days")
    put("-2 seconds")
    assert len(looks.events()) == 1


def test_what_time_it_is_the_database_says_in_its_language(
    sqlite_file: Path, watch_sqlite: Callable[..., Looks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database_look._NOW, "sqlite", "'2024-05-02T12:00:00'")
    with closing(sqlite3.connect(sqlite_file)) as connection, connection:
        connection.executemany("INSERT INTO orders VALUES (1, 'new', ?)", [("2024-05-01",), ("2024-05-03",)])
    looks = watch_sqlite(**NEWEST)
    assert looks.cursor["known"]["value"] == {"newest": "2024-05-01", "rows": 1, "ahead": "2024-05-03"}  # type: ignore[call-overload,index]


def test_a_text_that_is_no_time_has_no_future(sqlite_file: Path, watch_sqlite: Callable[..., Looks]) -> None:
    looks = watch_sqlite(**NEWEST)
    for text in ("batch 9", "zzz", "9999-99-99", "99990101"):
        with closing(sqlite3.connect(sqlite_file)) as connection, connection:
            connection.execute("DELETE FROM orders")
            connection.execute("INSERT INTO orders VALUES (1, 'new', ?)", (text,))
        looks.events()
        assert warning(looks) is None
        assert looks.cursor["known"]["value"]["newest"] == text  # type: ignore[call-overload,index]


# committed late


def test_a_row_that_is_committed_late_counts_where_rows_may_settle(
    run: Run, warehouse_url: str, watch: Callable[..., Looks]
) -> None:
    add(run, "now() - interval '9 days'")
    at_once, later = watch(**NEWEST), watch(**NEWEST, settle_seconds=1)
    with psycopg.connect(warehouse_url) as slow:
        slow.execute("INSERT INTO orders VALUES (1, 'new', clock_timestamp())")
        add(run, "clock_timestamp()")
        assert [len(each.events()) for each in (at_once, later)] == [1, 0]
        slow.commit()
    # documented: it is older than what was seen
    assert at_once.events() == ()
    run("SELECT pg_sleep(1.1)")
    assert len(later.events()) == 1
    assert warning(later) is None


def test_what_is_no_time_cannot_settle(run: Run, watch: Callable[..., Looks]) -> None:
    run(
        "ALTER TABLE orders DROP created_at",
        "ALTER TABLE orders ADD created_at bigint",
        "INSERT INTO orders VALUES (1, '', 7)",
    )
    with pytest.raises(ConfigError, match=r"^warehouse: orders: settle_seconds = 5 .* created_at holds no times"):
        watch(**NEWEST, settle_seconds=5)


def test_where_rows_may_settle_a_table_may_be_empty(run: Run, watch: Callable[..., Looks]) -> None:
    looks = watch(**NEWEST, settle_seconds=5)
    add(run, "now() - interval '1 minute'")
    assert len(looks.events()) == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({**COUNT, "timezone": "UTC"}, "timezone says nothing to detection_mode = 'row_count'"),
        ({**COUNT, "settle_seconds": 5}, "settle_seconds says nothing to detection_mode = 'row_count'"),
        ({**NEWEST, "timezone": "Asia/Tokio"}, "is no time zone of the IANA database; did you mean 'Asia/Tokyo'"),
        ({**NEWEST, "timezone": "../UTC"}, "is no time zone"),
        ({**NEWEST, "settle_seconds": -1}, "settle_seconds"),
    ],
)
def test_a_wrong_definition_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trigger_of(sensor_type="database", **keys)


def test_what_was_seen_before_there_were_these_keys_holds(watch: Callable[..., Looks]) -> None:
    plain = trigger_of(sensor_type="database", **NEWEST).place()
    assert "timezone" not in plain
    assert "settle_seconds" not in plain
    others = [{"timezone": "Asia/Tokyo"}, {"settle_seconds": 5}]
    assert len({plain, *(trigger_of(sensor_type="database", **NEWEST, **each).place() for each in others)}) == 3


def test_the_ledger_keeps_that_rows_are_ahead(run: Run, warehouse_url: str) -> None:
    trigger = trigger_of(sensor_type="database", **NEWEST)
    add(run, "'infinity'")
    look_now(warehouse_url, trigger, lambda conn_id: from_uri(conn_id, warehouse_url))
    with connect(warehouse_url) as session:
        assert "up to infinity" in str(trigger.warning(events.state(session, "f", "t").cursor))


# sessions


def test_two_logins_to_one_database_keep_a_session_each(
    run: Run, postgres: Cluster, database: str, tmp_path: Path
) -> None:
    secret, watches = tmp_path / "pgpass", []
    for role in ("sluiceway_loader", "sluiceway_reader"):
        parts = urlsplit(postgres.url(role, database))
        with secret.open("a") as file:
            file.write(f"*:*:*:{parts.username}:{parts.password}\n")
        config = {"host": parts.hostname, "port": parts.port, "database": database, "passfile": str(secret)}
        engine = {"name": "postgres", "config": {**config, "user": parts.username}}
        watches.append(
            Looks(trigger_of(sensor_type="database", engine_config=engine, **query_of("SELECT pg_backend_pid()")))
        )
    secret.chmod(0o600)
    for _ in range(3):
        # another session would be another number, which is an event
        assert [each.events() for each in watches] == [(), ()]
