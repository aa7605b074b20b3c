"""Casts a batch to the declared types, column by column; what cannot be cast is found row by row.

DuckDB's TRY_CAST does the work. It is too kind on its own: it reads '1.5' as 2, '0x10' as 16, '1_000' as
1000 and '2020-01-01 05:00' as a date, so each cast is guarded by what the text must look like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.amounts import counted
from sluiceway.errors import SchemaDriftError
from sluiceway.load.tidy import tidied
from sluiceway.sources.extraction import family
from sluiceway.tables.column import Column, SqlType
from sluiceway.tables.source_spec import TextValues
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Reasons = dict[int, list[tuple[str, str]]]
"""Index of a row that cannot be loaded -> (column, reason) pairs."""

_WIRE_TYPES = {
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "numeric": "VARCHAR",
    "uuid": "VARCHAR",
    "jsonb": "VARCHAR",
}
"""DuckDB's type for what travels to PostgreSQL; text is cast to numeric, uuid and jsonb over there, without loss."""

_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_TIMES = frozenset({"date", "timestamp", "timestamptz"})
_TEXTS = frozenset({"text", "varchar"})
_CASTABLE = {
    "text": frozenset(_WIRE_TYPES),
    "number": _NUMBERS | _TEXTS | {"boolean"},
    "boolean": _TEXTS | {"boolean", "smallint", "integer", "bigint"},
    "time": _TIMES | _TEXTS,
    "binary": frozenset(),
    "other": _TEXTS | {"jsonb"},
}

# no more than 3 digits of exponent: PostgreSQL's numeric ends at 1e131072
_DECIMAL = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
_NO_NUMBER = r"(?i)[+-]?(inf|infinity|nan)"
_INTEGER = r"[+-]?\d+(\.0*)?"
_DATE = r"\d{4}-\d{1,2}-\d{1,2}([T ]00:00(:00(\.0+)?)?)?"
_TIMESTAMP = r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?"


def quoted(name: str) -> str:
    """A column's name in DuckDB's SQL."""
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain_number(text: str, marks: TextValues) -> str:
    """A number as SQL spells it."""
    if marks.thousands is not None:
        text = f"replace({text}, {_literal(marks.thousands)}, '')"
    if marks.decimal != ".":
        # with a decimal comma 1.5 is no number: its point becomes a letter
        text = f"translate({text}, {_literal('.' + marks.decimal)}, 'x.')"
    return text


def _from_text(value: str, sql_type: SqlType, column: Column, marks: TextValues) -> str:
    base, wire = sql_type.base, _WIRE_TYPES[sql_type.base]
    if base in _TEXTS:
        fits = f" AND length({value}) <= {sql_type.args[0]}" if sql_type.args else ""
        # PostgreSQL's text cannot hold the character 0
        return f"CASE WHEN NOT contains({value}, chr(0)){fits} THEN {value} END"
    text = f"trim({value})"
    if column.format is not None and base in _TIMES:
        return _with_format(text, column.format, base)
    if base in _NUMBERS:
        text = _plain_number(text, marks)
    if base == "boolean":
        return f"TRY_CAST({text} AS BOOLEAN)"
    if base == "uuid":
        return f"CAST(TRY_CAST({text} AS UUID) AS VARCHAR)"
    if base == "jsonb":
        return f"CASE WHEN json_valid({value}) AND NOT contains({value}, '\\u0000') THEN {value} END"
    if base == "numeric":
        return f"CASE WHEN regexp_full_match({text}, '{_DECIMAL}') THEN {_numeric(text, sql_type)} END"
    if base in {"smallint", "integer", "bigint"}:
        # the plain spelling, nearly every value, is recognised without the slower pattern
        cast = f"TRY_CAST({text} AS {wire})"
        return (
            f"CASE WHEN CAST({cast} AS VARCHAR) = {value} THEN {cast} "
            f"WHEN regexp_full_match({text}, '{_INTEGER}') THEN {cast} END"
        )
    if base in {"real", "double precision"}:
        cast = f"TRY_CAST({text} AS {wire})"
        return (
            f"CASE WHEN regexp_full_match({text}, '{_DECIMAL}') THEN CASE WHEN isfinite({cast}) THEN {cast} END "
            f"WHEN regexp_full_match({text}, '{_NO_NUMBER}') THEN {cast} END"
        )
    pattern = {"date": _DATE, "timestamp": _TIMESTAMP, "timestamptz": _TIMESTAMP}[base]
    return f"CASE WHEN regexp_full_match({text}, '{pattern}') THEN TRY_CAST({text} AS {wire}) END"


