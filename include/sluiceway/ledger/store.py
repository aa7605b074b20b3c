"""Reads and writes the ledger's rows. Every function runs in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.errors import LedgerMissingError
from sluiceway.ledger.warehouse import LEDGER_REVISION, Session

RunStatus = Literal["running", "success", "failed", "superseded", "abandoned"]
TableStatus = Literal["planned", "loaded", "unchanged", "failed"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(_Row):
    """One row of etl.run."""

    run_id: str
    dag_id: str | None
    commit_sha: str | None
    deployed_sha: str | None
    trigger_kind: str
    started_at: datetime
    finished_at: datetime | None
    status: RunStatus
    note: str | None


class TableRun(_Row):
    """One row of etl.table_run: what a run did to one table. Sizes in bytes."""

    run_id: str
    table_name: str
    status: TableStatus
    extracted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    repaired: int = 0
    table_rows: int | None = None
    """Live rows in the warehouse table afterwards."""
    bytes: int | None = None
    """Size of the source."""
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    fingerprint: str | None = None
    spec_hash: str | None = None
    source_columns: dict[str, str] | None = None
    """The source's columns with the family of their type."""
    watermark: str | None = None
    """Where an incremental source ended: the next load begins there."""
    error_type: str | None = None
    error: str | None = None
    finished_at: datetime | None = None


class Reject(_Row):
    """One row of etl.reject: a source row that was not loaded, and why."""

    row_number: int | None
    """The row's number among the source's data rows, from 1."""
    column_name: str | None
    reason: str
    row: dict[str, Any]


def _columns(model: type[_Row]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in model.model_fields)


def _literal(value: Any) -> sql.Composable:
    if isinstance(value, dict):
        return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(value)))
    if isinstance(value, datetime):
        return sql.SQL("{}::timestamptz").format(sql.Literal(value.isoformat()))
    return sql.Literal(value)


def check_revision(session: Session) -> None:
    """Raises LedgerMissingError unless the ledger has the revision this code needs."""
    exists = session.execute(sql.SQL("SELECT to_regclass('etl.alembic_version') IS NOT NULL"))[0][0]
    found = session.execute(sql.SQL("SELECT version_num FROM etl.alembic_version"))[0][0] if exists else None
    if found != LEDGER_REVISION:
        state = f"is at revision {found}" if found else "is missing"
        raise LedgerMissingError(
            f"The warehouse's ledger {state} and this code needs {LEDGER_REVISION}; run `sluiceway ledger migrate`."
        )


def open_run(session: Session, *, run_id: str, dag_id: str | None, commit_sha: str | None, trigger_kind: str) -> None:
    """Open the run's row, or reopen it when the run is repeated. Keeps what its tables did before."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl.run (run_id, dag_id, commit_sha, trigger_kind) VALUES ({}, {}, {}, {}) "
            "ON CONFLICT (run_id) DO UPDATE SET status = 'running', finished_at = NULL, note = NULL, "
            "commit_sha = excluded.commit_sha, deployed_sha = NULL"
        ).format(*map(sql.Literal, (run_id, dag_id, commit_sha, trigger_kind)))
    )


def record_deployed_sha(session: Session, run_id: str, deployed_sha: str | None) -> None:
    """Note which commit staging served when the run began to load."""
    session.execute(
        sql.SQL("UPDATE etl.run SET deployed_sha = {} WHERE run_id = {}").format(
            sql.Literal(deployed_sha), sql.Literal(run_id)
        )
    )


def close_run(session: Session, run_id: str, status: RunStatus, note: str | None) -> None:
    """Close the run's row with its verdict."""
    session.execute(
        sql.SQL("UPDATE etl.run SET status = {}, note = {}, finished_at = clock_timestamp() WHERE run_id = {}").format(
            sql.Literal(status), sql.Literal(note), sql.Literal(run_id)
        )
    )


def commit_is_loaded(session: Session, commit: str, *, tables: int) -> bool:
    """Whether a green run loaded that commit: all of the deployment's `tables`, for a run of a few proves nothing."""
    rows = session.execute(
        sql.SQL(
            "SELECT 1 FROM etl.run WHERE status = 'success' AND {} = coalesce(deployed_sha, commit_sha) "
            "AND (SELECT count(*) FROM etl.table_run WHERE table_run.run_id = run.run_id) >= {} LIMIT 1"
        ).format(sql.Literal(commit), sql.Literal(tables))
    )
    return bool(rows)


def close_abandoned(session: Session, dag_id: str, *, except_run_id: str) -> list[str]:
    """Close every other open row of a DAG that runs once at a time: its run was ended from outside.

    :returns: the run ids that were closed.
    """
    rows = session.execute(
        sql.SQL(
            "UPDATE etl.run SET status = 'abandoned', finished_at = clock_timestamp(), "
            "note = 'ended before its verdict (timeout, or marked by hand)' "
            "WHERE dag_id = {} AND status = 'running' AND run_id <> {} RETURNING run_id"
        ).format(sql.Literal(dag_id), sql.Literal(except_run_id))
    )
    return [row[0] for row in rows]


