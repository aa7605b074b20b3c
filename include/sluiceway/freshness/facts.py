"""What the ledger knows that a verdict goes by: four statements, each by an index, in one read-only snapshot."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from psycopg import sql
from pydantic import TypeAdapter

from sluiceway.deploy import stints
from sluiceway.deploy.stints import Stint
from sluiceway.freshness.model import Frozen
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.rows import RunStatus, TableStatus
from sluiceway.ledger.warehouse import Session, connect

RUNS_READ = 200
"""So many runs that have ended, the newest, tell what became of a commit; of those that go on, as many."""


class LastTry(NamedTuple):
    """The newest try at a table that came to an end, of whatever run."""

    dag_id: str
    run_id: str
    status: TableStatus
    error: str | None
    run_status: RunStatus


class Tally(NamedTuple):
    """What is counted of a table's tries that ended. It never falls, also when runs are forgotten."""

    loads: int = 0
    """Good ones: rows were loaded, or the source was unchanged."""
    failures: int = 0
    rejected: int = 0
    """Rows, of good and of failed tries."""
    seconds: float = 0.0
    """Of the good ones, all together."""


class TableFacts(NamedTuple):
    """What etl.freshness says of a table, and its newest try.

    A tuple: to look at each value of a thousand rows, which the ledger's own columns bound, took as long as to ask.
    """

    looked_at: datetime | None = None
    data_from: datetime | None = None
    table_rows: int | None = None
    commit_sha: str | None = None
    """Of the newest load, green or not, that names one: the tables may hold a part of a red run's data."""
    green_commit_sha: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    tally: Tally = Tally()
    last_try: LastTry | None = None


class RunFacts(Frozen):
    """A run that goes on, or one of the newest that have ended."""

    dag_id: str
    run_id: str
    commit: str | None
    """What it was asked for; else what was deployed when it was let through."""
    status: RunStatus
    note: str | None
    began_at: datetime
    finished_at: datetime | None
    tables: frozenset[str] = frozenset()
    """Those that it has planned, while it goes on."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has begun and planned nothing yet: its gate waits for the commit, or the run for its turn."""
        return self.status == "running" and not self.tables


@dataclass(frozen=True)
class LedgerFacts:
    """All of them."""

    at: datetime
    """The server's time, by which loads are stamped."""
    tables: dict[str, TableFacts]
    runs: tuple[RunFacts, ...]
    """The newest first."""
    stint: Stint | None = None
    """The environment's newest."""

    @cached_property
    def open_runs(self) -> tuple[RunFacts, ...]:
        """Those that go on, which each table asks for."""
        return tuple(run for run in self.runs if run.status == "running")


def told_of(facts: LedgerFacts, dag_ids: Collection[str]) -> LedgerFacts:
    """The facts for somebody who may read the runs of these DAGs alone: no other run is named, and no error of one.

    How old a table is and whose commit it holds stays, for these are the table's; so does its state where it is judged
    by all facts. A sentence that is made of these is true, and may leave out what is to come.
    """
    tables = {
        name: found._replace(last_try=None)
        if found.last_try is not None and found.last_try.dag_id not in dag_ids
        else found
        for name, found in facts.tables.items()
    }
    runs = tuple(run for run in facts.runs if run.dag_id in dag_ids)
    return replace(facts, tables=tables, runs=runs)