def cast_of_text(value: str, column: Column, marks: TextValues) -> str:
    """SQL that casts `value`, SQL for a text, to the type of `column`; null where it cannot be cast."""
    return _from_text(value, column.sql_type, column, marks)


def _with_format(text: str, pattern: str, base: str) -> str:
    moment = f"try_strptime({text}, '{pattern.replace(chr(39), chr(39) * 2)}')"
    if base == "date":
        return f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN CAST({moment} AS DATE) END"
    return f"TRY_CAST({moment} AS {_WIRE_TYPES[base]})"


def _numeric(text: str, sql_type: SqlType) -> str:
    """Text that PostgreSQL will take as numeric(p,s): checked here without a double, rounded there."""
    if not sql_type.args:
        return text
    return f"CASE WHEN {decimal_of(text, sql_type)} IS NOT NULL THEN {text} END"


def decimal_of(text: str, sql_type: SqlType) -> str:
    """SQL that makes of `text`, SQL for a number as a text, the numeric(p,s) that PostgreSQL would; null: too large."""
    precision, scale = sql_type.args[0], sql_type.args[1] if len(sql_type.args) > 1 else 0
    # TRY_CAST rounds 9.995 as PostgreSQL does, but cuts the digits of 9.9995e1
    plain = f"CASE WHEN regexp_matches({text}, '[eE]') THEN {_without_exponent(text)} ELSE {text} END"
    return f"TRY_CAST({plain} AS DECIMAL({precision},{scale}))"


def _without_exponent(text: str) -> str:
    """`text`, SQL for a number such as -1.25e2, spelled as -125."""
    sign = f"regexp_extract({text}, '^-')"
    mantissa = f"regexp_extract({text}, '^[+-]?([0-9.]*)', 1)"
    digits = f"replace({mantissa}, '.', '')"
    whole = f"length(split_part({mantissa}, '.', 1)) + CAST(regexp_extract({text}, '[eE](.*)$', 1) AS INTEGER)"
    padded = f"repeat('0', greatest(0, -({whole}))) || {digits} || repeat('0', greatest(0, {whole} - length({digits})))"
    return f"{sign} || left({padded}, greatest(0, {whole})) || '.' || substr({padded}, greatest(0, {whole}) + 1)"


def _expression(column: Column, source_family: str, arrow_type: pa.DataType, name: str, marks: TextValues) -> str:
    value, sql_type = quoted(name), column.sql_type
    base, wire = sql_type.base, _WIRE_TYPES[sql_type.base]
    if source_family == "text":
        return _from_text(value, sql_type, column, marks)
    if base in _TEXTS or base == "jsonb" or source_family == "other":
        as_text = f"CAST(to_json({value}) AS VARCHAR)" if source_family == "other" else f"CAST({value} AS VARCHAR)"
        return as_text if not sql_type.args else f"CASE WHEN length({as_text}) <= {sql_type.args[0]} THEN {as_text} END"
    if base == "numeric":
        return _numeric(f"CAST({value} AS VARCHAR)", sql_type)
    if base == "boolean" and source_family == "number":
        return f"CASE WHEN {value} IN (0, 1) THEN CAST({value} AS BOOLEAN) END"
    if wire in {"SMALLINT", "INTEGER", "BIGINT"} and pa.types.is_floating(arrow_type):
        return f"CASE WHEN {value} = trunc({value}) THEN TRY_CAST({value} AS {wire}) END"
    if base == "date" and pa.types.is_timestamp(arrow_type):
        return f"CASE WHEN {value} = date_trunc('day', {value}) THEN CAST({value} AS DATE) END"
    return f"TRY_CAST({value} AS {wire})"


_ARROW_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
}


