"""What PostgreSQL would compute of a few rows, for a preview; nothing of it stays in the warehouse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from sluiceway.ledger.warehouse import connect
from sluiceway.load.expressions import by_function, catching, probed, results, staged
from sluiceway.load.stage_table import ROW_NUMBER, staged_types
from sluiceway.load.transaction import set_styles
from sluiceway.tables.spec import TableSpec

Said = tuple[str, str] | None
Compute = Callable[[Sequence[Mapping[str, object]]], list[tuple[dict[str, object], Said]]]


@contextmanager
def computing(url: str, spec: TableSpec) -> Iterator[Compute]:
    """Within the block a function computes a few rows as a load would; nothing of it stays in the warehouse.

    It takes rows as JSON has them, with the values that would be staged, and gives for each the computed values and
    what is said against it: the column of which it is said first, and all of it; None for a good one.

    :raises ConfigError: as compute.
    """
    given = {name: type_ for name, type_ in staged_types(spec).items() if name in spec.columns}
    shape = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_)) for name, type_ in given.items()]
    number = sql.Identifier(ROW_NUMBER)
    rows = sql.Identifier("etl_preview")
    with connect(url) as session:
        set_styles(session)
        session.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(
                rows, sql.SQL(", ").join([sql.SQL("{} bigint").format(number), *shape])
            )
        )
        columns = probed(session, spec, rows)
        for column in columns:
            session.execute(catching(spec, column))

        def compute_few(given_rows: Sequence[Mapping[str, object]]) -> list[tuple[dict[str, object], Said]]:
            numbered = json.dumps([{**row, ROW_NUMBER: at} for at, row in enumerate(given_rows)])
            session.execute(
                sql.SQL("TRUNCATE {0}; INSERT INTO {0} SELECT * FROM jsonb_populate_recordset(NULL::{0}, {1})").format(
                    rows, sql.Literal(numbered)
                )
            )
            found = session.execute(
                sql.SQL("SELECT {} FROM {} ORDER BY s.{}").format(
                    results(spec, columns), staged(spec, rows, columns, by_function), number
                )
            )
            names = [column.name for column in columns]
            return [
                (dict(zip(names, each[:-2], strict=True)), (each[-1], each[-2]) if each[-2] else None) for each in found
            ]

        yield compute_few
        raise psycopg.Rollback
