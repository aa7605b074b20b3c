"""One look at a database, for the sensor: one statement that only reads, and sessions that stay open for the next."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import DBAPIError, OperationalError

from sluiceway.errors import (
    ConfigError,
    SchemaDriftError,
    SettingsError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
    nearest,
)
from sluiceway.flows.kinds.moments import Clock, is_after, is_endless
from sluiceway.flows.kinds.storable import storable
from sluiceway.sources.connections import Connection
from sluiceway.sources.services.sql_engine import WRONG_LOGIN, engine_of
from sluiceway.sources.services.sql_errors import will_pass

MOST_EQUAL = 1_000
"""Rows with the newest timestamp that are counted: a bulk load may give millions the same one."""
LONGEST_VALUE = 10_000
GUARDED = frozenset({"postgresql+psycopg", "sqlite+pysqlite"})
"""Databases and drivers that are sent a text of the user's: here one statement is one by construction, and can only
read. psycopg2, for one, sends what it declares a cursor for by a protocol that takes several."""

TOLD_S = 60.0
"""A row that is less ahead of the database's clock is worth no word: its writer's clock is another."""
UNUSED_S = 3600.0
"""After so long without a look an engine's session is closed when the next engine is made."""
_NOW = {"mssql": "SYSUTCDATETIME()", "oracle": "SYS_EXTRACT_UTC(SYSTIMESTAMP)"}
"""How a database says its now in UTC; the others by CURRENT_TIMESTAMP, in sessions whose zone is UTC."""


class _Kept(NamedTuple):
    """An engine of this process."""

    connection: Connection
    engine: sa.Engine
    used_at: float


_engines: dict[tuple[int, str], _Kept] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Question:
    """What a database is asked; the keys of the sensor's file that say so."""

    table_name: str | None
    timestamp_column: str | None
    custom_query: str | None
    condition: str | None
    statement_timeout_s: float
    timezone: str | None = None
    settle_seconds: float = 0


def look(question: Question, connection: Connection) -> JsonValue:
    """The number of rows; {"newest", "rows"}; or what the query gives.

    Of a column the newest value that is not after the database's now; if there are others, the last stands in "ahead".

    :raises SourceMissingError: there is no such table.
    :raises SchemaDriftError: it has no such column.
    :raises SourceUnavailableError: the database does not answer.
    :raises SourceUnreadableError: it refuses the statement, or takes too long.
    """
    engine = _engine(connection)
    where = f"{connection.conn_id}: {question.table_name or 'custom_query'}"
    driver = f"{engine.dialect.name}+{engine.dialect.driver}"
    for key in ("condition", "custom_query"):
        if getattr(question, key) is not None and driver not in GUARDED:
            raise ConfigError(
                f"{where}: {key} is not sent to {driver}, which cannot promise to run one statement that only reads; "
                f"make a view there, and watch it by table_name"
            )
    try:
        with _named_errors(question, connection, where), _session(engine, question.statement_timeout_s) as session:
            if question.timestamp_column is not None:
                return _newest(session, question, where)
            names, rows, _ = _ask(session, _statement(question))
    except SourceMissingError as error:
        raise SourceMissingError(f"{error}{_near(question, connection)}") from error
    return _value(where, names, rows)


def _ask(session: sa.Connection, statement: sa.Select[Any]) -> tuple[list[str], list[tuple[Any, ...]], list[Any]]:
    """Names, the first two rows, and the driver's types."""
    # a cursor of the server's: PostgreSQL declares one for a single SELECT and for nothing else
    result = session.execute(statement.execution_options(stream_results=True))
    described = result.cursor.description if result.cursor is not None else None
    names, types = list(result.keys()), [column[1] for column in described or ()]
    rows = [tuple(row) for row in result.fetchmany(2)]
    result.close()
    return names, rows, types


