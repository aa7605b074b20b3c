"""One look at a database, for the sensor: one statement that only reads, and sessions that stay open for the next."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import DBAPIError, OperationalError, SAWarning

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
from sluiceway.flows.kinds.storable import storable
from sluiceway.sources.connections import Connection
from sluiceway.sources.services.sql_engine import WRONG_LOGIN, engine_of

MOST_EQUAL = 1_000
"""Rows with the newest timestamp that are counted: a bulk load may give millions the same one."""
LONGEST_VALUE = 10_000
GUARDED = frozenset({"postgresql+psycopg", "sqlite+pysqlite"})
"""Databases and drivers that are sent a text of the user's: here one statement is one by construction, and can only
read. psycopg2, for one, sends what it declares a cursor for by a protocol that takes several."""

_engines: dict[tuple[object, ...], tuple[Connection, sa.Engine]] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Question:
    """What a database is asked; the keys of the sensor's file that say so."""

    table_name: str | None
    timestamp_column: str | None
    custom_query: str | None
    condition: str | None
    statement_timeout_s: float


def look(question: Question, connection: Connection) -> JsonValue:
    """The number of rows; {"newest", "rows"}; or what the query gives.

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
            # a cursor of the server's: PostgreSQL declares one for a single SELECT and for nothing else
            statement = _statement(question).execution_options(stream_results=True)
            result = session.execute(statement)
            names = list(result.keys())
            rows = [tuple(row) for row in result.fetchmany(2)]
            result.close()
    except SourceMissingError as error:
        raise SourceMissingError(f"{error}{_near(question, connection)}") from error
    return _value(question, where, names, rows)


def _statement(question: Question) -> sa.Select[Any]:
    if question.custom_query is not None:
        query = sa.text(_escaped(question.custom_query)).columns().subquery("q")
        return sa.select(sa.text("*")).select_from(query)
    schema, _, name = str(question.table_name).rpartition(".")
    table = sa.table(name, schema=schema or None)
    # the line's end is for a comment at the end of the condition
    conditions = [sa.text(f"({_escaped(question.condition)})")] if question.condition is not None else []
    if question.timestamp_column is None:
        return sa.select(sa.func.count()).select_from(table).where(*conditions)
    column: sa.ColumnClause[Any] = sa.column(question.timestamp_column)
    # it stands twice below, and is looked for once
    newest = sa.select(sa.func.max(column).label("at")).select_from(table).where(*conditions).cte("newest")
    equal: sa.Select[Any] = sa.select(sa.literal_column("1").label("one")).select_from(table)
    at = sa.select(newest.c.at).scalar_subquery()
    equal = equal.where(column == at, *conditions).limit(sa.literal_column(str(MOST_EQUAL)))
    rows = sa.select(sa.func.count()).select_from(equal.subquery("equal")).scalar_subquery()
    return sa.select(newest.c.at, rows.label("rows"))


def _escaped(text: str) -> str:
    """As it is: a colon begins a parameter of SQLAlchemy unless it is escaped."""
    return text.replace(":", r"\:") + "\n"


def _engine(connection: Connection) -> sa.Engine:
    """The one of this process for that connection; made anew when the connection was changed."""
    # what another process opened is not for its children
    key = (os.getpid(), connection.conn_id, connection.host, connection.port, connection.schema_name)
    with _lock:
        known = _engines.get(key)
        if known is not None and known[0] == connection:
            return known[1]
        if known is not None:
            known[1].dispose()
        engine = engine_of("sensor", connection, keep=1)
        _engines[key] = (connection, engine)
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


def _value(question: Question, where: str, names: list[str], rows: list[tuple[Any, ...]]) -> JsonValue:
    if len(rows) > 1:
        raise SourceUnreadableError(
            f"{where}: gives more than one row, and one value is compared; make one of them: count, max, string_agg"
        )
    values = [_json(value) for value in rows[0]] if rows else []
    if question.timestamp_column is not None:
        return {"newest": values[0], "rows": values[1]}
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
    if isinstance(value, date | clock):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else storable(float(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return storable(value)


@contextmanager
def _named_errors(question: Question, connection: Connection, where: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _named(question, connection, where, error) from error
    except sqlite3.Warning as error:
        # until Python 3.12, what SQLite's driver says of a second statement
        raise _several(question, where) from error


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
    lost = error.connection_invalidated or state[:2] in {"08", "40", "53", "57"} or "is locked" in said
    unreached = isinstance(error, OperationalError) and not state and type(error.orig).__module__ != "sqlite3"
    if lost or unreached:
        return SourceUnavailableError(f"{full}; try again later")
    return SourceUnreadableError(f"{full}; correct {_text(question)}")


def _near(question: Question, connection: Connection) -> str:
    """A hint to the table that was meant."""
    if question.table_name is None:
        return "; correct custom_query"
    engine = engine_of("sensor", connection)
    schema, _, _ = question.table_name.rpartition(".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            inspector = sa.inspect(engine)
            known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    except DBAPIError:
        known = []
    finally:
        engine.dispose()
    return nearest(question.table_name, {f"{schema}.{name}" if schema else name for name in known})