def _plain(values: pa.Array, source_family: str, column: Column, marks: TextValues) -> pa.Array | None:
    """The values in the type that travels, when all of them are spelled so plainly that Arrow alone can tell.

    None when one may not be: DuckDB then looks at each. A query of DuckDB costs 5 ms a batch, ten times as much.
    """
    base = column.sql_type.base
    if base in _TEXTS:
        unlimited = source_family == "text" and not column.sql_type.args
        return values.cast(pa.string()) if unlimited and not _holds_zero(values) else None
    wire = _ARROW_TYPES.get(base)
    if wire is None or values.type == wire:
        return values if wire is not None else None
    whole = pa.types.is_integer(wire)
    if source_family == "text":
        # Arrow also reads 0x10, and exponents without end
        odd = "x" if whole else "e"
        if base == "boolean" or marks.thousands or marks.decimal != "." or _any_contains(values, odd):
            return None
    elif not (whole and pa.types.is_integer(values.type)):
        return None
    try:
        cast = values.cast(wire)
    except pa.ArrowInvalid:
        return None
    return cast if whole or pc.all(pc.is_finite(cast), min_count=0).as_py() else None


def _any_contains(values: pa.Array, text: str) -> bool:
    return bool(pc.any(pc.match_substring(values, text, ignore_case=True), min_count=0).as_py())


def _holds_zero(values: pa.Array) -> bool:
    """Whether a text may hold the character 0. Looks at the bytes at once, also at those of a slice's neighbours."""
    data = values.buffers()[2]
    return data is not None and not np.frombuffer(data, dtype=np.uint8).all()


def texts_to_null(batch: pa.RecordBatch, spec: TableSpec) -> pa.RecordBatch:
    """The batch with null for the texts that mean null: source.null, and those of a column.

    Of the former CSV's reader has made nulls already.
    """
    everywhere = () if spec.source.kind == "csv" else spec.source.null
    meaning = {name: (*everywhere, *column.null) for name, column in spec.columns.items()}
    if not any(meaning.values()):
        return batch
    columns = list(batch.columns)
    for position, name in enumerate(batch.schema.names):
        values = columns[position]
        if meaning.get(name) and family(values.type) == "text":
            nothing = pc.is_in(values, value_set=_meaning_null(meaning[name], values.type))
            if nothing.true_count:
                columns[position] = pc.if_else(nothing, pa.scalar(None, values.type), values)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


@cache
def _meaning_null(texts: tuple[str, ...], arrow_type: pa.DataType) -> pa.Array:
    return pa.array(texts, arrow_type)


@cache
def _process_duckdb() -> DuckDBPyConnection:
    """The instance whose cursors the casters are: it takes 0.1 s and 40 MB. No extension is fetched."""
    import duckdb

    return duckdb.connect(
        config={"threads": 1, "autoload_known_extensions": False, "autoinstall_known_extensions": False}
    )


