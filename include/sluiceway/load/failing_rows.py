"""SELECTs of the rows that fail a check of values, staged or in the table: number, value, and what is said besides."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sluiceway.errors import ConfigError, ReferenceMissingError, quoted
from sluiceway.ledger.warehouse import Session
from sluiceway.load.failing import LONGEST
from sluiceway.load.merge import target_of
from sluiceway.load.stage_table import REMEMBERED, ROW_NUMBER, SCHEMA, idents, stage_table, staged_value
from sluiceway.sources.services.row_condition import RowCondition, row_condition
from sluiceway.sources.services.sql_code import NotOneSelectError
from sluiceway.tables.checks import Rule
from sluiceway.tables.spec import DELETED_COLUMN, TableSpec
from sluiceway.tables.typed_values import typed

_TEXTS = frozenset({"text", "varchar"})


def condition_of(spec: TableSpec, rule: Rule) -> RowCondition:
    """What `holds` says.

    :raises ConfigError: it is no condition over the row's columns.
    """
    try:
        return row_condition(rule.value, _names(spec))
    except NotOneSelectError as error:
        raise ConfigError(f"{spec.name}: {rule.key} = {quoted(rule.value)}: {error}") from error


def _names(spec: TableSpec) -> list[str]:
    return [*spec.columns, *([spec.geometry.column] if spec.geometry is not None else [])]


def staged_rows(spec: TableSpec) -> sql.Composed:
    """The staged rows as they will stand, with their numbers; not those of which the key alone is there."""
    values = (sql.SQL("{} AS {}").format(staged_value(spec, name), sql.Identifier(name)) for name in _names(spec))
    return sql.SQL("SELECT s.{}, {} FROM {} s WHERE NOT s.{}").format(
        sql.Identifier(ROW_NUMBER), sql.SQL(", ").join(values), stage_table(spec), sql.Identifier(REMEMBERED)
    )


def rows_of_table(spec: TableSpec) -> sql.Composed:
    """The rows of the warehouse table, in the same columns."""
    names = [name for name in _names(spec) if name not in spec.columns or spec.columns[name].stored]
    return sql.SQL("SELECT NULL::bigint AS {}, {} FROM {}").format(
        sql.Identifier(ROW_NUMBER), idents(names), target_of(spec)
    )


def _is_not_null(columns: Sequence[str], alias: str) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(alias, name)) for name in columns)


def _shown(spec: TableSpec, columns: Sequence[str]) -> sql.Composed:
    """The values as a reason shows them."""
    shown = []
    for name in columns:
        text = sql.SQL("left(v.{}::text, {})").format(sql.Identifier(name), sql.Literal(LONGEST))
        is_text = spec.columns[name].sql_type.base in _TEXTS
        shown.append(sql.SQL("{0} || {1} || {0}").format(sql.Literal("'"), text) if is_text else text)
    return sql.SQL(" || ', ' || ").join(shown)


def any_repeated(rule: Rule, rows: sql.Composable) -> sql.Composed:
    """A row, where two have the same values."""
    return sql.SQL("SELECT 1 AS found FROM ({}) v WHERE {} GROUP BY {} HAVING count(*) > 1 LIMIT 1").format(
        rows, _is_not_null(rule.columns, "v"), idents(rule.columns, "v")
    )


def repeated(spec: TableSpec, rule: Rule) -> sql.Composed:
    """Rows that have values of a later one: that stays, as the last of those does that share a key."""
    return sql.SQL(
        "SELECT v.{number} AS number, {value} AS value, {said} || v.etl_winner || ', which is loaded, has the same' "
        "AS said FROM (SELECT v.{number}, {columns}, max(v.{number}) OVER (PARTITION BY {columns}) AS etl_winner "
        "FROM ({rows}) v WHERE {there}) v WHERE v.{number} < v.etl_winner"
    ).format(
        number=sql.Identifier(ROW_NUMBER),
        value=_shown(spec, rule.columns),
        said=sql.Literal(": row "),
        columns=idents(rule.columns, "v"),
        rows=staged_rows(spec),
        there=_is_not_null(rule.columns, "v"),
    )


def standing(spec: TableSpec, rule: Rule) -> sql.Composed:
    """Rows that have values of another row of the table, one that this load does not bring anew."""
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(staged_value(spec, name), sql.Identifier("t", name)) for name in spec.key_columns
    )
    return sql.SQL(
        "SELECT v.{number} AS number, {value} AS value, {said} AS said FROM ({rows}) v WHERE EXISTS (SELECT FROM "
        "{target} t WHERE {same} AND NOT EXISTS (SELECT FROM {stage} s WHERE {same_key}))"
    ).format(
        number=sql.Identifier(ROW_NUMBER),
        value=_shown(spec, rule.columns),
        said=sql.Literal(": another row of the table has the same"),
        rows=staged_rows(spec),
        target=target_of(spec),
        same=sql.SQL(" AND ").join(sql.SQL("t.{0} = v.{0}").format(sql.Identifier(name)) for name in rule.columns),
        stage=stage_table(spec),
        same_key=same_key,
    )


def failing_alone(session: Session, spec: TableSpec, rule: Rule, rows: sql.Composed) -> sql.Composed:
    """The rows that fail by themselves: number, value, and what is said besides."""
    if rule.kind == "holds":
        condition = condition_of(spec, rule)
        return sql.SQL("SELECT v.{} AS number, {} AS value, {} AS said FROM ({}) v WHERE ({}) IS FALSE").format(
            sql.Identifier(ROW_NUMBER),
            _named_values(spec, condition),
            sql.Literal(""),
            rows,
            # spelled by row_condition from what it has judged
            sql.SQL(condition.sql),
        )
    if rule.kind in {"accepted", "range"}:
        (name,) = rule.columns
        return sql.SQL("SELECT v.{} AS number, {} AS value, {} AS said FROM ({}) v WHERE ({}) IS FALSE").format(
            sql.Identifier(ROW_NUMBER), _shown(spec, (name,)), sql.Literal(""), rows, _passes(spec, rule, name)
        )
    (name,), (table, _, column) = rule.columns, rule.value.partition(".")
    return sql.SQL(
        "SELECT v.{number} AS number, {value} AS value, {said} AS said FROM ({rows}) v WHERE v.{name} IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM {table} r WHERE r.{column} = v.{name}{live})"
    ).format(
        number=sql.Identifier(ROW_NUMBER),
        value=_shown(spec, (name,)),
        said=sql.Literal(""),
        rows=rows,
        name=sql.Identifier(name),
        live=_live(session, spec, rule),
        table=sql.Identifier(SCHEMA, table),
        column=sql.Identifier(column),
    )


def _passes(spec: TableSpec, rule: Rule, name: str) -> sql.Composed:
    """Whether the value of a column that is computed passes, which no batch of the source has."""
    kind, value = spec.columns[name].sql_type, sql.Identifier("v", name)

    def literal(written: object) -> sql.Composed:
        return sql.SQL("{}::{}").format(sql.Literal(str(typed(written, kind))), sql.SQL(str(kind)))

    if rule.kind == "accepted":
        return sql.SQL("{} IN ({})").format(value, sql.SQL(", ").join(map(literal, rule.value)))
    ends = ((" >= ", rule.value.least), (" <= ", rule.value.most))
    bounds = (sql.SQL("{}" + sign + "{}").format(value, literal(end)) for sign, end in ends if end is not None)
    return sql.SQL(" AND ").join(bounds)


def _live(session: Session, spec: TableSpec, rule: Rule) -> sql.Composable:
    """Leaves out the rows of a table referred to that are marked as deleted.

    :raises ReferenceMissingError: the table, or its column, is not there.
    """
    table, _, column = rule.value.partition(".")
    name = sql.Literal(sql.Identifier(SCHEMA, table).as_string(None))
    found = session.execute(
        sql.SQL(
            "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0 "
            "AND NOT attisdropped"
        ).format(name)
    )
    there = {str(row[0]) for row in found}
    if column not in there:
        what = f"column {column!r} in {table}" if there else f"table {table!r}"
        raise ReferenceMissingError(
            f"{spec.name}: {rule.where}.{rule.told}: the warehouse has no {what} yet. Nothing was changed. Load "
            f"{table} first."
        )
    live = sql.SQL(" AND r.{} IS NULL").format(sql.Identifier(DELETED_COLUMN))
    return live if DELETED_COLUMN in there else sql.SQL("")


def _named_values(spec: TableSpec, condition: RowCondition) -> sql.Composable:
    """Those of the columns that a condition names; a geometry is too long to be shown."""
    shown = [
        sql.SQL("{} || coalesce({}, 'null')").format(sql.Literal(f"{name} = "), _shown(spec, (name,)))
        for name in condition.columns
        if name in spec.columns
    ]
    return sql.SQL(" || ', ' || ").join(shown) if shown else sql.Literal(condition.columns[0])


def column_of(spec: TableSpec, rule: Rule) -> str:
    return rule.columns[0] if rule.columns else condition_of(spec, rule).columns[0]