def _newest(session: sa.Connection, question: Question, where: str) -> JsonValue:
    dialect = session.dialect.name
    _, ((first, rows, now),), types = _ask(session, _newest_statement(question, dialect))
    clock, newest = Clock.of(now, question.timezone or _own_zone(session)), first
    kind = types[0] if dialect == "postgresql" else None

    def up_to(condition: sa.ColumnElement[bool]) -> tuple[Any, int]:
        _, ((value, count, *_),), _ = _ask(session, _newest_statement(question, dialect, condition))
        return value, count

    column: sa.ColumnClause[Any] = sa.column(str(question.timestamp_column))
    while is_endless(newest):
        newest, rows = up_to(column < sa.literal(newest))
    last = clock.last_before(newest, kind, question.settle_seconds)
    if last is None and newest is not None and question.settle_seconds:
        raise ConfigError(
            f"{where}: settle_seconds = {question.settle_seconds:g} says nothing, for {question.timestamp_column} "
            f"holds no times; remove it"
        )
    if last is not None and is_after(newest, last):
        newest, rows = up_to(column <= sa.literal(last))
    found: dict[str, JsonValue] = {"newest": _json(newest), "rows": rows}
    told = clock.last_before(first, kind, -TOLD_S)
    if is_endless(first) or (told is not None and is_after(first, told)):
        found["ahead"] = _json(first)
    return found


def _own_zone(session: sa.Connection) -> str | None:
    """The zone that a session of PostgreSQL has before it is set to UTC: of what the database writes by itself."""
    if session.dialect.name != "postgresql":
        return None
    # asked once: the view has hundreds of rows, and a session keeps its own
    if "own_zone" not in session.info:
        found = session.exec_driver_sql("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone'")
        session.info["own_zone"] = found.scalar()
    return str(session.info["own_zone"])


def _statement(question: Question) -> sa.Select[Any]:
    if question.custom_query is not None:
        query = sa.text(_escaped(question.custom_query)).columns().subquery("q")
        return sa.select(sa.text("*")).select_from(query)
    return sa.select(sa.func.count()).select_from(_table(question)).where(*_conditions(question))


def _table(question: Question) -> sa.TableClause:
    schema, _, name = str(question.table_name).rpartition(".")
    columns: list[sa.ColumnClause[Any]] = []
    if question.timestamp_column is not None:
        columns = [sa.column(question.timestamp_column)]
    return sa.table(name, *columns, schema=schema or None)


def _conditions(question: Question) -> list[sa.ColumnElement[bool] | sa.TextClause]:
    # the line's end is for a comment at the end of the condition
    return [sa.text(f"({_escaped(question.condition)})")] if question.condition is not None else []


