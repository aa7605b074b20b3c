"""Rejects that have reached the warehouse, and rows that repeat a key: into the ledger with their keys. SQL only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from psycopg import sql

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.stage_table import (
    KEY_PREFIX,
    NOT_OF_THE_ROW,
    ORDINAL,
    REMEMBERED,
    ROW_NUMBER,
    NotAsRememberedError,
    cast_value,
    stage_table,
    staged_content,
    staged_value,
)
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.session import BulkSession

REJECTED = "etl_stage_reject"
"""The temporary table of what could not be cast, or computed, with its keys."""
FOUND = "etl_stage_reject_found"
"""That of what PostgreSQL itself has found, until it is together with the others."""
BEGINS = "etl_stage_begin"
"""The temporary table of where the rows of each of several files begin."""
_PLAIN_JSON = frozenset({"smallint", "integer", "bigint", "boolean"})


class Rejects(Protocol):
    """What could not be cast: a RejectSpool, or those of all parts."""

    def hand_over(self, session: BulkSession, table: str) -> None:
        """Bring all of them into a new temporary table."""


def write_rejects(session: BulkSession, spec: TableSpec, run: RunKey, try_number: int, spool: Rejects) -> None:
    """Hand the rejects over to the ledger; they stand in the temporary table REJECTED too until the end."""
    spool.hand_over(session, REJECTED)
    _into_ledger(session, spec, run, try_number, REJECTED)


@dataclass(frozen=True)
class RejectCounts:
    """Counts of rows."""

    count: int = 0
    without_key: int = 0
    """Of how many the key cannot be read."""


def add_rejects(session: Session, spec: TableSpec, run: RunKey, try_number: int, rejects: sql.Composed) -> None:
    """The same with what PostgreSQL itself has found.

    :param rejects: SELECTs them as a RejectSpool hands them over.
    """
    session.execute(sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS {}").format(sql.Identifier(FOUND), rejects))
    _into_ledger(session, spec, run, try_number, FOUND)
    there = session.execute(
        sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(sql.Literal(f"pg_temp.{REJECTED}"))
    )
    together = "INSERT INTO {1} SELECT * FROM {0}" if there[0][0] else "ALTER TABLE {0} RENAME TO {1}"
    session.execute(sql.SQL(together).format(sql.Identifier(FOUND), sql.Identifier(REJECTED)))


def _into_ledger(session: Session, spec: TableSpec, run: RunKey, try_number: int, table: str) -> None:
    session.execute(
        sql.SQL(
            "INSERT INTO etl.reject "
            '(dag_id, run_id, table_name, try_number, row_number, column_name, reason, "row", key) '
            'SELECT {}, {}, {}, {}, row_number, column_name, reason, "row"::jsonb, {} FROM {}'
        ).format(
            *map(sql.Literal, (*run, spec.name, try_number)),
            key_as_json(spec, lambda name: _rejected_key(spec, name, table)),
            sql.Identifier(table),
        )
    )


def is_rejected(spec: TableSpec, alias: str) -> sql.Composed:
    """The condition that a row of the warehouse table has the key of one of them."""
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(rejected_value(spec, column), sql.Identifier(alias, column))
        for column in spec.key_columns
    )
    return sql.SQL("EXISTS (SELECT FROM {} WHERE {})").format(sql.Identifier(REJECTED), same_key)


def rejected_value(spec: TableSpec, column: str) -> sql.Composed:
    """The value of a key's column, from a row of REJECTED."""
    return cast_value(spec, column, _rejected_key(spec, column))


def reject_duplicates(
    session: Session, spec: TableSpec, run: RunKey, try_number: int, rows_from: RowsFrom | None = None
) -> int:
    """Of rows that share a key the last stays; the others become rejects, or are numbered where alike ones are kept.

    :param rows_from: of several files, which of them a row is of: the reject names both.
    :returns: how many rows were rejected.
    :raises NotAsRememberedError: of one of them only the key was staged.
    """
    # of 64 bits each: two keys of one hash only cost a closer look, and this takes a third of the time of grouping keys
    hashes = session.execute(
        sql.SQL("SELECT count(*) - count(DISTINCT hash_record_extended(ROW({}), 0)) AS fewer FROM {} s").format(
            _key(spec), stage_table(spec)
        )
    )
    if not hashes[0][0]:
        return 0
    if spec.duplicates == "keep":
        _number_alike(session, spec)
        return 0
    what = "whole content" if spec.key == "content" else f"key ({', '.join(spec.key_columns)})"
    rows = session.execute(
        sql.SQL(
            """
            WITH ranked AS (
                SELECT s.{number} AS number, max(s.{number}) OVER (PARTITION BY {key}) AS winner FROM {stage} s
            ), lost AS (
                DELETE FROM {stage} s USING ranked
                WHERE s.{number} = ranked.number AND ranked.number < ranked.winner
                RETURNING s.*, ranked.winner AS etl_winner
            ), kept AS (
                INSERT INTO etl.reject
                    (dag_id, run_id, table_name, try_number, row_number, column_name, reason, "row", key)
                SELECT {dag_id}, {run_id}, {table}, {try_number}, {number}, {column},
                       {reason} || etl_winner || {which},
                       to_jsonb(lost.*) - {own} - 'etl_winner', {key_json}
                FROM lost RETURNING id
            )
            SELECT (SELECT count(*) FROM kept) AS rejected, count(*) FILTER (WHERE {remembered}) AS remembered FROM lost
            """
        ).format(
            number=sql.Identifier(ROW_NUMBER),
            own=NOT_OF_THE_ROW,
            remembered=sql.Identifier(REMEMBERED),
            key=_key(spec),
            stage=stage_table(spec),
            dag_id=sql.Literal(run.dag_id),
            run_id=sql.Literal(run.run_id),
            table=sql.Literal(spec.name),
            try_number=sql.Literal(try_number),
            column=sql.Literal(None if spec.key == "content" else spec.key_columns[0]),
            key_json=key_as_json(spec, lambda name: sql.Identifier("lost", name)),
            reason=sql.Literal(f"{what} is repeated by row "),
            which=_which(session, rows_from),
        )
    )
    if rows[0][1]:
        raise NotAsRememberedError
    return int(rows[0][0])


