"""What a page tells beside the verdict: how each table's last loads went, and what waits, fails or was given up.

Two statements, each by an index, in one read-only snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from psycopg import sql
from pydantic import TypeAdapter

from sluiceway.freshness.model import Frozen
from sluiceway.ledger.rows import RunStatus, TableStatus
from sluiceway.ledger.warehouse import Session, connect

RUNS_SHOWN = 50
"""Of runs that go on, and of those that were superseded within a day."""
FAILING_SHOWN = 50
ERROR_CHARACTERS = 400
"""So much of an error is told; its run and its log have the whole."""
WAITS_LONG_S = 300
"""An event that no run has taken for so long waits in vain: its flow is paused, or nobody wakes it."""


class LastLoads(NamedTuple):
    """A table's newest try that came to an end, of whatever run, and the rows that each of its last loads left.

    A tuple: to look at each value of a thousand rows, which the ledger's own columns bound, takes 10 ms.
    """

    dag_id: str
    run_id: str
    run_status: RunStatus
    status: TableStatus
    rejected: int
    error: str | None
    """With its type."""
    log_url: str | None
    """Of the task that made the try; None: no log is known."""
    rows: tuple[int, ...]
    """In the table after each load, the oldest first."""

    @property
    def has_failed(self) -> bool:
        """Whether it renewed nothing."""
        return self.status == "failed" or self.run_status in {"failed", "abandoned"}


class NearRun(Frozen):
    """A run that goes on, or was superseded within a day."""

    dag_id: str
    run_id: str
    status: RunStatus
    commit: str | None
    began_at: datetime
    note: str | None


class FailingTrigger(Frozen):
    """A sensor whose place cannot be seen, or a sensor or webhook whose events no run takes."""

    flow_id: str
    trigger_id: str
    error: str | None
    error_at: datetime | None
    looked_at: datetime | None
    """When it could be seen last."""
    unclaimed: int
    """Events that wait for a run."""
    waits_since: datetime | None
    """The oldest of them."""


class DeadLetters(Frozen):
    """Items of a job that were given up."""

    job: str
    count: int
    newest_at: datetime


class Around(NamedTuple):
    """All of it."""

    tables: Mapping[str, LastLoads] = {}
    runs: tuple[NearRun, ...] = ()
    failing: tuple[FailingTrigger, ...] = ()
    dead: tuple[DeadLetters, ...] = ()

    def dag_ids(self) -> set[str]:
        """The DAGs of all runs that are named."""
        return {load.dag_id for load in self.tables.values()} | {run.dag_id for run in self.runs}


_TABLES = """
    WITH last AS MATERIALIZED (
        SELECT c.table_name, c.last_dag_id AS dag_id, c.last_run_id AS run_id, r.status AS run_status,
            c.last_status AS status, c.last_rejected AS rejected, e.error, c.trend
        FROM json_array_elements_text({names}) n (table_name) JOIN etl.table_tally c USING (table_name)
        -- OFFSET 0: one by one, for the tables are of few runs
        CROSS JOIN LATERAL (
            SELECT status FROM etl.run WHERE (dag_id, run_id) = (c.last_dag_id, c.last_run_id) OFFSET 0
        ) r
        LEFT JOIN LATERAL (
            SELECT left(nullif(concat_ws(': ', t.error_type, t.error), ''), {characters}) AS error FROM etl.table_run t
            WHERE c.last_status = 'failed' AND (t.dag_id, t.run_id, t.table_name, t.try_number)
                = (c.last_dag_id, c.last_run_id, c.table_name, c.last_try)
        ) e ON true
    )
    SELECT last.table_name, last.dag_id, last.run_id, last.run_status, last.status, last.rejected, last.error,
        log.log_url, last.trend
    FROM last
    LEFT JOIN (
        -- OFFSET 0: by the run, which is how the index of tasks begins
        SELECT DISTINCT ON (dag_id, run_id, table_name) dag_id, run_id, table_name, log_url
        FROM (SELECT DISTINCT dag_id, run_id FROM last) run CROSS JOIN LATERAL (
            SELECT table_name, log_url, started_at FROM etl.task_run t
            WHERE (t.dag_id, t.run_id) = (run.dag_id, run.run_id) AND log_url IS NOT NULL AND table_name IS NOT NULL
            OFFSET 0
        ) task ORDER BY dag_id, run_id, table_name, started_at DESC
    ) log USING (dag_id, run_id, table_name)
