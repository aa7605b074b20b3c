"""Rows of etl.reject: what was not loaded, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import sql

from sluiceway.ledger.store import Row, RunKey, TableRun, is_of, literal, parsed_json
from sluiceway.ledger.warehouse import Session


class Reject(Row):
    """One row of etl.reject: a source row that was not loaded, and why."""

    row_number: int | None
    """The row's number among the source's data rows, from 1."""
    column_name: str | None
    reason: str
    row: dict[str, Any]
    key: dict[str, Any] | None = None
    """Its key as it would stand in the warehouse; None where it cannot be read."""


def write_rejects(session: Session, key: RunKey, table: str, try_number: int, rejects: Iterable[Reject]) -> None:
    """Write a few rejects, row by row."""
    for reject in rejects:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.reject (dag_id, run_id, table_name, try_number, row_number, column_name, reason, "
                '"row", key) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {})'
            ).format(
                *map(sql.Literal, (*key, table, try_number, reject.row_number, reject.column_name, reject.reason)),
                literal(reject.row),
                literal(reject.key),
            )
        )


def rejects_of(session: Session, result: TableRun, *, limit: int = 20) -> list[Reject]:
    """The first rejects of a try at a table, by source row number."""
    rows = session.execute(
        sql.SQL(
            'SELECT row_number, column_name, reason, "row", key FROM etl.reject WHERE {} ORDER BY row_number LIMIT {}'
        ).format(is_of(result), sql.Literal(limit))
    )
    return [
        Reject(row_number=number, column_name=column, reason=reason, row=parsed_json(row), key=parsed_json(key))
        for number, column, reason, row, key in rows
    ]
