"""What a run's rows in the ledger come to, so that whoever looks again knows whether a task has written since.

Not by time: a transaction's rows are stamped before it is committed, and a verdict in between has not seen them. That
views were published stands in the run's own row, too.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session

_ROWS_SEEN = """
    SELECT r.dag_id, r.run_id, md5(concat_ws(E'\\n', extract(epoch FROM r.published_at), r.outcome, (
        SELECT string_agg(concat_ws(' ', t.table_name, t.try_number, t.status, extract(epoch FROM t.finished_at)),
            E'\\n' ORDER BY t.table_name, t.try_number)
        FROM etl.table_run t WHERE (t.dag_id, t.run_id) = (r.dag_id, r.run_id)
    ), (
        SELECT string_agg(concat_ws(' ', k.task_id, k.map_index, k.try_number, extract(epoch FROM k.finished_at)),
            E'\\n' ORDER BY k.task_id, k.map_index, k.try_number)
        FROM etl.task_run k WHERE (k.dag_id, k.run_id) = (r.dag_id, r.run_id)
    ), (
        SELECT string_agg(concat_ws(' ', l.lane, l.try_number, l.asked, l.done, l.waiting, l.dead, l.due,
            l.back, l.lost, extract(epoch FROM l.finished_at)), E'\\n' ORDER BY l.lane, l.try_number)
        FROM etl_jobs.lane l WHERE (l.dag_id, l.run_id) = (r.dag_id, r.run_id)
    )))
    FROM etl.run r WHERE (r.dag_id, r.run_id) IN ({})
"""


def rows_seen(session: Session, runs: Collection[RunKey]) -> dict[RunKey, str]:
    """What the rows of each of these runs come to now. Runs in the caller's transaction."""
    if not runs:
        return {}
    keys = sql.SQL(", ").join(sql.SQL("({}, {})").format(*map(sql.Literal, key)) for key in runs)
    return {RunKey(*key): seen for *key, seen in session.execute(sql.SQL(_ROWS_SEEN).format(keys))}
