"""A table that is loaded in parts by several workers is the table that one load gives: rows, rejects and accounting."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sluiceway.ledger import parts as ledger_parts
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.parts import load_part, plan_parts
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec
from tests.load.fields import Query, accounting, content, field_toml, rejects, write_fields

WriteSpec = Callable[..., TableSpec]
COUNT = 6_000


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fields(tmp_path_factory.mktemp("fields"), COUNT)


class Loads:
    """Loads in one and in parts, each as a run of its own."""

    def __init__(self, url: str, open_run: Callable[[str], RunKey]) -> None:
        self.url = url
        self._open_run = open_run

    def whole(self, spec: TableSpec, run_id: str, *, force: bool = False) -> TableRun:
        return load_table(spec, self.url, run=self._open_run(run_id), force=force)

    def plan(self, spec: TableSpec, run_id: str, *, force: bool = False) -> list[int]:
        return plan_parts(spec, self.url, run=self._open_run(run_id), force=force)

    def part(self, spec: TableSpec, run_id: str, part: int, **options: int) -> ledger_parts.TablePart:
        return load_part(spec, self.url, run=RunKey("master_etl", run_id), part=part, **options)

    def merge(self, spec: TableSpec, run_id: str, *, force: bool = False) -> TableRun:
        return load_table(spec, self.url, run=RunKey("master_etl", run_id), force=force, from_parts=True)

    def split(self, spec: TableSpec, run_id: str, order: Sequence[int] = (), *, force: bool = False) -> TableRun:
        """All of it, the parts in this order."""
        for part in order or self.plan(spec, run_id, force=force)[::-1]:
            self.part(spec, run_id, part)
        return self.merge(spec, run_id, force=force)

    def parts(self, spec: TableSpec, run_id: str) -> list[ledger_parts.TablePart]:
        with connect(self.url) as session:
            return ledger_parts.of_table(session, RunKey("master_etl", run_id), spec.name)


@pytest.fixture
def loads(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Loads:
    return Loads(warehouse_url, open_run)


@pytest.mark.parametrize("split", ["rows:1400", "column:COUNTY", "column:YR_PLANTED"])
def test_a_split_load_gives_the_rows_rejects_and_accounting_of_an_unsplit_one(
    split: str, fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    whole = loads.whole(write_spec("field", field_toml(fields)), "whole")
    spec = write_spec("parted", field_toml(fields, top=f'split = "{split}"'))
    parted = loads.split(spec, "parted")
    assert len(loads.parts(spec, "parted")) >= 3
    assert accounting(parted) == accounting(whole)
    assert content(query, "parted") == content(query, "field")
    assert rejects(query, "parted", "parted") == rejects(query, "field", "whole")
    assert whole.rejected > 10
    assert query("SELECT count(*) FROM pg_tables WHERE schemaname = 'etl_staging'") == [(0,)]
