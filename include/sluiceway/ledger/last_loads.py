"""What was done to a table last, by whatever run. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sluiceway.ledger.store import TableRun, TableStatus, is_of, table_runs_where
from sluiceway.ledger.warehouse import Session


def last_good_load(session: Session, table: str) -> TableRun | None:
    """The newest load of a table that was committed, of any run."""
    return _newest(session, table, "loaded")


def last_good_look(session: Session, table: str) -> TableRun | None:
    """The newest try of any run that loaded the table, or found its source unchanged."""
    return _newest(session, table, "loaded", "unchanged")


def rows_left(session: Session, tables: Sequence[str]) -> dict[str, int]:
    """How many rows each table held after the last good look at it; one that no run ever loaded is left out."""
    rows = session.execute(
        sql.SQL(
            "SELECT known.name, coalesce(newest.table_rows, 0) FROM unnest({}::text[]) AS known (name) "
            "CROSS JOIN LATERAL (SELECT table_rows FROM etl.table_run WHERE table_name = known.name "
            "AND status IN ('loaded', 'unchanged') ORDER BY finished_at DESC LIMIT 1) AS newest"
        ).format(sql.Literal(list(tables)))
    )
    return {name: int(count) for name, count in rows}


def last_try(session: Session, table: str) -> TableRun | None:
    """The newest try of any run at a table that came to an end, good or not."""
    return _newest(session, table, "loaded", "unchanged", "failed")


def is_loaded(session: Session, result: TableRun) -> bool:
    """Whether that very try of a run stands in the ledger as loaded."""
    return bool(
        session.execute(sql.SQL("SELECT 1 FROM etl.table_run WHERE {} AND status = 'loaded'").format(is_of(result)))
    )


def _newest(session: Session, table: str, *statuses: TableStatus) -> TableRun | None:
    found = table_runs_where(
        session,
        sql.SQL("WHERE table_name = {} AND status IN ({}) ORDER BY finished_at DESC LIMIT 1").format(
            sql.Literal(table), sql.SQL(", ").join(map(sql.Literal, statuses))
        ),
    )
    return found[0] if found else None