def _which(session: Session, rows_from: RowsFrom | None) -> sql.Composable:
    """SQL for how the reason of a repeated row goes on."""
    if rows_from is None:
        return sql.Literal(", which is loaded")
    winner, lost = (of_file(session, rows_from, number) for number in ("etl_winner", ROW_NUMBER))
    return sql.SQL("{} || ', which is loaded' || {}").format(winner, lost)


def of_file(session: Session, rows_from: RowsFrom | None, *number: str) -> sql.Composable:
    """SQL for what a reason says of a row of several files: which one it is of, in brackets.

    :param number: the column of its number among all rows.
    """
    if rows_from is None:
        return sql.Literal("")
    session.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DROP AS SELECT (begin->>'first')::bigint AS first, "
            "begin->>'name' AS name, ord FROM jsonb_array_elements({}::jsonb) WITH ORDINALITY AS begins(begin, ord)"
        ).format(sql.Identifier(BEGINS), sql.Literal(json.dumps([each._asdict() for each in rows_from.begins])))
    )
    session.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} (first)").format(
            sql.Identifier(f"{BEGINS}_first"), sql.Identifier(BEGINS)
        )
    )
    return sql.SQL("' (' || {} || ')'").format(_said(rows_from, sql.Identifier(*number)))


def _said(rows_from: RowsFrom, number: sql.Identifier) -> sql.Composed:
    """SQL for what RowsFrom.said says; of several things that begin at one number only the last holds rows."""
    row = sql.SQL("|| ', row ' || to_char({} - first + 1, 'FM999,999,999,999')").format(number)
    return sql.SQL("(SELECT name {} FROM {} WHERE first <= {} ORDER BY first DESC, ord DESC LIMIT 1)").format(
        row if rows_from.counts_rows else sql.SQL(""), sql.Identifier(BEGINS), number
    )


def _number_alike(session: Session, spec: TableSpec) -> None:
    """Number rows of the same content, whichever of them comes first: their keys are the same in any order."""
    session.execute(
        sql.SQL(
            "UPDATE {stage} s SET {ordinal} = numbered.n FROM (SELECT s.{number} AS number, "
            "row_number() OVER (PARTITION BY md5({content}) ORDER BY s.{number}) AS n FROM {stage} s) numbered "
            "WHERE s.{number} = numbered.number AND numbered.n > 1"
        ).format(
            stage=stage_table(spec),
            ordinal=sql.Identifier(ORDINAL),
            number=sql.Identifier(ROW_NUMBER),
            content=staged_content(spec),
        )
    )


def key_as_json(spec: TableSpec, value: Callable[[str], sql.Composable]) -> sql.Composable:
    """A reject's key, from SQL for the value of each of its columns; null where one of them is null."""
    if spec.key == "content":
        return sql.SQL("NULL::jsonb")
    parts = []
    for name in spec.key:
        cast = cast_value(spec, name, value(name))
        # a number of many digits as a text: whoever reads JSON may take it for a float
        shown = cast if spec.columns[name].sql_type.base in _PLAIN_JSON else sql.SQL("{}::text").format(cast)
        parts.append(sql.SQL("{}, {}").format(sql.Literal(name), shown))
    there = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(value(name)) for name in spec.key)
    return sql.SQL("CASE WHEN {} THEN jsonb_build_object({}) END").format(there, sql.SQL(", ").join(parts))


def _rejected_key(spec: TableSpec, column: str, table: str = REJECTED) -> sql.Identifier:
    return sql.Identifier(table, f"{KEY_PREFIX}{spec.key_columns.index(column)}")


def _key(spec: TableSpec) -> sql.Composed:
    return sql.SQL(", ").join(staged_value(spec, column) for column in spec.key_columns)
