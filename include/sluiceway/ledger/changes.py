"""Of which changes nobody outside has been told yet: of a load by its task, of a view by the task that publishes.

A task tells at its end, and only if that is good. So what a try has committed that was killed before its end is told by
the next one, and what was told is not told again when the task is cleared. Every function runs in the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import sql

from sluiceway.ids import PUBLISHING_TASK
from sluiceway.ledger.store import RunKey, TableRun, table_runs_where
from sluiceway.ledger.warehouse import Session

_CHANGED = sql.SQL("status = 'loaded' AND inserted + updated + deleted > 0")
_ENDED_WELL = sql.SQL("t.finished_at IS NOT NULL AND t.error_type IS NULL")


def untold_loads(session: Session, key: RunKey, table: str, task_id: str) -> list[TableRun]:
    """The run's loads that changed the table since a try of that task ended well, the oldest first."""
    return table_runs_where(
        session,
        sql.SQL(
            "WHERE (dag_id, run_id, table_name) = ({0}, {1}, {2}) AND {3} AND finished_at > coalesce(("
            "SELECT max(t.finished_at) FROM etl.task_run t "
            "WHERE (t.dag_id, t.run_id, t.table_name, t.task_id) = ({0}, {1}, {2}, {4}) AND {5}"
            "), '-infinity') ORDER BY try_number"
        ).format(*map(sql.Literal, (*key, table)), _CHANGED, sql.Literal(task_id), _ENDED_WELL),
    )


def loaded_at(session: Session, tables: Iterable[str]) -> dict[str, datetime]:
    """When a load of whatever run last changed each of these tables, as far as one did."""
    rows = session.execute(
        sql.SQL(
            "SELECT table_name, max(finished_at) FROM etl.table_run WHERE table_name = ANY ({}) AND {} GROUP BY 1"
        ).format(sql.Literal(sorted(tables)), _CHANGED)
    )
    return dict(rows)


def told_at(session: Session) -> dict[str, datetime]:
    """When the task began that last told of each view; what was loaded before that it has told."""
    rows = session.execute(
        sql.SQL(
            "SELECT p.view_name, max(t.started_at) FROM etl.publication p JOIN etl.task_run t USING (dag_id, run_id) "
            "WHERE p.withheld IS NULL AND t.task_id = {} AND {} GROUP BY 1"
        ).format(sql.Literal(PUBLISHING_TASK), _ENDED_WELL)
    )
    return dict(rows)