def _newest_statement(question: Question, dialect: str, *bound: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The newest value within the bound, how many rows have it, and now."""
    table, conditions = _table(question), [*_conditions(question), *bound]
    # with its table's name: alone, SQLite takes a quoted one that is not there for a text
    column = table.c[str(question.timestamp_column)]
    # it stands twice below, and is looked for once; a table of its name would not be seen there
    newest = sa.select(sa.func.max(column).label("at")).where(*conditions).cte("sluiceway_newest")
    at = sa.select(newest.c.at).scalar_subquery()
    equal: sa.Select[Any] = sa.select(sa.literal_column("1").label("one"))
    equal = equal.where(column == at, *conditions).limit(MOST_EQUAL)
    rows = sa.select(sa.func.count()).select_from(equal.subquery("equal"))
    now: sa.ColumnElement[Any] = sa.literal_column(_NOW.get(dialect, "CURRENT_TIMESTAMP"))
    return sa.select(newest.c.at, rows.label("as_new"), now.label("now"))


def _escaped(text: str) -> str:
    """As it is: a colon begins a parameter of SQLAlchemy unless it is escaped."""
    return text.replace(":", r"\:") + "\n"


def _engine(connection: Connection) -> sa.Engine:
    """The one of this process for that connection; made anew when the connection was changed."""
    # what another process opened is not for its children; and another login to the same database is another session
    key = (os.getpid(), connection.model_dump_json(exclude={"password"}))
    now = time.monotonic()
    with _lock:
        known = _engines.get(key)
        if known is not None and known.connection == connection:
            _engines[key] = known._replace(used_at=now)
            return known.engine
        if known is not None:
            known.engine.dispose()
        for unused in [each for each, kept in _engines.items() if now - kept.used_at > UNUSED_S]:
            _engines.pop(unused).engine.dispose()
        engine = engine_of("sensor", connection, keep=1)
        _engines[key] = _Kept(connection, engine, now)
        return engine


@contextmanager
def _session(engine: sa.Engine, timeout_s: float) -> Iterator[sa.Connection]:
    """A transaction that is read-only and ends in a rollback; a file of SQLite is opened so that it only reads."""
    options: dict[str, Any] = {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(**options) as session:
        if engine.dialect.name == "postgresql":
            session.exec_driver_sql(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}")
        elif engine.dialect.name == "sqlite":
            until = time.monotonic() + timeout_s
            driver: Any = session.connection.driver_connection
            driver.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        yield session


def _value(where: str, names: list[str], rows: list[tuple[Any, ...]]) -> JsonValue:
    if len(rows) > 1:
        raise SourceUnreadableError(
            f"{where}: gives more than one row, and one value is compared; make one of them: count, max, string_agg"
        )
    values = [_json(value) for value in rows[0]] if rows else []
    if len(values) < 2:
        found = values[0] if values else None
    else:
        found = dict(zip(names, values, strict=True)) if len(set(names)) == len(names) else values
    if len(str(found)) > LONGEST_VALUE:
        raise SourceUnreadableError(
            f"{where}: gives a value of more than {LONGEST_VALUE:,} characters; compare its md5 instead"
        )
    return found


def _json(value: Any) -> JsonValue:
    """The same in JSON, where what is later is also greater."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo is not None else value
        return moment.isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else storable(float(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return value.hex()
    return storable(value)


@contextmanager
def _named_errors(question: Question, connection: Connection, where: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _named(question, connection, where, error) from error


def _several(question: Question, where: str) -> ConfigError:
    return ConfigError(f"{where}: {_text(question)} holds more than one statement; it must be one")


def _text(question: Question) -> str:
    if question.custom_query is not None:
        return "custom_query"
    return "condition" if question.condition is not None else "table_name"


def _named(question: Question, connection: Connection, where: str, error: DBAPIError) -> SluicewayError:
    said = next(iter(str(error.orig).strip().splitlines()), type(error.orig).__name__)
    state = getattr(error.orig, "sqlstate", None) or ""
    hint = getattr(getattr(error.orig, "diag", None), "message_hint", None)
    full = f"{where}: {said}" + (f" ({hint})" if hint else "")
    by_time = question.timestamp_column is not None
    if "multiple commands" in said or "one statement at a time" in said:
        return _several(question, where)
    if state == "57014" or "interrupted" in said:
        return SourceUnreadableError(
            f"{where}: took longer than {question.statement_timeout_s:g} s (statement_timeout_s); "
            f"{f'index {question.timestamp_column}' if by_time else 'look more rarely, and allow more'}"
        )
    if state == "42501":
        return SourceUnreadableError(f"{full}; grant SELECT to the user of connection {connection.conn_id!r}")
    if state == "25006" or "readonly database" in said:
        return SourceUnreadableError(f"{full}; a sensor only reads")
    if state in {"42P01", "3F000"} or "no such table" in said:
        return SourceMissingError(full)
    if state == "42703" or "no such column" in said:
        return SchemaDriftError(f"{full}; correct {'timestamp_column or ' if by_time else ''}{_text(question)}")
    if isinstance(error, OperationalError) and not state and WRONG_LOGIN.search(said):
        return SettingsError(f"{full}; correct connection {connection.conn_id!r}")
    if will_pass(error):
        return SourceUnavailableError(f"{full}; try again later")
    return SourceUnreadableError(f"{full}; correct {_text(question)}")


def _near(question: Question, connection: Connection) -> str:
    """A hint to the table that was meant."""
    if question.table_name is None:
        return "; correct custom_query"
    engine = engine_of("sensor", connection)
    schema, _, _ = question.table_name.rpartition(".")
    try:
        inspector = sa.inspect(engine)
        known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    except DBAPIError:
        known = []
    return nearest(question.table_name, {f"{schema}.{name}" if schema else name for name in known})
