"""The newest runs, as lists of runs show them. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from psycopg import sql

from sluiceway.ledger import store
from sluiceway.ledger.store import Run, RunKey
from sluiceway.ledger.warehouse import Session


def dag_ids(session: Session) -> set[str]:
    """The DAGs that have runs."""
    rows = session.execute(sql.SQL("SELECT DISTINCT dag_id FROM etl.run WHERE dag_id <> {}").format(_CLI))
    return {dag_id for (dag_id,) in rows}


def runs_of(session: Session, dag_ids: Collection[str], *, limit: int) -> list[Run]:
    """The newest runs of these DAGs, the newest first."""
    if not dag_ids:
        return []
    where = sql.SQL("WHERE dag_id IN ({}) ORDER BY started_at DESC LIMIT {}").format(
        sql.SQL(", ").join(map(sql.Literal, sorted(dag_ids))), sql.Literal(limit)
    )
    return store.runs_where(session, where)


def open_and_newest(session: Session, *, newest: int) -> list[Run]:
    """The runs that are open, and the newest of the others."""
    is_one = sql.SQL(
        "WHERE status = 'running' OR (dag_id, run_id) IN "
        "(SELECT dag_id, run_id FROM etl.run ORDER BY started_at DESC LIMIT {})"
    ).format(sql.Literal(newest))
    return store.runs_where(session, sql.SQL("{} ORDER BY started_at DESC").format(is_one))


def runs_beginning(session: Session, prefix: str, dag_id: str | None = None, *, limit: int = 100) -> list[Run]:
    """The runs whose ids begin so, of one DAG if it is named; the shortest id first, which may be the whole of it."""
    where = sql.SQL("WHERE starts_with(run_id, {}) {} ORDER BY length(run_id), started_at DESC LIMIT {}").format(
        sql.Literal(prefix), _of_dag(dag_id), sql.Literal(limit)
    )
    return store.runs_where(session, where)


def commits(session: Session, dag_id: str | None = None) -> set[str]:
    """The commits that runs name, or were let through for; of one DAG if it is named."""
    rows = session.execute(
        sql.SQL("SELECT DISTINCT {} FROM etl.run WHERE {} IS NOT NULL {}").format(_COMMIT, _COMMIT, _of_dag(dag_id))
    )
    return {commit for (commit,) in rows}


def runs_of_commits(session: Session, commits: Collection[str], dag_id: str | None = None) -> list[Run]:
    """The runs of these spellings of a commit, the newest first."""
    where = sql.SQL("WHERE {} = ANY ({}) {} ORDER BY started_at DESC").format(
        _COMMIT, sql.Literal(sorted(commits)), _of_dag(dag_id)
    )
    return store.runs_where(session, where)


def tables_of(session: Session, runs: Iterable[Run]) -> dict[RunKey, str]:
    """The table that each run of `sluiceway tables run` loads."""
    run_ids = [run.run_id for run in runs if run.dag_id == store.CLI]
    if not run_ids:
        return {}
    rows = session.execute(
        sql.SQL(
            "SELECT run_id, string_agg(DISTINCT table_name, ', ') FROM etl.table_run WHERE dag_id = {} "
            "AND run_id IN ({}) GROUP BY run_id"
        ).format(_CLI, sql.SQL(", ").join(map(sql.Literal, run_ids)))
    )
    return {RunKey(store.CLI, run_id): names for run_id, names in rows}


def _of_dag(dag_id: str | None) -> sql.Composable:
    return sql.SQL("AND dag_id = {}").format(sql.Literal(dag_id)) if dag_id is not None else sql.SQL("")


_CLI = sql.Literal(store.CLI)
_COMMIT = sql.SQL("coalesce(commit_sha, deployed_sha)")
