"""Fixtures of the ledger's tests."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster


@pytest.fixture
def spare(postgres: Cluster) -> Iterator[str]:
    """The name of a warehouse of the test's own, as its owner may change it."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
        )
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def blank(spare: str, postgres: Cluster) -> str:
    """The name of a database without a ledger."""
    with psycopg.connect(postgres.url("sluiceway_owner", spare), autocommit=True) as owner:
        owner.execute("DROP SCHEMA etl, etl_jobs CASCADE")
    return spare