"""
_AROUND = """
    SELECT
    (SELECT coalesce(json_agg(l), '[]') FROM ({last_loads}) l ({columns})),
    (
        SELECT coalesce(json_agg(r), '[]') FROM (
            (
                SELECT dag_id, run_id, status, coalesce(commit_sha, deployed_sha) AS commit,
                    coalesce(opened_at, started_at) AS began_at, coalesce(outcome_note, note) AS note
                FROM etl.run WHERE status = 'running' ORDER BY started_at DESC LIMIT {runs}
            )
            UNION ALL
            (
                SELECT dag_id, run_id, status, coalesce(commit_sha, deployed_sha), coalesce(opened_at, started_at),
                    coalesce(outcome_note, note)
                FROM etl.run WHERE status = 'superseded' AND started_at > now() - interval '1 day'
                ORDER BY started_at DESC LIMIT {runs}
            )
        ) r
    ),
    (
        SELECT coalesce(json_agg(f), '[]') FROM (
            SELECT flow_id, trigger_id, CASE WHEN fails THEN left(error, {characters}) END AS error,
                CASE WHEN fails THEN error_at END AS error_at, looked_at, coalesce(unclaimed, 0) AS unclaimed,
                waits_since
            FROM (
                SELECT *, coalesce(error_at > looked_at, error_at IS NOT NULL) AS fails FROM etl.trigger_state
            ) s
            LEFT JOIN (
                SELECT flow_id, trigger_id, count(*) AS unclaimed, min(seen_at) AS waits_since
                FROM etl.trigger_event WHERE run_id IS NULL GROUP BY flow_id, trigger_id
            ) e USING (flow_id, trigger_id)
            WHERE fails OR waits_since < now() - {waits_long_s} * interval '1 s'
            ORDER BY flow_id, trigger_id LIMIT {failing}
        ) f
    ),
    (
        SELECT coalesce(json_agg(d), '[]') FROM (
            SELECT job, count(*) AS count, max(updated_at) AS newest_at
            FROM etl_jobs.item WHERE state = 'dead' GROUP BY job ORDER BY job
        ) d
    )
"""


def read(url: str, tables: Collection[str]) -> Around:
    """What the ledger says of these tables' last loads, and of what goes on beside them.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    :raises WarehouseUnavailableError: the server does not answer.
    """
    with connect(url) as session:
        session.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        # of a thousand tables the server thinks so much that compiling the plan takes it as long as the answer
        session.execute(sql.SQL("SET LOCAL jit = off"))
        return read_in(session, tables)


def read_in(session: Session, tables: Collection[str]) -> Around:
    """As `read`, by one statement of a session that compiles no plans."""
    last_loads = sql.SQL(_TABLES).format(
        names=sql.Literal(json.dumps(list(tables))),
        characters=sql.Literal(ERROR_CHARACTERS),
    )
    statement = sql.SQL(_AROUND).format(
        last_loads=last_loads,
        columns=sql.SQL(", ").join(map(sql.Identifier, ["table_name", *LastLoads._fields])),
        runs=sql.Literal(RUNS_SHOWN),
        failing=sql.Literal(FAILING_SHOWN),
        characters=sql.Literal(ERROR_CHARACTERS),
        waits_long_s=sql.Literal(WAITS_LONG_S),
    )
    found, *rest = session.execute(statement)[0]
    loads = {row.pop("table_name"): LastLoads(**row | {"rows": tuple(row["rows"])}) for row in found}
    return Around(loads, *_REST.validate_python(rest))


_REST = TypeAdapter(tuple[tuple[NearRun, ...], tuple[FailingTrigger, ...], tuple[DeadLetters, ...]])
