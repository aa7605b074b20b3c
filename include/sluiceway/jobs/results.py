"""The tables of results: made, checked and written in the transaction that acknowledges their items."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from sluiceway.errors import TargetMismatchError, nearest
from sluiceway.jobs.definition import PYTHON, Results, Type
from sluiceway.jobs.errors import WrongAnswerError
from sluiceway.ledger.warehouse import Session

WRITTEN_AT = "written_at"
READERS = ("sluiceway_loader", "sluiceway_reader")


def ensure(session: Session, results: Results) -> None:
    """Make the table, or add the columns that it lacks.

    :raises TargetMismatchError: a column that stands there has another type.
    """
    name = sql.Identifier("etl_jobs", results.table)
    session.execute(sql.SQL("SELECT pg_advisory_xact_lock(hashtext({}))::text").format(sql.Literal(results.table)))
    session.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} ({} text PRIMARY KEY, {} timestamptz NOT NULL DEFAULT clock_timestamp())"
        ).format(name, sql.Identifier(results.key), sql.Identifier(WRITTEN_AT))
    )
    stand = dict(
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

    return json.dumps(value, default=lambda each: each.isoformat())
