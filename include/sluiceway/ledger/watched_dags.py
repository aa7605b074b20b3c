"""Which ended runs of a DAG the ledger has, and which it need not tell of. Runs in the caller's transaction.

What ends without any of its tasks writes nothing here: run_watch finds it, by all runs that Airflow has. It looks
through them only when their number has changed.
"""

from __future__ import annotations

from collections.abc import Collection

from psycopg import sql

from sluiceway.ledger.store import literal, parsed_json
from sluiceway.ledger.warehouse import Session


def ended_runs(session: Session, dag_id: str) -> int | None:
    """How many Airflow had when they were looked through; None: never."""
    rows = session.execute(sql.SQL("SELECT ended_runs FROM etl.watched_dag WHERE {}").format(_is(dag_id)))
    return int(rows[0][0]) if rows else None


def unknown(session: Session, dag_id: str, run_ids: Collection[str]) -> list[str]:
    """Those of the runs that have no row and were not passed over before."""
    rows = session.execute(sql.SQL("SELECT passed_over FROM etl.watched_dag WHERE {}").format(_is(dag_id)))
    passed_over = parsed_json(rows[0][0]) if rows else []
    known = session.execute(sql.SQL("SELECT run_id FROM etl.run WHERE {}").format(_is(dag_id)))
    return sorted(set(run_ids) - {run_id for (run_id,) in known} - set(passed_over))


def looked_through(session: Session, dag_id: str, ended: int, run_ids: Collection[str], old: Collection[str]) -> None:
    """Note that Airflow's runs were looked through.

    :param run_ids: those that it has: what was passed over and is gone there is forgotten.
    :param old: which of them are to be passed over from now on.
    """
    rows = session.execute(sql.SQL("SELECT passed_over FROM etl.watched_dag WHERE {}").format(_is(dag_id)))
    before = parsed_json(rows[0][0]) if rows else []
    kept = sorted((set(before) | set(old)) & set(run_ids))
    session.execute(
        sql.SQL(
            "INSERT INTO etl.watched_dag (dag_id, ended_runs, passed_over) VALUES ({}, {}, {}) "
            "ON CONFLICT (dag_id) DO UPDATE SET ended_runs = excluded.ended_runs, passed_over = excluded.passed_over"
        ).format(sql.Literal(dag_id), sql.Literal(ended), literal(kept))
    )


def _is(dag_id: str) -> sql.Composed:
    return sql.SQL("dag_id = {}").format(sql.Literal(dag_id))
