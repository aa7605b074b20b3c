"""Runs of the command line that ended without a word: whoever looks at the ledger next closes their rows.

Such a run's process holds a lock for as long as it lives (locks.of_run). PostgreSQL lets it go when the process is
gone, and what the process had not committed is rolled back.
"""

from __future__ import annotations

from psycopg import sql

from sluiceway.amounts import counted
from sluiceway.ledger import locks, store
from sluiceway.ledger.store import CLI, RunKey, TableRun
from sluiceway.ledger.warehouse import Session

ERROR_TYPE = "StoppedError"
KILLED = "its process is gone without a word (killed, or its machine went down)"


def close_left_behind(session: Session) -> list[RunKey]:
    """Close the rows of runs of `sluiceway tables run` whose process is gone; which they were.

    What still writes is left alone, and so are runs of Airflow, which closes its own. A role that may only read closes
    none.
    """
    rows = session.execute(
        sql.SQL(
            "SELECT run_id FROM etl.run WHERE dag_id = {} AND status = 'running' "
            "AND has_table_privilege('etl.run', 'UPDATE')"
        ).format(sql.Literal(CLI))
    )
    gone = [key for key in (RunKey(CLI, row[0]) for row in rows) if _is_gone(session, key)]
    for key in gone:
        close_stopped(session, key, KILLED)
    return gone


def _is_gone(session: Session, key: RunKey) -> bool:
    # the server may still be at work on the last thing that a killed process has sent, the commit itself perhaps
    tables = [each.table_name for each in store.table_runs(session, key)]
    free = [locks.of_run(key), *map(locks.of_writing, tables)]
    if not all(locks.is_free(session, each) for each in free):
        return False
    found = store.run(session, key)
    # it may have closed its row itself just before it let go of its lock
    return found is not None and found.status == "running"


def close_stopped(session: Session, key: RunKey, why: str) -> str:
    """Close the row of a run that did not come to its end, and say what has become of its tables.

    :returns: the sentence.
    """
    tables = store.table_runs(session, key)
    done = [each for each in tables if each.status in {"loaded", "unchanged"}]
    if tables and len(done) == len(tables):
        sentence = f"{why}; {' '.join(map(_as_it_ended, done))}"
        store.close_run(session, key, "success", sentence)
        return sentence
    sentence = f"{why}; nothing was changed"
    for each in tables:
        # an error that a killed run had told stands; that of a stopped one may be the signal's doing
        if each.status == "planned" or (each.status == "failed" and why != KILLED):
            _write_stopped(session, each, sentence)
    store.close_run(session, key, "failed", sentence)
    return sentence


def _as_it_ended(table: TableRun) -> str:
    if table.status == "unchanged":
        return f"the source of {table.table_name} was unchanged, and there was nothing to load"
    return f"the load of {table.table_name} had been committed ({counted(table.extracted, 'row')} extracted)"


def _write_stopped(session: Session, table: TableRun, sentence: str) -> None:
    try_number = max(table.try_number, 1)
    store.begin_table(session, table.key, table.table_name, try_number)
    store.write_table_run(
        session,
        TableRun(
            dag_id=table.dag_id,
            run_id=table.run_id,
            table_name=table.table_name,
            try_number=try_number,
            status="failed",
            error_type=ERROR_TYPE,
            error=sentence,
        ),
    )
