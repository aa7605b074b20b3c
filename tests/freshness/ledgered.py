"""A ledger with runs of chosen ages, for tests of what is said of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql

from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, RunStatus, TableRun, TableStatus
from sluiceway.ledger.warehouse import Session, connect

A, B = "a1" * 20, "b2" * 20
"""Two commits."""
TABLES, RUNS = 1000, 200
"""Of the ledger that is large."""


def ran(
    url: str,
    run_id: str,
    *,
    ago: timedelta,
    commit: str | None = A,
    status: RunStatus = "success",
    dag_id: str = "master_etl",
    note: str | None = None,
    deployed: str | None = None,
    **tables: TableStatus,
) -> RunKey:
    """A run that began so long ago, and ended then unless it is running; what it did to each table."""
    key = RunKey(dag_id, run_id)
    with connect(url) as session:
        store.open_run(session, key, commit, "deploy")
        if deployed is not None:
            store.record_deployed_sha(session, key, deployed)
        store.plan_tables(session, key, tables)
        for name, became in tables.items():
            if became != "planned":
                store.write_table_run(session, _try(key, name, became))
        if status == "superseded":
            store.record_outcome(session, key, "superseded", note or "", deployed_sha=deployed)
        if status != "running":
            store.close_run(session, key, status, note)
        _put_back(session, key, ago)
    return key


def _try(key: RunKey, table: str, status: TableStatus) -> TableRun:
    error = {"error_type": "EmptyExtractionError", "error": "the source gave no rows"} if status == "failed" else {}
    counts = {"extracted": 3, "inserted": 3, "table_rows": 3} if status == "loaded" else {}
    return TableRun.model_validate(
        {**key._asdict(), "table_name": table, "try_number": 1, "status": status, **counts, **error}
    )


def _put_back(session: Session, key: RunKey, ago: timedelta) -> None:
    """Have all of the run have happened that long ago."""
    for table, columns in (("run", ("started_at", "opened_at", "finished_at")), ("table_run", ("finished_at",))):
        session.execute(
            sql.SQL("UPDATE etl.{} SET {} WHERE (dag_id, run_id) = ({}, {})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(
                    sql.SQL("{0} = {0} - {1}::interval").format(
                        sql.Identifier(column), sql.Literal(f"{ago.total_seconds()} s")
                    )
                    for column in columns
                ),
                *map(sql.Literal, key),
            )
        )


def scanned(plan: Any) -> set[str]:
    """The tables that a plan reads from end to end."""
    if isinstance(plan, list):
        return set().union(*map(scanned, plan))
    if not isinstance(plan, dict):
        return set()
    own = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
    return own.union(*map(scanned, plan.values()))


def fill(owner_url: str, *, tables: int, runs: int) -> None:
    """Tables `table_1` and so on with so many hourly runs, the newest of which goes on, and older runs of a job."""
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "INSERT INTO etl.run (dag_id, run_id, commit_sha, trigger_kind, started_at, finished_at, status) "
            "SELECT 'master_etl', 'r' || n, md5((n / 10)::text), 'deploy', now() - (%(runs)s - n) * interval '1 h', "
            "CASE WHEN n < %(runs)s THEN now() - (%(runs)s - n) * interval '1 h' + interval '5 min' END, "
            "CASE WHEN n = %(runs)s THEN 'running' WHEN n %% 7 = 0 THEN 'failed' ELSE 'success' END "
            "FROM generate_series(1, %(runs)s) n",
            {"runs": runs},
        )
        # runs of jobs, which load no table, of the months before
        connection.execute(
            "INSERT INTO etl.run (dag_id, run_id, trigger_kind, started_at, finished_at, status) "
            "SELECT 'resolve_taxa', 'r' || n, 'scheduled', at, at, 'success' "
            "FROM generate_series(1, 5000) n, LATERAL (SELECT now() - (%s + n) * interval '1 h' AS at) a",
            [runs],
        )
        # as plan and load write them: a row of the plan, and one of the try; in one transaction the trigger would go
        # through all that it has counted, for each
        connection.execute("ALTER TABLE etl.table_run DISABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status, finished_at, table_rows, "
            "seconds) SELECT dag_id, run_id, 'table_' || t, try, "
            "CASE WHEN try = 0 THEN 'planned' WHEN t %% 3 = 0 THEN 'unchanged' ELSE 'loaded' END, "
            "CASE WHEN try = 1 THEN finished_at END, 3, 1.5 "
            "FROM etl.run, generate_series(1, %s) t, generate_series(0, 1) try "
            "WHERE dag_id = 'master_etl' AND (try = 0 OR status <> 'running')",
            [tables],
        )
        connection.execute("ALTER TABLE etl.table_run ENABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO etl.table_tally (table_name, loads, failures, rejected, seconds) "
            "SELECT table_name, count(*), 0, 7, sum(seconds) FROM etl.table_run "
            "WHERE finished_at IS NOT NULL GROUP BY table_name"
        )
        # the newest run's tries, as their end would have
        connection.execute(
            "UPDATE etl.table_run SET rejected = rejected "
            "WHERE finished_at = (SELECT max(finished_at) FROM etl.table_run)"
        )
        connection.execute("ANALYZE etl.run, etl.table_run, etl.task_run, etl.table_tally")