@dataclass
class Caster:
    """Casts the batches of one extraction. Not shared between threads."""

    spec: TableSpec
    failures: Counter[str] = field(default_factory=Counter)
    """How many values of a column could not be cast."""
    values: Counter[str] = field(default_factory=Counter)
    """How many values of a column were not null."""

    def __post_init__(self) -> None:
        self._not_null = {
            name for name, column in self.spec.columns.items() if column.required or name in self.spec.key_columns
        }

    @cached_property
    def _duckdb(self) -> DuckDBPyConnection:
        cursor = _process_duckdb().cursor()
        # a timestamp that names no zone is UTC wherever the worker is
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def close(self) -> None:
        """Release the last batch."""
        if "_duckdb" in self.__dict__:
            self._duckdb.close()

    def cast(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Reasons]:
        """All rows of `batch` in wire types, and why some of them cannot be loaded.

        :param batch: columns as open_source yields them; the geometry is not looked at.
        :returns: the spec's columns (a bad value is null there), and the reasons by index of the row.
        :raises SchemaDriftError: a column's type has nothing to do with the declared one.
        """
        plain = self._tidied(batch, tuple(self.spec.columns))
        typed = self._typed(plain)
        return typed, self._reasons(batch, plain, typed)

    def keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The key's columns of `batch` in wire types, of rows of which it is known that they can be cast."""
        return self._typed(self._tidied(batch, self.spec.key_columns))

    def check_types(self) -> None:
        """Raises SchemaDriftError when a column held values and not one of them was of the declared type."""
        check_types(self.spec, self.values, self.failures)

    def _tidied(self, batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        """The columns as they are cast: those that the table's file has tidied are texts."""
        columns = []
        for name in names:
            column, values = self.spec.columns[name], batch.column(name)
            # a map says itself what the source's values stand for
            if column.sql_type.base not in _CASTABLE[family(values.type)] and not column.map:
                raise SchemaDriftError(
                    f"{self.spec.name}: column {str(self.spec.source_names(name)[0])!r} holds {values.type} values "
                    f"and is declared {column.type}. Adapt [columns] or the source."
                )
            if column.is_tidied:
                marks = column.marks(self.spec.source)
                values = tidied(values, column, marks, partial(self._as_texts, decimal=marks.decimal))
            columns.append(values)
        return pa.RecordBatch.from_arrays(columns, names=list(names))

    def _as_texts(self, values: pa.Array, *, decimal: str) -> pa.Array:
        value = quoted("v")
        text = f"CAST(to_json({value}) AS VARCHAR)" if family(values.type) == "other" else f"CAST({value} AS VARCHAR)"
        if pa.types.is_floating(values.type):
            # as a person writes it, with the mark that texts of this column have
            text = f"replace(regexp_replace({text}, '\\.0$', ''), '.', {_literal(decimal)})"
        return self.by_duckdb(pa.RecordBatch.from_arrays([values], names=["v"]), {"v": text})["v"]

    def _typed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns: dict[str, pa.Array] = {}
        expressions: dict[str, str] = {}
        names = batch.schema.names
        for name in names:
            column, values = self.spec.columns[name], batch.column(name)
            source_family = family(values.type)
            marks = column.marks(self.spec.source)
            plain = _plain(values, source_family, column, marks)
            if plain is not None:
                columns[name] = plain
            else:
                expressions[name] = _expression(column, source_family, values.type, name, marks)
        if expressions:
            columns |= self.by_duckdb(batch.select(list(expressions)), expressions)
        return pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)

    def by_duckdb(self, batch: pa.RecordBatch, expressions: dict[str, str]) -> dict[str, pa.Array]:
        """The values of SQL expressions over the columns of `batch`, by the names of `expressions`."""
        self._duckdb.register("batch", batch)
        selected = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in expressions.items())
        table = self._duckdb.sql(f"SELECT {selected} FROM batch").to_arrow_table()  # noqa: S608
        return {name: _one_chunk(column) for name, column in zip(table.schema.names, table.columns, strict=True)}

    def _reasons(self, raw: pa.RecordBatch, plain: pa.RecordBatch, typed: pa.RecordBatch) -> Reasons:
        # looks at single rows only where counts differ
        found: Reasons = {}
        for name, column in self.spec.columns.items():
            before, after = plain.column(name), typed.column(name)
            self.values[name] += len(before) - before.null_count
            if after.null_count > before.null_count:
                bad = np.flatnonzero(_is_null(after) & ~_is_null(before))
                self.failures[name] += len(bad)
                for index in bad:
                    given = raw.column(name)[int(index)].as_py()
                    shown = str(before[int(index)].as_py() if given is None else given)
                    what = f"{shown[:80]!r} is no {column.type}"
                    found.setdefault(int(index), []).append((name, what))
            if name in self._not_null and before.null_count:
                for index in np.flatnonzero(_is_null(before)):
                    found.setdefault(int(index), []).append((name, "is null"))
        return found


def check_types(spec: TableSpec, values: Counter[str], failures: Counter[str]) -> None:
    """Raises SchemaDriftError when a column held values and not one of them was of the declared type.

    :param values: how many values of each column were not null.
    :param failures: how many of them could not be cast.
    """
    problems = [
        f"column {str(spec.source_names(name)[0])!r} is declared {spec.columns[name].type} "
        f"and none of its {counted(count, 'value')} is one"
        for name, count in values.items()
        if count > 0 and failures[name] == count
    ]
    if problems:
        raise SchemaDriftError(f"{spec.name}: {'; '.join(problems)}. Adapt [columns] or the source.")


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_null(values: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.is_null(values).to_numpy(zero_copy_only=False)
    return mask
