"""Columns of an expression: PostgreSQL computes them of the staged rows, and a row for which it cannot is a reject.

All rows are computed by one statement. Only where that fails are they computed once more, by functions that catch what
PostgreSQL says of a row: they cost a subtransaction for each row and column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.expressions import (
    CAUGHT,
    REASON,
    REASON_COLUMN,
    Computed,
    Layer,
    at_once,
    by_function,
    catching,
    probed,
    results,
    staged,
)
from sluiceway.load.merge import exists
from sluiceway.load.rejected import RejectCounts, add_rejects, of_file
from sluiceway.load.stage_table import (
    KEY_PREFIX,
    ORDINAL,
    REMEMBERED,
    ROW_NUMBER,
    SCHEMA,
    drop_stage,
    idents,
    short_name,
    stage_name,
    stage_table,
    staged_types,
)
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.tables.spec import TableSpec

_OR_ELSE = f"BEGIN {{}}; EXCEPTION WHEN {CAUGHT} THEN NULL; END"


def compute(
    session: Session, spec: TableSpec, run: RunKey, try_number: int, rows_from: RowsFrom | None = None
) -> RejectCounts:
    """Give the staged rows their computed columns. What cannot be computed goes to the ledger's rejects.

    :param rows_from: of several files, which of them a row is of.
    :returns: the rejects.
    :raises ConfigError: PostgreSQL does not take an expression, or its value has no cast to the declared type.
    """
    if not spec.computed:
        return RejectCounts()
    columns = probed(session, spec, stage_table(spec))
    statement = _filled(spec, columns, at_once).as_string(None)
    session.execute(sql.SQL("DO {}").format(sql.Literal(_OR_ELSE.format(statement))))
    if not exists(session, _made(spec)):
        for column in columns:
            session.execute(catching(spec, column))
        session.execute(_filled(spec, columns, by_function))
    _put_in_place(session, spec)
    return _take_out_rejects(session, spec, run, try_number, rows_from)


def _made(spec: TableSpec) -> sql.Identifier:
    return sql.Identifier(SCHEMA, short_name(f"etl_computed_{spec.name}"))


def _filled(spec: TableSpec, columns: Sequence[Computed], layer: Layer) -> sql.Composed:
    """Makes a table of the staged rows and what is computed of them."""
    return sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT {}, {} FROM {} WHERE NOT {}").format(
        _made(spec),
        idents(list(staged_types(spec)), "s"),
        results(spec, columns),
        staged(spec, stage_table(spec), columns, layer),
        sql.Identifier("s", REMEMBERED),
    )


def _put_in_place(session: Session, spec: TableSpec) -> None:
    """Make the staging table of that one."""
    given, made = list(staged_types(spec)), _made(spec)
    # of a row that the last load has loaded only the key is here
    session.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} s WHERE {}").format(
            made, idents(given), idents(given, "s"), stage_table(spec), sql.Identifier("s", REMEMBERED)
        )
    )
    drop_stage(session, spec)
    session.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(made, sql.Identifier(stage_name(spec))))


def _take_out_rejects(
    session: Session, spec: TableSpec, run: RunKey, try_number: int, rows_from: RowsFrom | None
) -> RejectCounts:
    stage, reason = stage_table(spec), sql.Identifier("s", REASON)
    key = () if spec.key == "content" else spec.key
    unread = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier("s", name)) for name in key)
    found = session.execute(
        sql.SQL("SELECT count(*) AS n, count(*) FILTER (WHERE {}) AS unread FROM {} s WHERE {} IS NOT NULL").format(
            unread if key else sql.SQL("true"), stage, reason
        )
    )
    counts = RejectCounts(*map(int, found[0]))
    if counts.count:
        file = of_file(session, rows_from, "s", ROW_NUMBER)
        add_rejects(session, spec, run, try_number, _rejects(spec, key, file))
        session.execute(sql.SQL("DELETE FROM {} s WHERE {} IS NOT NULL").format(stage, reason))
    session.execute(
        sql.SQL("ALTER TABLE {} DROP COLUMN {}, DROP COLUMN {}").format(
            stage, sql.Identifier(REASON), sql.Identifier(REASON_COLUMN)
        )
    )
    return counts


def _rejects(spec: TableSpec, key: Sequence[str], file: sql.Composable) -> sql.Composed:
    """The rows that cannot be computed, as a RejectSpool hands them over."""
    own = sql.SQL(", ").join(map(sql.Literal, (ROW_NUMBER, REMEMBERED, ORDINAL, REASON, REASON_COLUMN)))
    keys: Mapping[str, sql.Composable] = {
        f"{KEY_PREFIX}{number}": sql.Identifier("s", name) for number, name in enumerate(key)
    }
    return sql.SQL(
        "SELECT s.{} AS row_number, s.{} AS column_name, s.{} || {} AS reason, "
        '(to_jsonb(s.*) - ARRAY[{}])::text AS "row"{} FROM {} s WHERE s.{} IS NOT NULL ORDER BY 1'
    ).format(
        *(sql.Identifier(name) for name in (ROW_NUMBER, REASON_COLUMN, REASON)),
        file,
        own,
        sql.SQL("").join(
            sql.SQL(", {}::text AS {}").format(value, sql.Identifier(name)) for name, value in keys.items()
        ),
        stage_table(spec),
        sql.Identifier(REASON),
    )
