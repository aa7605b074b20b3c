"""The tables of results: made, checked and written in the transaction that acknowledges their items."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from sluiceway.errors import TargetMismatchError, nearest
from sluiceway.jobs.definition import PYTHON, WRITTEN_AT, Results, Type
from sluiceway.jobs.errors import WrongAnswerError
from sluiceway.ledger import row_locks
from sluiceway.ledger.warehouse import Session

READERS = ("sluiceway_loader", "sluiceway_reader")


def ensure(session: Session, results: Results) -> bool:
    """Make the table, or add the columns that it lacks; returns whether it was not there.

    :raises TargetMismatchError: a column that stands there has another type.
    """
    name = sql.Identifier("etl_jobs", results.table)
    before = sql.SQL("hashtext({})").format(sql.Literal(results.table))
    row_locks.take(session, f"results/{results.table}", schema="etl_jobs", before=[before])
    there = session.execute(sql.SQL("SELECT to_regclass({})").format(sql.Literal(name.as_string(None))))
    is_new = there[0][0] is None
    session.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} ({} text PRIMARY KEY, {} timestamptz NOT NULL DEFAULT clock_timestamp())"
        ).format(name, sql.Identifier(results.key), sql.Identifier(WRITTEN_AT))
    )
    stand: dict[str, str] = dict(
        session.execute(
            sql.SQL(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped"
            ).format(sql.Literal(name.as_string(None)))
        )
    )
    for column, kind in results.columns.items():
        if column not in stand:
            session.execute(sql.SQL("ALTER TABLE {} ADD {} {}").format(name, sql.Identifier(column), sql.SQL(kind)))
        elif stand[column] != _shown(kind):
            raise TargetMismatchError(
                f"etl_jobs.{results.table}.{column} is {stand[column]} in the warehouse and {kind} in the job's file; "
                f"ALTER the table, or write {stand[column]}."
            )
    if results.comment:
        session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(results.comment)))
    for role in session.execute(
        sql.SQL("SELECT rolname FROM pg_roles WHERE rolname IN ({})").format(
            sql.SQL(", ").join(map(sql.Literal, READERS))
        )
    ):
        session.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(name, sql.Identifier(role[0])))
    return is_new


def _shown(kind: Type) -> str:
    return "timestamp with time zone" if kind == "timestamptz" else kind


def check(results: Results, item: str, values: Mapping[str, Any]) -> None:
    """Raises WrongAnswerError that names the column which is unknown, or whose value has another type."""
    for column, value in values.items():
        if column not in results.columns:
            raise WrongAnswerError(
                f"{item}: the result has a column {column!r} that the job does not declare"
                f"{nearest(column, results.columns)}"
            )
        kind = results.columns[column]
        is_wrong_number = isinstance(value, bool) and kind in {"integer", "bigint", "double precision"}
        if value is not None and (is_wrong_number or not isinstance(value, PYTHON[kind])):
            raise WrongAnswerError(f"{item}: {column} is {type(value).__name__} {str(value)[:60]!r} and must be {kind}")
        if problem := _unfit(value, kind):
            raise WrongAnswerError(f"{item}: {column} is {str(value)[:60]!r}, and {problem}")


_RANGES: Mapping[Type, int] = {"integer": 2**31, "bigint": 2**63}


def _unfit(value: Any, kind: Type) -> str | None:
    """What keeps the warehouse from taking a value of the right type; None: nothing."""
    if kind in _RANGES and value is not None and not -_RANGES[kind] <= value < _RANGES[kind]:
        return f"{kind} ends at {_RANGES[kind] - 1:,}"
    if kind == "double precision" and value is not None and not math.isfinite(value):
        return "that is no number"
    if kind not in {"text", "jsonb"}:
        return None
    try:
        text = _dumps(value)
        text.encode()
    except (TypeError, ValueError, AttributeError):
        # UnicodeEncodeError, of half a character, is a ValueError
        return f"{kind} takes no such value"
    return "no text in PostgreSQL has the character NUL" if "\\u0000" in text else None


def read(session: Session, results: Results, item: str) -> dict[str, Any]:
    """What stands there of an item, by column; nothing where there is none."""
    columns = list(results.columns)
    rows = session.execute(
        sql.SQL("SELECT {} FROM {} WHERE {} = {}").format(
            _list(columns),
            sql.Identifier("etl_jobs", results.table),
            sql.Identifier(results.key),
            sql.Literal(item),
        )
    )
    return dict(zip(columns, rows[0], strict=True)) if rows else {}


def write(session: Session, results: Results, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the results of items, in place of what stood there of them."""
    if not rows:
        return
    columns = list(results.columns)
    told = [{results.key: item, **{name: values.get(name) for name in columns}} for item, values in rows.items()]
    shape = [sql.SQL("{} text").format(sql.Identifier(results.key))]
    shape += [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in results.columns.items()]
    names = [results.key, *columns]
    session.execute(
        sql.SQL(
            "INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_to_recordset({told}) AS t ({shape}) "
            "ON CONFLICT ({key}) DO UPDATE SET {changes}, {at} = clock_timestamp()"
        ).format(
            table=sql.Identifier("etl_jobs", results.table),
            names=_list(names),
            told=sql.Literal(Jsonb(told, dumps=_dumps)),
            shape=sql.SQL(", ").join(shape),
            key=sql.Identifier(results.key),
            changes=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns),
            at=sql.Identifier(WRITTEN_AT),
        )
    )


def _list(names: Collection[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _dumps(value: Any) -> str:
    import json

    return json.dumps(value, default=lambda each: each.isoformat(), allow_nan=False, ensure_ascii=False)
