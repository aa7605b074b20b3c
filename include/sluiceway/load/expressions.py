"""The SQL that computes columns of an expression: layer upon layer beside the staged rows.

A layer has a column's value `v`, and what is `said` against it. It is made at once, which fails where a row cannot be
computed, or by a function that catches what PostgreSQL says of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from sluiceway.errors import ConfigError, WarehouseError
from sluiceway.ledger.warehouse import Session
from sluiceway.load.stage_table import staged_value
from sluiceway.tables.column import Column
from sluiceway.tables.computed import tokens_of
from sluiceway.tables.expression import Token, columns_of
from sluiceway.tables.spec import TableSpec

REASON, REASON_COLUMN = "etl_reason", "etl_reason_column"
"""Columns of the computed rows, until the rejects among them are taken out."""
CAUGHT = "data_exception OR program_limit_exceeded OR statement_too_complex"
"""What a row may be to blame for: its data, or a limit that its value exceeds."""
_PROBE = sql.Identifier("pg_temp", "etl_probe")
_SHOWN = 80
"""Characters of a value in a reason."""
_WHOLE = frozenset({"smallint", "integer", "bigint"})
_FRACTIONS = frozenset({"numeric", "real", "double precision"})
_TIMES = frozenset({"date", "timestamp", "timestamptz"})
_MOMENTS = frozenset({"timestamp without time zone", "timestamp with time zone"})
_TEXTS = frozenset({"text", "character varying"})
_TODAY = r"^\s*(now|today|tomorrow|yesterday|allballs)\M"

Value = Callable[[str], sql.Composable]
"""SQL for the value of a column that an expression reads."""


@dataclass(frozen=True)
class Computed:
    """One of the columns."""

    name: str
    column: Column
    place: int
    tokens: Sequence[Token]
    made: str = ""
    """The type of the expression's value, which is cast to the declared one."""

    @property
    def layer(self) -> sql.Identifier:
        """Its value `v` in a statement, and what was `said` against it."""
        return sql.Identifier(f"c{self.place}")

    @property
    def function(self) -> sql.Identifier:
        """Computes it of one row, and catches what goes wrong."""
        return sql.Identifier("pg_temp", f"etl_compute_{self.place}")

    def spelled(self, value: Value) -> sql.Composed:
        """The expression, with blanks between all of its tokens: no two of them become another one."""
        return sql.SQL(" ").join(_spelled(token, value) for token in self.tokens)

    def cast(self, value: sql.Composable) -> sql.Composed:
        """A value of the expression in the declared type."""
        return sql.SQL("CAST({} AS {})").format(value, sql.SQL(self.column.type))

    def objection(self, value: sql.Composable) -> sql.Composable:
        """What the cast alone would not say of a value of the expression: null, or a reason."""
        found = self._unfit(value)
        if found is None:
            return sql.SQL("NULL::text")
        return sql.SQL("CASE WHEN {} THEN {} || left({}::text, {}) || {} END").format(
            *(found, sql.Literal("'"), value, sql.Literal(_SHOWN), sql.Literal(f"' is no {self.column.type}"))
        )

    def _unfit(self, value: sql.Composable) -> sql.Composed | None:
        """A value of the expression that the cast would round, cut, or read as another one tomorrow."""
        base, args = self.column.sql_type.base, self.column.sql_type.args
        if base in _WHOLE and self.made in _FRACTIONS:
            return sql.SQL("{0} <> trunc({0})").format(value)
        if base == "date" and self.made in _MOMENTS:
            return sql.SQL("{}::time <> '00:00'").format(value)
        if base == "varchar" and args:
            return sql.SQL("char_length({}::text) > {}").format(value, sql.Literal(args[0]))
        if base in _TIMES and self.made in _TEXTS:
            return sql.SQL("{} ~* {}").format(value, sql.Literal(_TODAY))
        return None


Layer = Callable[[Computed, Value], sql.Composable]
"""SQL that gives a column's `v` and what is `said` against it, of one row."""


def _spelled(token: Token, value: Value) -> sql.Composable:
    if token.kind == "column":
        return value(token.value)
    if token.kind == "function":
        # a function of that name in another schema is another one
        return sql.Identifier("pg_catalog", token.value)
    return sql.Literal(token.value) if token.kind == "text" else sql.SQL(token.value)


