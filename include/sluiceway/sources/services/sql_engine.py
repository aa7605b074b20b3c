"""A database's engine of SQLAlchemy out of an Airflow connection. Imports no Arrow: a triggerer that looks is small."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from sluiceway.errors import SettingsError, SourceMissingError, nearest
from sluiceway.sources.connections import Connection

CONNECT_SECONDS = 15

SCHEMES = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mssql": "mssql+pymssql",
    "oracle": "oracle+oracledb",
    "sqlite": "sqlite",
}
"""Connection type -> dialect and driver of SQLAlchemy; the connection's extra sqlalchemy_scheme wins."""
_BY_PSYCOPG2 = frozenset({"postgresql", "postgresql+psycopg2"})
"""What connections say for Airflow's own hooks; here psycopg does it, which hands over one statement as one. The first
is psycopg2 until SQLAlchemy 2.1."""
_AIRFLOW_ONLY = frozenset(
    {"sqlalchemy_scheme", "sqlalchemy_query", "cursor", "iam", "aws_conn_id", "redshift", "cluster-identifier"}
    | {"enable_log_db_messages", "azure_conn_id"}
)
"""Extras that Airflow's own hooks understand and drivers do not."""
WRONG_LOGIN = re.compile(
    r"(?i)authentication failed|access denied|login failed|no password supplied|not exist|unknown data"
)
"""In the message of a server that refused a login, or that has no such database."""


def engine_of(user: str, connection: Connection, *, keep: int = 0) -> sa.Engine:
    """What opens sessions there; it has opened none yet.

    :param user: what wants it, for messages.
    :param keep: so many sessions stay open for the next one who wants them; none of a file's, which may be replaced.
    :raises SettingsError: the connection is of no database, or its driver is not installed.
    :raises SourceMissingError: there is no such SQLite file.
    """
    name = f"{user}: connection {connection.conn_id!r}"
    scheme = connection.extra.get("sqlalchemy_scheme") or SCHEMES.get(connection.conn_type)
    if scheme is None:
        raise SettingsError(
            f"{name} has the type {connection.conn_type!r}, which is no database Sluiceway reads"
            f"{nearest(connection.conn_type, SCHEMES)}; any other one of SQLAlchemy needs the extra sqlalchemy_scheme"
        )
    if str(scheme) in _BY_PSYCOPG2:
        scheme = SCHEMES["postgresql"]
    options: dict[str, Any] = {}
    pool: dict[str, Any] = {"poolclass": sa.NullPool}
    if scheme == "sqlite":
        url = _sqlite_url(name, connection)
        options |= {"check_same_thread": False, "timeout": CONNECT_SECONDS}
    else:
        query = {
            key: str(value)
            for key, value in connection.extra.items()
            if key not in _AIRFLOW_ONLY and isinstance(value, str | int | float)
        }
        url = sa.URL.create(
            str(scheme),
            username=connection.login or None,
            password=connection.password or None,
            host=connection.host or None,
            port=connection.port,
            database=connection.schema_name or None,
            query=query,
        )
        if url.drivername in {"postgresql+psycopg", "mysql+pymysql"} and "connect_timeout" not in query:
            options["connect_timeout"] = CONNECT_SECONDS
        if keep:
            pool = {"poolclass": sa.QueuePool, "pool_size": keep, "max_overflow": -1, "pool_pre_ping": True}
    try:
        engine = sa.create_engine(url, connect_args=options, hide_parameters=True, **pool)
    except (NoSuchModuleError, ArgumentError) as error:
        raise SettingsError(f"{name}: {scheme!r} is no dialect of SQLAlchemy that is installed here") from error
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{name}: {scheme} needs the Python package {error.name}; add it to requirements"
        ) from error
    prepare = _PREPARE.get(engine.dialect.name)
    if prepare is not None:
        event.listen(engine, "connect", prepare)
    if keep and engine.dialect.name == "postgresql":
        event.listen(engine, "reset", _let_go)
    return engine


def _let_go(connection: Any, _record: object, _state: object) -> None:
    """What a query took for its session is let go before another look has it: no rollback does that to a lock."""
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")
    connection.rollback()


def _sqlite_url(name: str, connection: Connection) -> sa.URL:
    path = Path(connection.host or connection.schema_name or "")
    if not path.is_file():
        raise SourceMissingError(f"{name}: there is no SQLite file {str(path)!r}")
    # mode=ro: SQLAlchemy would make a file that is missing
    return sa.URL.create("sqlite", database=path.resolve().as_uri(), query={"mode": "ro", "uri": "true"})


def _prepare_postgres(connection: Any, _record: object) -> None:
    """Values come as PostgreSQL spells them where Python's types say less."""
    from psycopg import DataError
    from psycopg.types import datetime as moments
    from psycopg.types.string import TextLoader

    def or_text(loader: type[Any]) -> type[Any]:
        class OrText(loader):  # type: ignore[misc]
            """infinity, years before 1 and after 9999 stay text."""

            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode()

        return OrText

    with connection.cursor() as cursor:
        for setting in ("TimeZone TO 'UTC'", "DateStyle TO 'ISO, YMD'", "IntervalStyle TO 'iso_8601'"):
            cursor.execute(f"SET {setting}")
    connection.commit()
    as_they_are = {"bool", "bytea", "numeric", "oid", "int2", "int4", "int8", "float4", "float8"}
    for kind in connection.adapters.types:
        if kind.name not in as_they_are:
            connection.adapters.register_loader(kind.oid, TextLoader)
    for name, loader in (
        ("date", moments.DateLoader),
        ("timestamp", moments.TimestampLoader),
        ("timestamptz", moments.TimestamptzLoader),
    ):
        connection.adapters.register_loader(name, or_text(loader))


def _prepare_mysql(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET time_zone = '+00:00'")


_PREPARE: dict[str, Callable[[Any, object], None]] = {
    "postgresql": _prepare_postgres,
    "mysql": _prepare_mysql,
    "mariadb": _prepare_mysql,
}
