"""Nobody but the role of jobs writes what jobs know, also in tables that come later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.jobs import work
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.work import Asked
from sluiceway.ledger.store import RunKey
from tests.jobs.configured import SHOUT, Setting, declare

Query = Callable[..., list[tuple[Any, ...]]]
RUN = RunKey("shout", "manual__1")
OWN = {"item", "rate", "request", "decision", "lane", "lock"}
WRITES = {
    "INSERT": "INSERT INTO {} DEFAULT VALUES",
    "UPDATE": "UPDATE {} SET {} = NULL",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
}


@pytest.fixture
def later(tmp_path: Path, setting: Setting, jobs_url: str) -> set[str]:
    """The tables that a job has made after the migration."""
    declare(tmp_path, setting, shout=SHOUT)
    work.enqueue(jobs_url, "shout", Asked(), run=RUN, who="anna")
    work.work(jobs_url, "shout", LaneKey(RUN), Asked())
    return {"shouted"}


@pytest.mark.parametrize("role", ["sluiceway_loader", "sluiceway_reader"])
@pytest.mark.parametrize("write", WRITES)
def test_loader_and_reader_read_every_table_and_write_none(
    role: str, write: str, later: set[str], postgres: Cluster, database: str, query: Query
) -> None:
    found = query("SELECT relname FROM pg_class WHERE relnamespace = 'etl_jobs'::regnamespace AND relkind = 'r'")
    tables = {name for (name,) in found}
    assert tables == OWN | later
    with psycopg.connect(postgres.url(role, database), autocommit=True) as connection:
        for table in sorted(tables):
            name = sql.Identifier("etl_jobs", table)
            columns = connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name)).description
            assert columns
            statement = sql.SQL(WRITES[write]).format(name, sql.Identifier(columns[-1].name))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("schema", ["etl", "public"])
def test_the_role_of_jobs_writes_no_other_schema(schema: str, jobs_url: str) -> None:
    with psycopg.connect(jobs_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(sql.SQL("CREATE TABLE {} (id integer)").format(sql.Identifier(schema, "mine")))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM etl.run")


def test_it_reads_what_its_select_needs(jobs_url: str, query: Query) -> None:
    query("CREATE TABLE public.species (name text); GRANT SELECT ON public.species TO sluiceway_reader")
    with psycopg.connect(jobs_url) as connection:
        assert connection.execute("SELECT * FROM public.species").fetchall() == []
