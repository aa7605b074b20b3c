"""A table loaded into BigQuery and into PostgreSQL: the same counts, the same rejects, the same row of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.ledger.rejects import Reject, rejects_of
from sluiceway.ledger.store import TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.tables.spec import TableSpec
from tests.load.bigquery.tables import TABLES
from tests.stand_ins.bigquery import BigQuery

WriteSpec = Callable[..., TableSpec]
Load = Callable[..., TableRun]
Query = Callable[..., list[tuple[object, ...]]]

OWN = {"run_id", "seconds", "peak_rss_bytes", "finished_at", "spec_hash"}
"""What two loads of one table into two places do not share."""
AS_BIGQUERY = {"real": "::float8", "uuid": "::text", "jsonb": "::text"}
"""Where it has no such type."""


def in_ledger(url: str, result: TableRun) -> tuple[dict[str, object], list[Reject]]:
    with connect(url) as session:
        return result.model_dump(exclude=OWN), rejects_of(session, result)


def rows_here(query: Query, spec: TableSpec) -> list[tuple[object, ...]]:
    """PostgreSQL's rows, as BigQuery has their values."""
    columns = [f"{name}{AS_BIGQUERY.get(column.sql_type.base, '')}" for name, column in spec.stored_columns.items()]
    if spec.geometry is not None:
        columns.append(f"ST_AsBinary({spec.geometry.column}, 'NDR')")
    if spec.on_missing == "mark":
        columns.append("deleted_at IS NULL")
    return sorted(query(f"SELECT {', '.join(columns)} FROM {spec.name}"), key=str)


def rows_there(dataset: BigQuery, spec: TableSpec) -> list[tuple[object, ...]]:
    columns = [*spec.stored_columns, *([spec.geometry.column] if spec.geometry is not None else [])]
    rows = dataset.rows(spec.name, [*columns, *(["deleted_at"] if spec.on_missing == "mark" else [])])
    return [(*row[:-1], row[-1] is None) for row in rows] if spec.on_missing == "mark" else rows


@pytest.mark.parametrize("table", TABLES)
def test_loads_leave_the_same_counts_rejects_ledger_and_rows_as_in_postgresql(
    table: str, write_spec: WriteSpec, load: Load, dataset: BigQuery, warehouse_url: str, query: Query, tmp_path: Path
) -> None:
    toml, first, second = TABLES[table]
    here = write_spec(table, toml, **{f"{table}__csv": first})
    there = write_spec(table, f'target = "bigquery"\n{toml}')
    # what was gone comes back
    for content in (first, first, second, first):
        (tmp_path / f"{table}.csv").write_text(content)
        ours = in_ledger(warehouse_url, load(here))
        theirs = in_ledger(warehouse_url, load(there))
        assert theirs == ours
        assert rows_there(dataset, there) == rows_here(query, here)
    assert dataset.left_over == []
