"""What runs did to one table, and what they did between two runs. Every function runs in the caller's transaction.

What stands in these rows is told to people who may read the runs of some DAGs and of no others: each function takes
the DAGs that count.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from psycopg import sql

from sluiceway.ledger import store
from sluiceway.ledger.rows import Row, Run, RunKey, RunStatus, TableRun
from sluiceway.ledger.warehouse import Session


class PastTry(Row):
    """A try at a table that came to an end, and the run whose try it was."""

    tried: TableRun
    run_status: RunStatus
    commit_sha: str | None
    """What the run was asked for; else what was deployed when it was let through."""
    trigger_kind: str


class TableChange(Row):
    """What became of one table between two moments. Counts are sums over the loads between them."""

    table_name: str
    loads: int
    failed: int
    """Tries that loaded nothing."""
    inserted: int
    updated: int
    deleted: int
    rejected: int
    rows_before: int | None
    """Live rows at the first moment; None: no good look of before is known."""
    rows_after: int | None
    columns_before: dict[str, str] | None
    """The source's columns with the family of their type, as the newest load until then read them; None: not known."""
    columns_after: dict[str, str] | None
    spec_before: str | None
    spec_after: str | None


def tables_of(session: Session, dag_ids: Collection[str]) -> set[str]:
    """The tables that runs of these DAGs were to load."""
    rows = session.execute(
        sql.SQL("SELECT DISTINCT table_name FROM etl.table_run WHERE dag_id = ANY ({})").format(_list(dag_ids))
    )
    return {name for (name,) in rows}


def dags_of(session: Session, table: str) -> set[str]:
    """The DAGs whose runs were to load the table."""
    rows = session.execute(
        sql.SQL("SELECT DISTINCT dag_id FROM etl.table_run WHERE table_name = {}").format(sql.Literal(table))
    )
    return {dag_id for (dag_id,) in rows}


def newest_tries(session: Session, table: str, dag_ids: Collection[str], *, limit: int) -> list[PastTry]:
    """The tries at a table that came to an end, the newest first."""
    found = store.table_runs_where(
        session,
        sql.SQL(
            "WHERE table_name = {} AND finished_at IS NOT NULL AND status <> 'planned' AND (dag_id = ANY ({})) IS TRUE "
            "ORDER BY finished_at DESC LIMIT {}"
        ).format(sql.Literal(table), _list(dag_ids), sql.Literal(limit)),
    )
    keys = sorted({each.key for each in found})
    if not keys:
        return []
    is_one = sql.SQL(", ").join(sql.SQL("({}, {})").format(*map(sql.Literal, key)) for key in keys)
    runs = {run.key: run for run in store.runs_where(session, sql.SQL("WHERE (dag_id, run_id) IN ({})").format(is_one))}
    return [_past(each, runs[each.key]) for each in found]


def _past(tried: TableRun, run: Run) -> PastTry:
    return PastTry(
        tried=tried,
        run_status=run.status,
        commit_sha=run.commit_sha or run.deployed_sha,
        trigger_kind=run.trigger_kind,
    )


def run_before(session: Session, run: Run) -> RunKey | None:
    """The newest run of the same DAG that began before this one and is not superseded."""
    rows = session.execute(
        sql.SQL(
            "SELECT dag_id, run_id FROM etl.run WHERE dag_id = {} AND started_at < {} AND status <> 'superseded' "
            "ORDER BY started_at DESC LIMIT 1"
        ).format(sql.Literal(run.dag_id), store.literal(run.started_at))
    )
    return RunKey(*rows[0]) if rows else None