def probed(session: Session, spec: TableSpec, rows: sql.Composable) -> list[Computed]:
    """The columns in order, each with the type that PostgreSQL gives to its expression."""
    known: list[Computed] = []
    for place, name in enumerate(spec.computed):
        column = Computed(name, spec.columns[name], place, tokens_of(spec.columns, name))
        spelled = column.spelled(_values(spec, known))
        select = sql.SQL("SELECT ({}) AS v, {} AS cast FROM {}").format(
            spelled, column.cast(spelled), staged(spec, rows, known, at_once)
        )
        try:
            # without data nothing is planned: what is wrong with a row is not said here
            session.execute(sql.SQL("CREATE TEMPORARY TABLE {} AS {} WITH NO DATA").format(_local(_PROBE), select))
        except (WarehouseError, psycopg.Error) as error:
            said = str(error).splitlines()[0].rpartition("ERROR:")[2].strip()
            raise ConfigError(
                f"{spec.name}: columns.{name}.expression: {column.column.expression!r}, as {column.column.type}: "
                f"PostgreSQL refuses it: {said}"
            ) from error
        made = session.execute(
            sql.SQL(
                "SELECT format_type(atttypid, NULL) AS type FROM pg_attribute "
                "WHERE attrelid = {}::regclass AND attname = 'v'"
            ).format(sql.Literal(_PROBE.as_string(None)))
        )
        session.execute(sql.SQL("DROP TABLE {}").format(_PROBE))
        known.append(Computed(name, column.column, place, column.tokens, str(made[0][0])))
    return known


def _local(name: sql.Identifier) -> sql.Composable:
    """The name of a temporary table without its schema."""
    return sql.SQL(name.as_string(None).rpartition(".")[2])


def _values(spec: TableSpec, known: Iterable[Computed]) -> Value:
    layers = {each.name: each.layer for each in known}
    return lambda name: (
        sql.SQL("{}.v").format(layers[name]) if name in layers else sql.SQL("({})").format(staged_value(spec, name))
    )


def staged(spec: TableSpec, rows: sql.Composable, columns: Sequence[Computed], layer: Layer) -> sql.Composed:
    """Staged rows `s`, and beside each what is computed of it, layer upon layer."""
    layers = (layer(each, _values(spec, columns[: each.place])) for each in columns)
    return sql.SQL(" CROSS JOIN LATERAL ").join([sql.SQL("{} s").format(rows), *layers])


def at_once(column: Computed, value: Value) -> sql.Composable:
    # OFFSET 0: an expression that is read by several is computed once, however they are nested
    raw = sql.SQL("r.v")
    return sql.SQL("(SELECT {} AS v, {} AS said FROM (SELECT CAST({} AS {}) AS v OFFSET 0) r OFFSET 0) {}").format(
        *(column.cast(raw), column.objection(raw), column.spelled(value)),
        *(sql.SQL(column.made), column.layer),
    )


def by_function(column: Computed, value: Value) -> sql.Composable:
    arguments = sql.SQL(", ").join(value(name) for name in columns_of(column.tokens))
    return sql.SQL("{}({}) {}").format(column.function, arguments, column.layer)


def catching(spec: TableSpec, column: Computed) -> sql.Composed:
    """The function that computes a column of one row."""
    names = {name: sql.Identifier(f"p{number}") for number, name in enumerate(columns_of(column.tokens))}
    raw = sql.Identifier("raw")
    body = sql.SQL(
        "DECLARE raw {made}; BEGIN raw := {spelled}; v := {cast}; said := {objection}; "
        "EXCEPTION WHEN {caught} THEN v := NULL; said := SQLERRM; END"
    ).format(
        made=sql.SQL(column.made),
        spelled=column.spelled(lambda name: names[name]),
        cast=column.cast(raw),
        objection=column.objection(raw),
        caught=sql.SQL(CAUGHT),
    )
    parameters = [
        sql.SQL("{} {}").format(parameter, sql.SQL(spec.columns[name].type)) for name, parameter in names.items()
    ]
    return sql.SQL("CREATE FUNCTION {} ({}) LANGUAGE plpgsql AS {}").format(
        column.function,
        sql.SQL(", ").join([*parameters, sql.SQL("OUT v {}, OUT said text").format(sql.SQL(column.column.type))]),
        sql.Literal(body.as_string(None)),
    )


def results(spec: TableSpec, columns: Sequence[Computed]) -> sql.Composed:
    """The values of the columns, then what is said against the row."""
    values = (sql.SQL("{}.v AS {}").format(each.layer, sql.Identifier(each.name)) for each in columns)
    return sql.SQL(", ").join([*values, *_reasons(spec, columns)])


def _reasons(spec: TableSpec, columns: Iterable[Computed]) -> Iterator[sql.Composed]:
    """All that is said against a row, and the column that it is said of first."""
    said: dict[str, sql.Composable] = {}
    for each in columns:
        reason: sql.Composable = sql.SQL("{}.said").format(each.layer)
        if each.column.required or each.name in spec.key_columns:
            null = sql.SQL("CASE WHEN {}.v IS NULL THEN 'is null' END").format(each.layer)
            reason = sql.SQL("coalesce({}, {})").format(reason, null)
        said[each.name] = reason
    reasons = (sql.SQL("{} || {}").format(sql.Literal(f"{name}: "), reason) for name, reason in said.items())
    yield sql.SQL("nullif(concat_ws('; ', {}), '') AS {}").format(sql.SQL(", ").join(reasons), sql.Identifier(REASON))
    cases = (sql.SQL("WHEN {} IS NOT NULL THEN {}").format(reason, sql.Literal(name)) for name, reason in said.items())
    yield sql.SQL("CASE {} END AS {}").format(sql.SQL(" ").join(cases), sql.Identifier(REASON_COLUMN))