_TABLES = """
    WITH known AS MATERIALIZED (
        SELECT c.*, r.status AS run_status, r.commit_sha,
            coalesce(c.last_status IN ('loaded', 'unchanged') AND r.status = 'success' AND r.commit_sha IS NOT NULL,
                false) AS says_all
        FROM json_array_elements_text({}) n (table_name) JOIN etl.table_tally c USING (table_name)
        LEFT JOIN LATERAL (
            -- OFFSET 0: one by one, for the tables are of few runs
            SELECT status, coalesce(deployed_sha, commit_sha) AS commit_sha FROM etl.run
            WHERE (dag_id, run_id) = (c.last_dag_id, c.last_run_id) OFFSET 0
        ) r ON true
    )
    -- mostly the newest try is good, of a green run and of a commit, and says all: then no other one is looked for
    SELECT table_name, last_at, loaded_at, loaded_rows, commit_sha, commit_sha, last_dag_id, last_run_id,
        loads, failures, rejected, seconds, last_dag_id, last_run_id, last_status, NULL, run_status
    FROM known WHERE says_all
    UNION ALL
    SELECT k.table_name, t.looked_at, t.data_from, t.table_rows, t.commit_sha, t.green_commit_sha, t.dag_id, t.run_id,
        k.loads, k.failures, k.rejected, k.seconds,
        t.last_dag_id, t.last_run_id, t.last_status, t.last_error, t.last_run_status
    FROM known k LEFT JOIN LATERAL etl.freshness_of(k.table_name) t ON true WHERE NOT says_all
"""
_MOMENT = """
    SELECT now(), (SELECT to_json(s) FROM ({stint}) s), (
        SELECT coalesce(json_agg(r), '[]') FROM (
            SELECT {fields} FROM (
                (
                    SELECT {columns}, ARRAY(
                        SELECT t.table_name FROM etl.table_run t
                        WHERE (t.dag_id, t.run_id) = (r.dag_id, r.run_id) GROUP BY t.table_name
                    ) AS tables
                    FROM etl.run r WHERE status = 'running' AND outcome IS NULL ORDER BY started_at DESC LIMIT {runs}
                )
                UNION ALL
                (
                    SELECT {columns}, '{{}}' FROM etl.run WHERE status <> 'running' ORDER BY started_at DESC
                    LIMIT {runs}
                )
            ) either ORDER BY started_at DESC
        ) r
    )
"""
_RUN = """
    dag_id, run_id, coalesce(commit_sha, deployed_sha) AS commit, status, note,
    coalesce(opened_at, started_at) AS began_at, finished_at, started_at
"""


def read(url: str, tables: Collection[str], environment: str | None = None) -> LedgerFacts:
    """The facts of these tables, of the newest runs, and of what the environment serves.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    :raises WarehouseUnavailableError: the server does not answer.
    """
    with connect(url) as session:
        # a run that ends between two statements would be neither open nor green
        session.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        return read_in(session, tables, environment)


def read_in(session: Session, tables: Collection[str], environment: str | None = None) -> LedgerFacts:
    """As `read`, in a transaction that is one snapshot and has done nothing yet."""
    check_revision(session)
    newest = sql.SQL("SELECT WHERE false") if environment is None else stints.select_newest(environment)
    moment = sql.SQL(_MOMENT).format(
        stint=newest,
        columns=sql.SQL(_RUN),
        fields=sql.SQL(", ").join(map(sql.Identifier, RunFacts.model_fields)),
        runs=sql.Literal(RUNS_READ),
    )
    at, stint, runs = session.execute(moment)[0]
    return LedgerFacts(
        at,
        _tables(session, tables),
        _RUNS.validate_python(runs),
        None if stint is None else Stint.model_validate(stint),
    )


def _tables(session: Session, tables: Collection[str]) -> dict[str, TableFacts]:
    # as JSON: to write an array of a thousand names takes the driver longer than to read the answer
    rows = session.execute(sql.SQL(_TABLES).format(sql.Literal(json.dumps(list(tables)))))
    found = {}
    for table, *values in rows:
        own, tally, last = values[:_OWN], values[_OWN:_TALLIED], values[_TALLIED:]
        told = Tally(*tally) if tally[0] is not None else Tally()
        found[table] = TableFacts._make([*own, told, LastTry(*last) if last[0] is not None else None])
    return found


_OWN = len(TableFacts._fields) - len(("tally", "last_try"))
_TALLIED = _OWN + len(Tally._fields)
_RUNS = TypeAdapter(tuple[RunFacts, ...])
