"""A database: PostgreSQL, and SQLite where a text is in no encoding that is known."""

from __future__ import annotations

from typing import ClassVar

import psycopg
import pyarrow as pa
from psycopg import sql

from sluiceway.errors import EmptyExtractionError
from sluiceway.sources.connections import Connection, Connections, from_uri
from tests.sources.conformance.kind import ANSWERED, Bench, Served, Table
from tests.sources.conformance.kinds.sqlite import KIND as SQLITE


class Sql:
    """A table of a schema of its own, read by a role that may read it."""

    excused: ClassVar = {
        "empty": "A table has its columns from the start: without a row it is the case header_only.",
        "broken_record": "A row of a table has a value for each of its columns.",
        "declared_encoding": "The driver asks the server for UTF-8, and it knows the encoding of its own texts.",
        "cut_off": ANSWERED,
    }
    empty_is = EmptyExtractionError

    def rows(self, bench: Bench, table: Table) -> Served:
        _fill(bench, table)
        return Served({"connection": "db", "table": "src.city"}, "db: src.city", _postgres(bench))

    def misencoded(self, bench: Bench, table: Table) -> Served:
        # PostgreSQL refuses such a text; SQLite keeps it
        path = str(SQLITE.misencoded(bench, table).source["uri"])
        return Served(
            {"connection": "db", "table": "city"},
            "db: city",
            lambda conn_id: Connection(conn_id=conn_id, conn_type="sqlite", host=path),
        )

    def breaking_off(self, bench: Bench, table: Table) -> Served:
        _fill(bench, table)
        # PostgreSQL ends the very session that reads, as an administrator would
        ends = "SELECT pg_terminate_backend(pg_backend_pid())"
        with psycopg.connect(bench.owner_url, autocommit=True) as connection:
            connection.execute(f"CREATE FUNCTION src.over() RETURNS boolean LANGUAGE sql AS '{ends}'".encode())
        half = len(table.rows) // 2
        query = f"SELECT * FROM src.city WHERE id <= {half} OR src.over()"
        return Served({"connection": "db", "query": query}, "db: query", _postgres(bench))


def _fill(bench: Bench, table: Table) -> None:
    given = table.arrow()
    kinds = {each.name: sql.SQL("text" if pa.types.is_string(each.type) else "bigint") for each in given.schema}
    columns = [sql.SQL("{} {}").format(sql.Identifier(name), kind) for name, kind in kinds.items()]
    with psycopg.connect(bench.owner_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS src CASCADE")
        connection.execute("CREATE SCHEMA src")
        connection.execute(sql.SQL("CREATE TABLE src.city ({})").format(sql.SQL(", ").join(columns)))
        with connection.cursor().copy("COPY src.city FROM STDIN") as copy:
            for row in zip(*(column.to_pylist() for column in given.columns), strict=True):
                copy.write_row(row)
        connection.execute("GRANT USAGE ON SCHEMA src TO sluiceway_loader")
        connection.execute("GRANT SELECT ON src.city TO sluiceway_loader")


def _postgres(bench: Bench) -> Connections:
    return lambda conn_id: from_uri(conn_id, bench.loader_url)


KIND = Sql()
