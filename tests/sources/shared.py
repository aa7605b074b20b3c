"""One database for all tests of a file: a fresh one for each would cost them half of their time."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster


@pytest.fixture(scope="module")
def shared_database(postgres: Cluster) -> Iterator[str]:
    """A copy of the warehouse. Import it, and give `database` what `emptied` returns."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
        )
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def emptied(postgres: Cluster, database: str, table: str) -> str:
    """The database, with neither the table nor a run in it."""
    with psycopg.connect(postgres.url("sluiceway_loader", database), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))
        connection.execute("DELETE FROM etl.run")
    return database
