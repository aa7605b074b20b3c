"""Which views a run has published, and which it kept back: facts, for a task's state can be set by hand.

Every function runs in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import Session


class Publication(BaseModel):
    """One row of etl.publication."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    view_name: str
    tables: tuple[str, ...]
    """The run's tables that feed it, also through other views."""
    withheld: str | None = None
    """Why the view was left as it was; None: it was published."""
    at: datetime | None = None
    """When; None before it is recorded."""


def record(session: Session, key: RunKey, became: Iterable[Publication], seen: Iterable[TableRun] = ()) -> None:
    """Note what became of each view, in place of what an earlier try noted.

    :param seen: those tries of the run whose rows were there when the first view was refreshed.
    """
    session.execute(
        sql.SQL("DELETE FROM etl.publication WHERE (dag_id, run_id) = ({}, {})").format(*map(sql.Literal, key))
    )
    for view in became:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.publication (dag_id, run_id, view_name, withheld, tables) VALUES ({}, {}, {}, {}, {})"
            ).format(*map(sql.Literal, (*key, view.view_name, view.withheld, list(view.tables))))
        )
    tries = [(each.table_name, each.try_number) for each in seen]
    session.execute(
        sql.SQL(
            "UPDATE etl.table_run SET published_at = clock_timestamp() WHERE (dag_id, run_id) = ({}, {}) "
            "AND (table_name, try_number) IN (SELECT * FROM unnest({}::text[], {}::integer[]))"
        ).format(
            *map(sql.Literal, key),
            sql.Literal([table for table, _ in tries]),
            sql.Literal([number for _, number in tries]),
        )
    )
    session.execute(
        sql.SQL("UPDATE etl.run SET published_at = clock_timestamp() WHERE (dag_id, run_id) = ({}, {})").format(
            *map(sql.Literal, key)
        )
    )


def of_run(session: Session, key: RunKey) -> list[Publication]:
    """What became of the views that the run's tables feed, by name."""
    rows = session.execute(
        sql.SQL(
            "SELECT view_name, tables, withheld, at FROM etl.publication WHERE (dag_id, run_id) = ({}, {}) "
            "ORDER BY view_name"
        ).format(*map(sql.Literal, key))
    )
    return [Publication.model_validate(dict(zip(Publication.model_fields, row, strict=True))) for row in rows]
