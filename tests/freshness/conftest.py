from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sluiceway.ledger.warehouse import PsycopgSession, Statement
from tests.freshness.ledgered import RUNS, TABLES


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that a session runs."""
    seen: list[str] = []
    execute = PsycopgSession.execute

    def noted(self: PsycopgSession, query: Statement) -> list[tuple[Any, ...]]:
        seen.append(query.as_string(None))
        return execute(self, query)

    monkeypatch.setattr(PsycopgSession, "execute", noted)
    return seen


@pytest.fixture
def filled(warehouse_url: str, owner_url: str) -> Iterator[str]:
    """A ledger of 1,000 tables with 200 runs of history, the newest of which goes on."""
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "INSERT INTO etl.run (dag_id, run_id, commit_sha, trigger_kind, started_at, finished_at, status) "
            "SELECT 'master_etl', 'r' || n, md5((n / 10)::text), 'deploy', now() - (%(runs)s - n) * interval '1 h', "
            "CASE WHEN n < %(runs)s THEN now() - (%(runs)s - n) * interval '1 h' + interval '5 min' END, "
            "CASE WHEN n = %(runs)s THEN 'running' WHEN n %% 7 = 0 THEN 'failed' ELSE 'success' END "
            "FROM generate_series(1, %(runs)s) n",
            {"runs": RUNS},
        )
        # runs of jobs, which load no table, of the months before
        connection.execute(
            "INSERT INTO etl.run (dag_id, run_id, trigger_kind, started_at, finished_at, status) "
            "SELECT 'resolve_taxa', 'r' || n, 'scheduled', at, at, 'success' "
            "FROM generate_series(1, 5000) n, LATERAL (SELECT now() - (%s + n) * interval '1 h' AS at) a",
            [RUNS],
        )
        # as plan and load write them: a row of the plan, and one of the try
        connection.execute(
            "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status, finished_at, table_rows) "
            "SELECT dag_id, run_id, 'table_' || t, try, "
            "CASE WHEN try = 0 THEN 'planned' WHEN t %% 3 = 0 THEN 'unchanged' ELSE 'loaded' END, "
            "CASE WHEN try = 1 THEN finished_at END, 3 "
            "FROM etl.run, generate_series(1, %s) t, generate_series(0, 1) try "
            "WHERE dag_id = 'master_etl' AND (try = 0 OR status <> 'running')",
            [TABLES],
        )
        connection.execute("ANALYZE etl.run, etl.table_run, etl.task_run")
    yield warehouse_url
