"""Reads and writes the ledger's rows. Every function runs in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from sluiceway.ledger.rows import CLI as CLI
from sluiceway.ledger.rows import Outcome as Outcome
from sluiceway.ledger.rows import Row as Row
from sluiceway.ledger.rows import Run as Run
from sluiceway.ledger.rows import RunKey as RunKey
from sluiceway.ledger.rows import RunStatus as RunStatus
from sluiceway.ledger.rows import TableRun as TableRun
from sluiceway.ledger.rows import TableStatus as TableStatus
from sluiceway.ledger.warehouse import Session

PLANNED_TRY = 0
"""Of the row that plan writes before any try."""


def _columns(model: type[Row]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in model.model_fields)


def literal(value: Any) -> sql.Composable:
    if isinstance(value, dict | list):
        return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(value)))
    if isinstance(value, datetime):
        return sql.SQL("{}::timestamptz").format(sql.Literal(value.isoformat()))
    return sql.Literal(value)


def open_run(
    session: Session,
    key: RunKey,
    commit_sha: str | None,
    trigger_kind: str,
    enqueued_at: datetime | None = None,
    *,
    pending: Sequence[str] | None = None,
) -> None:
    """Open the run's row, or reopen it when a part of the run is repeated. Keeps what it did before.

    :param pending: the tasks that had still to begin.
    """
    session.execute(
        sql.SQL(
            "INSERT INTO etl.run (dag_id, run_id, commit_sha, trigger_kind, enqueued_at, pending) "
            "VALUES ({}, {}, {}, {}, {}, {}) "
            "ON CONFLICT (dag_id, run_id) DO UPDATE SET status = 'running', finished_at = NULL, note = NULL, "
            "judged = NULL, judged_rows = NULL, remark = NULL, commit_sha = excluded.commit_sha, "
            "pending = excluded.pending, opened_at = clock_timestamp()"
        ).format(
            *map(sql.Literal, (*key, commit_sha, trigger_kind)),
            literal(enqueued_at),
            literal(None if pending is None else list(pending)),
        )
    )


def record_deployed_sha(session: Session, key: RunKey, deployed_sha: str | None) -> None:
    """Note which commit staging served when the run was let through, which is then not superseded."""
    session.execute(
        sql.SQL("UPDATE etl.run SET deployed_sha = {}, outcome = NULL, outcome_note = NULL WHERE {}").format(
            sql.Literal(deployed_sha), _is(key)
        )
    )


def record_outcome(
    session: Session, key: RunKey, outcome: Outcome, note: str, *, deployed_sha: str | None = None
) -> None:
    """Note that the run has nothing to load, and why."""
    session.execute(
        sql.SQL("UPDATE etl.run SET outcome = {}, outcome_note = {}, deployed_sha = {} WHERE {}").format(
            *map(sql.Literal, (outcome, note, deployed_sha)), _is(key)
        )
    )


def close_run(
    session: Session,
    key: RunKey,
    status: RunStatus,
    note: str | None,
    judged: Mapping[str, str | None] | None = None,
    judged_rows: str | None = None,
) -> None:
    """Close the run's row with its verdict.

    :param judged: the tasks' states that the verdict saw.
    :param judged_rows: what the rows came to that it saw.
    """
    session.execute(
        sql.SQL(
            "UPDATE etl.run SET status = {}, note = {}, judged = {}, judged_rows = {}, remark = NULL, "
            "finished_at = clock_timestamp() WHERE {}"
        ).format(
            *map(sql.Literal, (status, note)),
            literal(dict(judged) if judged is not None else None),
            sql.Literal(judged_rows),
            _is(key),
        )
    )


def rewrite(
    session: Session,
    key: RunKey,
    status: RunStatus,
    note: str | None,
    judged: Mapping[str, str | None] | None,
    judged_rows: str | None,
    remark: str | None,
) -> None:
    """Say of a run what is true after its verdict was spoken, or instead of it; when it ended stays as it was."""
    session.execute(
        sql.SQL(
            "UPDATE etl.run SET status = {0}, note = {1}, judged = {2}, judged_rows = {3}, remark = {4}, finished_at = "
            "CASE WHEN {0} = 'running' THEN NULL ELSE coalesce(finished_at, clock_timestamp()) END WHERE {5}"
        ).format(
            *map(sql.Literal, (status, note)),
            literal(dict(judged) if judged is not None else None),
            *map(sql.Literal, (judged_rows, remark)),
            _is(key),
        )
    )


def plan_tables(session: Session, key: RunKey, names: Iterable[str]) -> None:
    """Write a `planned` row per table, so that a table that never reports is seen, and no other has such a row.

    A repeat keeps what tries did.
    """
    names = list(names)
    session.execute(
        sql.SQL("DELETE FROM etl.table_run WHERE {} AND try_number = {} AND table_name <> ALL ({})").format(
            _is(key), sql.Literal(PLANNED_TRY), sql.Literal(names)
        )
    )
    for name in names:
        session.execute(
            sql.SQL(
                "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status) "
                "VALUES ({}, {}, {}, {}, 'planned') ON CONFLICT DO NOTHING"
            ).format(*map(sql.Literal, (*key, name, PLANNED_TRY)))
        )


def next_try(session: Session, key: RunKey, table: str, *, at_least: int = 1) -> int:
    """The number of the run's next try at a table.

    :param at_least: the try that Airflow counts: of a task's map index, which loads another table after a second plan.
    """
    return int(
        session.execute(
            sql.SQL(
                "SELECT greatest({}, coalesce(max(try_number), 0) + 1) FROM etl.table_run WHERE {} AND table_name = {}"
            ).format(sql.Literal(at_least), _is(key), sql.Literal(table))
        )[0][0]
    )


def begin_table(session: Session, key: RunKey, table: str, try_number: int) -> None:
    """Write the row of a try, to which its rejects belong. What the same try wrote before is dropped."""
    _execute_all(
        session,
        "DELETE FROM etl.reject WHERE (dag_id, run_id, table_name, try_number) = ({}, {}, {}, {})",
        "INSERT INTO etl.table_run (dag_id, run_id, table_name, try_number, status) "
        "VALUES ({}, {}, {}, {}, 'planned') ON CONFLICT DO NOTHING",
        values=(*key, table, try_number),
    )


def write_table_run(session: Session, result: TableRun) -> None:
    """Write what a try did to its table."""
    values = result.model_dump()  # finished_at is set by the server, whose clock orders loads
    identity = ("dag_id", "run_id", "table_name", "try_number")
    session.execute(
        sql.SQL("INSERT INTO etl.table_run ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
            _columns(TableRun),
            sql.SQL(", ").join(
                sql.SQL("clock_timestamp()") if name == "finished_at" else literal(value)
                for name, value in values.items()
            ),
            sql.SQL(", ").join(map(sql.Identifier, identity)),
            sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values if name not in identity
            ),
        )
    )


def table_tries(session: Session, key: RunKey) -> list[TableRun]:
    """Every try of the run at each of its tables, by name, the oldest first; the row of the plan before them."""
    return table_runs_where(session, sql.SQL("WHERE {} ORDER BY table_name, try_number").format(_is(key)))


def table_runs(session: Session, key: RunKey) -> list[TableRun]:
    """What the run did to each of its tables, by name.

    One that its newest plan no longer names is the run's only if it is in the warehouse by it.
    """
    tries: dict[str, list[TableRun]] = {}
    for each in table_tries(session, key):
        tries.setdefault(each.table_name, []).append(each)
    # no table has such a row where code of the first ledgers had planned the run
    planned = {name for name, those in tries.items() if those[0].try_number == PLANNED_TRY}
    standing = {name: _standing(those) for name, those in tries.items()}
    return [
        each
        for name, each in standing.items()
        if name in planned or not planned or each.status in {"loaded", "unchanged"}
    ]


def _standing(tries: Sequence[TableRun]) -> TableRun:
    """The newest try, unless it found unchanged what an earlier one of the same run had loaded.

    A row that is still `planned` is a try whose process died, or goes on: the one before it stands.
    """
    told = [each for each in tries if each.status != "planned"]
    if not told:
        return tries[-1]
    loaded = [each for each in told if each.status == "loaded"]
    return loaded[-1] if loaded and told[-1].status == "unchanged" else told[-1]


def runs(session: Session, *, limit: int = 20, dag_id: str | None = None, run_id: str | None = None) -> list[Run]:
    """The newest runs first: of one DAG, or of one run id, if they are named."""
    named = [("dag_id", dag_id), ("run_id", run_id)]
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in named
        if value is not None
    ]
    where = sql.SQL("WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
    return runs_where(session, sql.SQL("{} ORDER BY started_at DESC LIMIT {}").format(where, sql.Literal(limit)))


def run(session: Session, key: RunKey, *, locked: bool = False) -> Run | None:
    """The run's row.

    :param locked: nobody else writes it before the end of the transaction.
    """
    if locked:
        # a load holds the row's key until it is committed: FOR UPDATE would wait for it
        session.execute(sql.SQL("SELECT 1 AS locked FROM etl.run WHERE {} FOR NO KEY UPDATE").format(_is(key)))
    found = runs(session, dag_id=key.dag_id, run_id=key.run_id)
    return found[0] if found else None


def is_of(result: TableRun) -> sql.Composed:
    """The condition on rows of a try at a table."""
    return sql.SQL("(dag_id, run_id, table_name, try_number) = ({}, {}, {}, {})").format(
        *map(sql.Literal, (result.dag_id, result.run_id, result.table_name, result.try_number))
    )


def runs_where(session: Session, where: sql.Composable) -> list[Run]:
    """The runs that a condition leaves, in its order."""
    rows = session.execute(sql.SQL("SELECT {} FROM etl.run {}").format(_columns(Run), where))
    found = [dict(zip(Run.model_fields, row, strict=True)) for row in rows]
    return [
        Run.model_validate({**row, **{name: parsed_json(row[name]) for name in ("judged", "pending")}}) for row in found
    ]


def table_runs_where(session: Session, where: sql.Composable) -> list[TableRun]:
    rows = session.execute(sql.SQL("SELECT {} FROM etl.table_run {}").format(_columns(TableRun), where))
    names = list(TableRun.model_fields)
    return [TableRun.model_validate(_parsed(dict(zip(names, row, strict=True)))) for row in rows]


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "source_columns": parsed_json(row["source_columns"])}


def parsed_json(value: Any) -> Any:
    # the bulk session hands jsonb over as text, psycopg as a dict
    return json.loads(value) if isinstance(value, str) else value


def _is(key: RunKey) -> sql.Composed:
    return sql.SQL("(dag_id, run_id) = ({}, {})").format(*map(sql.Literal, key))


def _execute_all(session: Session, *statements: LiteralString, values: Sequence[object]) -> None:
    for statement in statements:
        session.execute(sql.SQL(statement).format(*map(sql.Literal, values)))
