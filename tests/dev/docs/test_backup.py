"""The commands of docs/how-to/backup.md, as they stand there, give a warehouse back."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dev import postgres as servers
from dev.cluster import Cluster
from dev.docs.page import DOCS
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec
from tests.dev.docs.markdown import blocks, commands


@pytest.fixture
def empty(postgres: Cluster, database: str) -> Iterator[str]:
    """The name of an empty database beside the warehouse."""
    name = f"{database}_restored"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER sluiceway_owner").format(sql.Identifier(name)))
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_dump_by_the_page_restored_by_the_page_has_every_row(
    postgres: Cluster,
    database: str,
    empty: str,
    warehouse_url: str,
    write_spec: Callable[..., TableSpec],
    open_run: Callable[[str], RunKey],
    tmp_path: Path,
) -> None:
    toml = 'description = "c"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\ncolumns = { id = "integer" }\n'
    load_table(write_spec("city", toml, city__csv="id\n1\n2\n"), warehouse_url, run=open_run("r1"))
    for program, name in (("pg_dump", database), ("pg_restore", empty)):
        words = " ".join(_command(program))
        for role in re.findall(r"postgresql://(\w+)@HOST/warehouse", words):
            words = words.replace(f"postgresql://{role}@HOST/warehouse", postgres.url(role, name))
        _, *options = words.split()
        subprocess.run([servers.find(postgis=True).bin / program, *options], cwd=tmp_path, check=True)
    with psycopg.connect(postgres.url("sluiceway_loader", empty)) as restored:
        assert restored.execute("SELECT id FROM public.city ORDER BY id").fetchall() == [(1,), (2,)]
        assert restored.execute("SELECT run_id, inserted FROM etl.table_run").fetchall() == [("r1", 2)]


def _command(program: str) -> list[str]:
    """The page's first command of that program."""
    every = [words for block in blocks(DOCS / "how-to" / "backup.md") for words in commands(block) if words]
    return next(words for words in every if words[0] == program)
