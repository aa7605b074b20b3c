"""What the ledger forgets. Runs in the caller's transaction."""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger.warehouse import Session


def forget_runs(session: Session, *, older_than_days: int) -> int:
    """Delete closed runs (with their tables and rejects) older than that, but never a table's last good load.

    :returns: how many runs were deleted.
    """
    rows = session.execute(
        sql.SQL(
            "DELETE FROM etl.run WHERE status <> 'running' AND finished_at < clock_timestamp() - {} * interval '1 day' "
            "AND (dag_id, run_id) NOT IN (SELECT DISTINCT ON (table_name) dag_id, run_id FROM etl.table_run "
            "WHERE status = 'loaded' ORDER BY table_name, finished_at DESC) RETURNING run_id"
        ).format(sql.Literal(older_than_days))
    )
    return len(rows)
