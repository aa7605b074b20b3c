"""Which service is asked for a table: a database, BigQuery, a Google spreadsheet; or that it is a file."""

from __future__ import annotations

from collections.abc import Collection

from sluiceway.errors import ConfigError
from sluiceway.infer.asked import BIGQUERY, SPREADSHEET, Asked
from sluiceway.infer.service import Service, connection_of
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.place import without_secrets
from sluiceway.sources.services.sql_engine import SCHEMES
from sluiceway.tables.source_spec import BigQuerySource, GSheetSource

GOOGLE = "google_cloud_platform"
_NO_DATABASE = frozenset({"http", "https", "aws", "ftp", "sftp", "ssh", "redis", "apprise"})


def service_of(name: str, asked: Asked, connections: Connections) -> Service | None:
    """What is to be asked for rows; None for a file.

    :param name: of the drafted table, for messages.
    :raises SluicewayError: nobody can tell what is to be read, or it is not there.
    """
    if not asked.uri:
        _check_others(asked, "a database", ("table", "query"))
        return _of_connection(name, asked, connections)
    if asked.query is not None:
        raise ConfigError("--query: asks a database, which --connection names alone; leave the file or the address out")
    if asked.uri.startswith(BIGQUERY):
        _check_others(asked, "a table of BigQuery", ())
        return _bigquery(name, asked.uri.removeprefix(BIGQUERY).strip("/").replace("/", "."), asked, connections)
    if (sheet := SPREADSHEET.fullmatch(asked.uri)) is not None:
        _check_others(asked, "a Google spreadsheet", ("sheet",))
        return _gsheet(sheet[1], asked)
    scheme = asked.uri.partition("://")[0].partition("+")[0].lower() if "://" in asked.uri else ""
    if scheme in SCHEMES:
        raise ConfigError(
            f"{without_secrets(asked.uri)}: the address of a database holds a password, which no table's file may; set "
            f"AIRFLOW_CONN_<ID> to it, and name --connection <id>, with --table or --query"
        )
    return None


def _check_others(asked: Asked, what: str, known: Collection[str]) -> None:
    """Raises ConfigError when something is said that only other sources have."""
    for option in ("layer", "sheet", "table", "query", "member", "encoding"):
        if option not in known and getattr(asked, option) is not None:
            raise ConfigError(f"--{option}: {what} has none; leave it out")


def _of_connection(name: str, asked: Asked, connections: Connections) -> Service:
    if asked.connection is None:
        raise ConfigError("Name a file or an address, or a database by --connection, with --table or --query.")
    if asked.table is not None and asked.query is not None:
        raise ConfigError("--query: --table says already what is read; leave one of them out")
    connection = connection_of(asked.connection, connections)
    if connection.conn_type == GOOGLE:
        if asked.query is not None:
            raise ConfigError(
                "--query: a table of BigQuery is read as it is; name one with --table project.dataset.table"
            )
        return _bigquery(name, asked.table, asked, connections)
    if connection.conn_type in _NO_DATABASE:
        raise ConfigError(
            f"--connection: {asked.connection!r} is of type {connection.conn_type}, which is no database; name the "
            f"address that it opens as well"
        )
    return _database(name, asked, connection)


def _database(name: str, asked: Asked, connection: Connection) -> Service:
    # SQLAlchemy takes a fifth of a second
    from sluiceway.infer.databases import describe

    return describe(name, asked, connection)


def _bigquery(name: str, table: str | None, asked: Asked, connections: Connections) -> Service:
    # Google's client takes half a second
    from sluiceway.infer.bigquery_table import describe

    if not table:
        raise ConfigError("--table: is missing; name a table of BigQuery as project.dataset.table")
    own = BigQuerySource.model_fields["connection"].default
    return describe(name, table, connection_of(asked.connection or own, connections))


def _gsheet(spreadsheet: str, asked: Asked) -> Service:
    keys = {"kind": "gsheet", "spreadsheet": spreadsheet}
    keys |= {"sheet": asked.sheet} if asked.sheet is not None else {}
    if asked.connection not in {None, GSheetSource.model_fields["connection"].default}:
        keys["connection"] = str(asked.connection)
    return Service(keys, f"spreadsheet {spreadsheet}")
