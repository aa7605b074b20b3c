"""One table of an SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import ClassVar

from sluiceway.errors import SourceMissingError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table


class Sqlite:
    """Values have types and columns have none."""

    excused: ClassVar = {
        "broken_record": "A row of a table has a value for each of its columns.",
        "lost_connection": FETCHED,
    }
    # a file without a byte is a database without a table
    empty_is = SourceMissingError

    def rows(self, bench: Bench, table: Table) -> Served:
        return self._written(bench, table)

    def empty(self, bench: Bench) -> Served:
        return _table(bench.file("city.sqlite", b""))

    def misencoded(self, bench: Bench, table: Table) -> Served:
        served = self._written(bench, table)
        with closing(sqlite3.connect(served.source["uri"])) as connection, connection:
            for number, name in zip(table.columns["id"], table.columns["name"], strict=True):
                text = str(name).encode("cp1252")
                connection.execute("UPDATE city SET name = CAST(? AS TEXT) WHERE id = ?", (text, number))
        return served

    def encoded(self, bench: Bench, table: Table) -> Served:
        return self._written(bench, table, encoding="UTF-16")

    def cut_off(self, bench: Bench, table: Table) -> Served:
        return bench.cut(self._written(bench, table))

    def _written(self, bench: Bench, table: Table, encoding: str = "UTF-8") -> Served:
        path = bench.folder / "city.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"PRAGMA encoding = '{encoding}'")
            connection.execute(f"CREATE TABLE city ({', '.join(table.columns)})")
            connection.executemany(f"INSERT INTO city VALUES ({', '.join('?' * len(table.columns))})", table.rows)
        return _table(bench.at(path))


def _table(served: Served) -> Served:
    return Served({**served.source, "table": "city"}, served.place)


KIND = Sqlite()