_BETWEEN = """
    WITH ends AS (
        SELECT t.table_name,
            max(t.finished_at) FILTER (WHERE (t.dag_id, t.run_id) = {a}) AS a_at,
            max(t.finished_at) FILTER (WHERE (t.dag_id, t.run_id) = {b}) AS b_at
        FROM etl.table_run t WHERE (t.dag_id, t.run_id) IN ({a}, {b}) GROUP BY t.table_name
    ), names AS MATERIALIZED (
        SELECT table_name FROM ends
        UNION
        SELECT table_name FROM etl.table_run
        WHERE finished_at > {a_ended} AND finished_at <= {b_ended} AND dag_id = ANY ({dags})
    ), spans AS MATERIALIZED (
        SELECT table_name, coalesce(a_at, {a_ended}) AS since, coalesce(b_at, {b_ended}) AS until
        FROM names LEFT JOIN ends USING (table_name)
    ), counted AS MATERIALIZED (
        SELECT t.table_name, count(*) FILTER (WHERE t.status = 'loaded') AS loads,
            count(*) FILTER (WHERE t.status = 'failed') AS failed,
            sum(t.inserted) FILTER (WHERE t.status = 'loaded') AS inserted,
            sum(t.updated) FILTER (WHERE t.status = 'loaded') AS updated,
            sum(t.deleted) FILTER (WHERE t.status = 'loaded') AS deleted,
            sum(t.rejected) FILTER (WHERE t.status = 'loaded') AS rejected
        FROM etl.table_run t JOIN spans s ON t.table_name = s.table_name
        WHERE t.finished_at > s.since AND t.finished_at <= s.until AND (t.dag_id = ANY ({dags})) IS TRUE
        GROUP BY t.table_name
    )
    SELECT s.table_name, coalesce(c.loads, 0), coalesce(c.failed, 0), coalesce(c.inserted, 0)::bigint,
        coalesce(c.updated, 0)::bigint, coalesce(c.deleted, 0)::bigint, coalesce(c.rejected, 0)::bigint,
        before.table_rows, after.table_rows, had.source_columns, has.source_columns, had.spec_hash, has.spec_hash
    FROM spans s
    LEFT JOIN counted c USING (table_name)
    LEFT JOIN LATERAL ({rows_since}) before ON true
    LEFT JOIN LATERAL ({rows_until}) after ON true
    LEFT JOIN LATERAL ({columns_since}) had ON true
    LEFT JOIN LATERAL ({columns_until}) has ON true
    ORDER BY s.table_name
"""
# by the table's newest tries, here and above: with `IS TRUE` the DAGs are no reason to take the index that begins with
# them, by which a server without statistics steps through all runs of a DAG for each table
_NEWEST = """
    SELECT t.table_rows, t.source_columns, t.spec_hash FROM etl.table_run t
    WHERE t.table_name = s.table_name AND t.finished_at <= s.{moment} AND (t.dag_id = ANY ({dags})) IS TRUE
        AND {wanted}
    ORDER BY t.finished_at DESC LIMIT 1
"""
_WITH_ROWS = sql.SQL("t.table_rows IS NOT NULL AND t.status IN ('loaded', 'unchanged')")
_WITH_COLUMNS = sql.SQL("t.status = 'loaded'")


def changes_between(
    session: Session, earlier: Run, later: Run, dag_ids: Collection[str], *, now: datetime
) -> list[TableChange]:
    """What became of each table after the earlier run and until the later one, by name: the earlier's loads do not
    count, the later's do.

    A table is looked at from the end of its own load in either run, where that has one; else from the run's end.

    :param now: when a run ends that goes on.
    """
    dags = _list(dag_ids)

    def newest(moment: str, wanted: sql.SQL) -> sql.Composed:
        return sql.SQL(_NEWEST).format(moment=sql.Identifier(moment), dags=dags, wanted=wanted)

    rows = session.execute(
        sql.SQL(_BETWEEN).format(
            a=sql.SQL("({}, {})").format(*map(sql.Literal, earlier.key)),
            b=sql.SQL("({}, {})").format(*map(sql.Literal, later.key)),
            a_ended=store.literal(earlier.finished_at or now),
            b_ended=store.literal(later.finished_at or now),
            dags=dags,
            rows_since=newest("since", _WITH_ROWS),
            rows_until=newest("until", _WITH_ROWS),
            columns_since=newest("since", _WITH_COLUMNS),
            columns_until=newest("until", _WITH_COLUMNS),
        )
    )
    return [TableChange.model_validate(dict(zip(TableChange.model_fields, row, strict=True))) for row in rows]


def _list(dag_ids: Collection[str]) -> sql.Literal:
    return sql.Literal(sorted(dag_ids))