def plan_tables(session: Session, run_id: str, names: Iterable[str]) -> None:
    """Write a `planned` row per table, so that a table that never reports is seen. A repeat keeps good loads."""
    for name in names:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.table_run (run_id, table_name, status) VALUES ({}, {}, 'planned') "
                "ON CONFLICT (run_id, table_name) DO UPDATE SET status = 'planned' "
                "WHERE table_run.status = 'failed'"
            ).format(sql.Literal(run_id), sql.Literal(name))
        )


def begin_table(session: Session, run_id: str, table: str) -> None:
    """Take the table's row of the run for a new try, and drop the rejects of the try before."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl.table_run (run_id, table_name, status) VALUES ({}, {}, 'planned') "
            "ON CONFLICT (run_id, table_name) DO NOTHING"
        ).format(sql.Literal(run_id), sql.Literal(table))
    )
    session.execute(
        sql.SQL("DELETE FROM etl.reject WHERE run_id = {} AND table_name = {}").format(
            sql.Literal(run_id), sql.Literal(table)
        )
    )


def write_table_run(session: Session, result: TableRun) -> None:
    """Write what the run did to one table, in place of what an earlier try wrote."""
    values = result.model_dump()  # finished_at is set by the server, whose clock orders loads
    session.execute(
        sql.SQL("INSERT INTO etl.table_run ({}) VALUES ({}) ON CONFLICT (run_id, table_name) DO UPDATE SET {}").format(
            _columns(TableRun),
            sql.SQL(", ").join(
                sql.SQL("clock_timestamp()") if name == "finished_at" else _literal(value)
                for name, value in values.items()
            ),
            sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
                for name in values
                if name not in {"run_id", "table_name"}
            ),
        )
    )


def write_rejects(session: Session, run_id: str, table: str, rejects: Iterable[Reject]) -> None:
    """Write a few rejects, row by row."""
    for reject in rejects:
        session.execute(
            sql.SQL(
                'INSERT INTO etl.reject (run_id, table_name, row_number, column_name, reason, "row") '
                "VALUES ({}, {}, {}, {}, {}, {})"
            ).format(
                sql.Literal(run_id),
                sql.Literal(table),
                sql.Literal(reject.row_number),
                sql.Literal(reject.column_name),
                sql.Literal(reject.reason),
                _literal(reject.row),
            )
        )


def _table_runs(session: Session, where: sql.Composable) -> list[TableRun]:
    rows = session.execute(sql.SQL("SELECT {} FROM etl.table_run {}").format(_columns(TableRun), where))
    names = list(TableRun.model_fields)
    return [TableRun.model_validate(_parsed(dict(zip(names, row, strict=True)))) for row in rows]


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "source_columns": _json(row["source_columns"])}


def _json(value: Any) -> Any:
    # the bulk session hands jsonb over as text, psycopg as a dict
    return json.loads(value) if isinstance(value, str) else value


def table_runs(session: Session, run_id: str) -> list[TableRun]:
    """What the run did to each of its tables, by name."""
    return _table_runs(session, sql.SQL("WHERE run_id = {} ORDER BY table_name").format(sql.Literal(run_id)))


def last_good_load(session: Session, table: str) -> TableRun | None:
    """The newest load of a table that was committed, of any run."""
    found = _table_runs(
        session,
        sql.SQL("WHERE table_name = {} AND status = 'loaded' ORDER BY finished_at DESC LIMIT 1").format(
            sql.Literal(table)
        ),
    )
    return found[0] if found else None


def runs(session: Session, *, limit: int = 20, run_id: str | None = None) -> list[Run]:
    """The newest runs first, or the one named."""
    where = sql.SQL("WHERE run_id = {}").format(sql.Literal(run_id)) if run_id else sql.SQL("")
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl.run {} ORDER BY started_at DESC LIMIT {}").format(
            _columns(Run), where, sql.Literal(limit)
        )
    )
    return [Run.model_validate(dict(zip(Run.model_fields, row, strict=True))) for row in rows]


def rejects(session: Session, run_id: str, table: str, *, limit: int = 20) -> list[Reject]:
    """The first rejects of one table in a run, by source row number."""
    rows = session.execute(
        sql.SQL(
            'SELECT row_number, column_name, reason, "row" FROM etl.reject '
            "WHERE run_id = {} AND table_name = {} ORDER BY row_number LIMIT {}"
        ).format(sql.Literal(run_id), sql.Literal(table), sql.Literal(limit))
    )
    return [Reject(row_number=r[0], column_name=r[1], reason=r[2], row=_json(r[3])) for r in rows]


def forget_runs(session: Session, *, older_than_days: int) -> int:
    """Delete closed runs (with their tables and rejects) older than that, but never a table's last good load.

    :returns: how many runs were deleted.
    """
    rows = session.execute(
        sql.SQL(
            "DELETE FROM etl.run WHERE status <> 'running' AND finished_at < clock_timestamp() - {} * interval '1 day' "
            "AND run_id NOT IN (SELECT DISTINCT ON (table_name) run_id FROM etl.table_run "
            "WHERE status = 'loaded' ORDER BY table_name, finished_at DESC) RETURNING run_id"
        ).format(sql.Literal(older_than_days))
    )
    return len(rows)
