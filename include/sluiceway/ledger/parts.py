"""etl.table_part: the parts in which several workers load one table for a run. Runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from psycopg import sql

from sluiceway.ledger.store import Row, RunKey, literal, parsed_json
from sluiceway.ledger.warehouse import Session

Status = Literal["planned", "staged", "failed", "merged"]
"""Its rows wait in etl_staging once it is staged; they are in the warehouse table, or not needed, once merged."""
_JSON = ("piece", "found")


class TablePart(Row):
    """One row: a part of a table, and what its newest try came to. Sizes in bytes."""

    dag_id: str
    run_id: str
    table_name: str
    part: int
    """From 1."""
    parts: int
    """How many there are."""
    piece: dict[str, Any]
    """Which rows of the source it is (sources/piece.py)."""
    status: Status = "planned"
    fingerprint: str | None
    """The source's, when the parts were planned."""
    spec_hash: str
    try_number: int | None = None
    worker: str | None = None
    """The name of the machine that makes the try, or made it."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    extracted: int = 0
    staged: int = 0
    rejected: int = 0
    without_key: int = 0
    """How many rejects' keys cannot be read."""
    repaired: int = 0
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    found: dict[str, Any] | None = None
    """What the merge must know of it beyond counts."""
    error_type: str | None = None
    error: str | None = None

    @property
    def key(self) -> RunKey:
        """Which run it is of."""
        return RunKey(self.dag_id, self.run_id)


_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, TablePart.model_fields))


def of_table(session: Session, key: RunKey, table: str) -> list[TablePart]:
    """The parts of a run's table, in order; none where it is loaded in one."""
    return _where(
        session,
        sql.SQL("WHERE (dag_id, run_id, table_name) = ({}, {}, {}) ORDER BY part").format(
            *map(sql.Literal, (*key, table))
        ),
    )


def needed(session: Session) -> list[TablePart]:
    """The parts of runs that are open, whose rows may still be merged."""
    return _where(
        session,
        sql.SQL(
            "WHERE status <> 'merged' AND (dag_id, run_id) IN "
            "(SELECT dag_id, run_id FROM etl.run WHERE etl.run.status = 'running')"
        ),
    )


def _where(session: Session, where: sql.Composable) -> list[TablePart]:
    rows = session.execute(sql.SQL("SELECT {} FROM etl.table_part {}").format(_COLUMNS, where))
    found = [dict(zip(TablePart.model_fields, row, strict=True)) for row in rows]
    return [TablePart.model_validate({**each, **{name: parsed_json(each[name]) for name in _JSON}}) for each in found]


def plan(session: Session, key: RunKey, table: str, parts: Sequence[TablePart]) -> None:
    """Put these parts in the place of those that were planned for the table before."""
    session.execute(
        sql.SQL("DELETE FROM etl.table_part WHERE (dag_id, run_id, table_name) = ({}, {}, {})").format(
            *map(sql.Literal, (*key, table))
        )
    )
    for part in parts:
        values = part.model_dump()
        session.execute(
            sql.SQL("INSERT INTO etl.table_part ({}) VALUES ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(literal, values.values()))
            )
        )


def begin(session: Session, part: TablePart, *, try_number: int, worker: str) -> None:
    """Note who has begun it."""
    session.execute(
        sql.SQL(
            "UPDATE etl.table_part SET status = 'planned', try_number = {}, worker = {}, started_at = "
            "clock_timestamp(), finished_at = NULL, error_type = NULL, error = NULL WHERE {}"
        ).format(sql.Literal(try_number), sql.Literal(worker), _is(part))
    )


def end(session: Session, part: TablePart, **values: Any) -> None:
    """Note what has become of it."""
    session.execute(
        sql.SQL("UPDATE etl.table_part SET finished_at = clock_timestamp(), {} WHERE {}").format(
            sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), literal(value)) for name, value in values.items()
            ),
            _is(part),
        )
    )


def merged(session: Session, key: RunKey, table: str) -> None:
    """Note that nobody needs their rows any more."""
    session.execute(
        sql.SQL("UPDATE etl.table_part SET status = 'merged' WHERE (dag_id, run_id, table_name) = ({}, {}, {})").format(
            *map(sql.Literal, (*key, table))
        )
    )


def _is(part: TablePart) -> sql.Composed:
    return sql.SQL("(dag_id, run_id, table_name, part) = ({}, {}, {}, {})").format(
        *map(sql.Literal, (part.dag_id, part.run_id, part.table_name, part.part))
    )
