"""A table or a query of any database that has an Airflow connection, through SQLAlchemy and a cursor on the server.

Values arrive in the Arrow type that holds them exactly, else as text: a numeric without declared digits, a UUID, an
interval, JSON with its own spelling, PostgreSQL's infinite dates.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import SAWarning

from sluiceway.errors import ConfigError, SchemaDriftError, SourceUnreadableError, nearest
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction, chosen_columns, geometry_columns
from sluiceway.sources.formats.texts import json_text
from sluiceway.sources.services.sql_code import DIALECTS, NotOneSelectError, check_reads
from sluiceway.sources.services.sql_engine import engine_of
from sluiceway.sources.services.sql_errors import named_errors, no_table
from sluiceway.sources.services.watermark import before
from sluiceway.tables.source_spec import SqlSource
from sluiceway.tables.spec import TableSpec

BATCH_BYTES = 2 << 20
FIRST_ROWS = 16
"""Fetched at first, for a row may be a polygon of 10 MB; later batches have as many as fit BATCH_BYTES."""
MAX_ROWS = 20_000
EXACT = 2**53
"""A larger integer among fractions would be rounded: it travels as text."""
_FAMILIES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    str: "text",
    UUID: "text",
    bytes: "binary",
    bytearray: "binary",
    date: "time",
    datetime: "time",
    time: "time",
    timedelta: "time",
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_HEX_WKB = re.compile(r"0[01][0-9A-Fa-f]{8,}")
_SRID_FLAG = 0x20000000


@contextmanager
def open_sql(
    spec: TableSpec, source: SqlSource, connections: Connections, *, watermark: str | None = None
) -> Iterator[Extraction]:
    """Open the table or the query; nothing is written there, and only one row in memory is ever undecided.

    :param watermark: the highest value of `source.watermark` so far: rows from `source.watermark_lag` before it on are
        read, and those where it is null.
    """
    place = f"{source.connection}: {source.table or 'query'}"
    engine = engine_of(spec.name, connections(source.connection))
    if source.query is not None:
        check_query(spec.name, source.query, engine.dialect.name)
    try:
        with named_errors(spec.name, source, place), engine.connect() as session:
            if engine.dialect.name == "postgresql":
                session = session.execution_options(postgresql_readonly=True)
            session = session.execution_options(stream_results=True)
            opened = _open_table if source.table is not None else _open_query
            reading = opened(spec, source, session, place, watermark)
            extraction = Extraction(columns=reading.columns, batches=iter(()), watermark=watermark)
            extraction.batches = reading.batches(extraction)
            yield extraction
    finally:
        engine.dispose()


def check_query(table: str, query: str, database: str) -> None:
    """Raises ConfigError when a query of `table` is more than one SELECT."""
    try:
        check_reads(query, [DIALECTS.get(database, "")])
    except NotOneSelectError as error:
        raise ConfigError(f"{table}: source.query {error}") from error


def select_of(source: SqlSource) -> sa.Select[Any]:
    """All columns of the table, or of the query."""
    if source.table is None:
        return sa.select(sa.text("*")).select_from(_query_of(source).columns().subquery("q"))
    schema, _, name = source.table.rpartition(".")
    return sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))


def _query_of(source: SqlSource) -> sa.TextClause:
    # a colon begins a parameter of SQLAlchemy unless it is escaped
    return sa.text(str(source.query).strip().rstrip("; \n").replace(":", r"\:"))


@dataclass
class _Reading:
    """A statement that runs, and which of its columns go where."""

    spec: TableSpec
    source: SqlSource
    place: str
    columns: Mapping[str, str]
    result: sa.CursorResult[Any]
    positions: Mapping[str, int]
    """Column of a batch -> position in a row."""
    watermark: int | None
    """Position of the watermark's column."""

    def batches(self, extraction: Extraction) -> Generator[pa.RecordBatch, None, None]:
        """The rows; tells `extraction` the geometry's CRS and the watermark."""
        described = self.result.cursor.description if self.result.cursor is not None else ()
        digits = {name: _digits(described[position]) for name, position in self.positions.items()}
        shape = self.spec.geometry.column if self.spec.geometry is not None and self.spec.geometry.source else None
        highest: Any = None
        srid: int | None = None
        size = FIRST_ROWS
        while rows := self._fetch(size):
            values = list(zip(*rows, strict=True))
            if self.watermark is not None:
                highest = self._higher(highest, values[self.watermark])
                extraction.watermark = extraction.watermark if highest is None else _as_text(highest)
            arrays = []
            for name, position in self.positions.items():
                if name == shape:
                    array, srid = self._shapes(values[position], srid)
                    extraction.crs = f"EPSG:{srid}" if srid else None
                else:
                    array = _array(values[position], digits[name])
                arrays.append(array)
            batch = pa.RecordBatch.from_arrays(arrays, names=list(self.positions))
            row_bytes = max(1, batch.nbytes // batch.num_rows)
            step = max(1, 2 * BATCH_BYTES // row_bytes)
            for start in range(0, batch.num_rows, step):
                yield batch.slice(start, step)
            size = max(1, min(4 * size, BATCH_BYTES // row_bytes, MAX_ROWS))

    def _fetch(self, size: int) -> Sequence[Any]:
        with named_errors(self.spec.name, self.source, self.place):
            return self.result.fetchmany(size)

    def _higher(self, highest: Any, values: Sequence[Any]) -> Any:
        # a NaN is neither above nor below
        given = [value for value in values if value is not None and value == value]
        try:
            return max(given if highest is None else [highest, *given], default=None)
        except TypeError as error:
            kinds = sorted({type(value).__name__ for value in given})
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.place}: the watermark {self.source.watermark!r} holds values of several "
                f"kinds ({', '.join(kinds)}), of which none is the highest; choose another column"
            ) from error

    def _shapes(self, values: Sequence[Any], srid: int | None) -> tuple[pa.Array, int | None]:
        """WKB without the SRID that PostGIS writes into it, and that SRID; WKT and GeoJSON as they are."""
        shapes: list[bytes | str | None] = []
        for value in values:
            shape, found = _without_srid(value)
            if found and srid and found != srid:
                raise SourceUnreadableError(
                    f"{self.spec.name}: {self.place} holds geometries of several CRS (SRID {srid} and {found}); "
                    f"transform them to one in source.query"
                )
            srid = srid or found
            shapes.append(shape)
        if all(shape is None or isinstance(shape, bytes) for shape in shapes):
            return pa.array(shapes, type=pa.binary()), srid
        texts = [shape.hex() if isinstance(shape, bytes) else shape for shape in shapes]
        return pa.array(texts, type=pa.string()), srid


def _open_table(
    spec: TableSpec, source: SqlSource, session: sa.Connection, place: str, watermark: str | None
) -> _Reading:
    schema, _, name = str(source.table).rpartition(".")
    inspector = sa.inspect(session)
    with warnings.catch_warnings():
        # types that SQLAlchemy does not know, such as PostGIS's, are none of its business here
        warnings.simplefilter("ignore", SAWarning)
        if not inspector.has_table(name, schema or None):
            raise no_table(inspector, source, schema or None, name)
        found = inspector.get_columns(name, schema or None)
    columns = {str(column["name"]): family_of_type(column["type"]) for column in found}
    chosen = chosen_columns(spec, columns, place) | geometry_columns(spec, columns, place)
    needed = list(dict.fromkeys((*chosen.values(), *_watermark_column(spec, source, columns, place))))
    statement: sa.Select[*tuple[Any, ...]] = sa.select(*(sa.column(each) for each in needed)).select_from(
        sa.table(name, schema=schema or None)
    )
    if source.watermark is not None and watermark is not None:
        statement = statement.where(_from_on(source, watermark, columns))
    return _Reading(
        spec=spec,
        source=source,
        place=place,
        columns=columns,
        result=session.execute(statement),
        positions={target: needed.index(each) for target, each in chosen.items()},
        watermark=needed.index(source.watermark) if source.watermark is not None else None,
    )


def _open_query(
    spec: TableSpec, source: SqlSource, session: sa.Connection, place: str, watermark: str | None
) -> _Reading:
    if source.watermark is not None and watermark is not None:
        rows = select_of(source)
        probe = session.execute(rows.where(sa.text("1 = 0")))
        columns = _columns_of(session, probe)
        probe.close()
        _watermark_column(spec, source, columns, place)
        above = _from_on(source, watermark, columns)
        result = session.execute(rows.where(above))
    else:
        result = session.execute(_query_of(source))
    names = [str(each[0]) for each in result.cursor.description] if result.cursor is not None else []
    columns = _columns_of(session, result)
    chosen = chosen_columns(spec, columns, place) | geometry_columns(spec, columns, place)
    for name in (*chosen.values(), *_watermark_column(spec, source, columns, place)):
        if names.count(name) > 1:
            raise SchemaDriftError(f"{spec.name}: source.query gives column {name!r} twice; name one of them anew (AS)")
    return _Reading(
        spec=spec,
        source=source,
        place=place,
        columns=columns,
        result=result,
        positions={target: names.index(each) for target, each in chosen.items()},
        watermark=names.index(source.watermark) if source.watermark is not None else None,
    )


def _watermark_column(spec: TableSpec, source: SqlSource, columns: Mapping[str, str], place: str) -> tuple[str, ...]:
    if source.watermark is None:
        return ()
    if source.watermark not in columns:
        raise SchemaDriftError(
            f"{spec.name}: adapt source.watermark or the source; in {place}, column {source.watermark!r} is missing"
            f"{nearest(source.watermark, columns)}"
        )
    return (source.watermark,)


def _from_on(source: SqlSource, watermark: str, columns: Mapping[str, str]) -> sa.ColumnElement[bool]:
    """Rows from a little before the watermark on; where it is null nobody knows whether they changed."""
    name = str(source.watermark)
    kind = columns[name]
    watermark = before(watermark, source.watermark_lag, kind)
    # as a literal, so that the database gives it the column's type; a number in quotes would be a text to SQLite
    plain = _NUMBER.fullmatch(watermark) and kind in {"number", "other"}
    value: sa.ColumnElement[Any] = (
        sa.literal_column(watermark) if plain else sa.literal(watermark, sa.String(), literal_execute=True)
    )
    column: sa.ColumnElement[Any] = sa.column(name)
    return sa.or_(column >= value, column.is_(None))


def _columns_of(session: sa.Connection, result: sa.CursorResult[Any]) -> dict[str, str]:
    described = result.cursor.description if result.cursor is not None else ()
    return {str(each[0]): _family_of_code(session.dialect.dbapi, each[1]) for each in described}


def family_of_type(kind: Any) -> str:
    """The family of a type of SQLAlchemy's; other where it says none."""
    try:
        return _FAMILIES.get(kind.python_type, "other")
    except NotImplementedError:
        return "other"


def _family_of_code(dbapi: Any, code: Any) -> str:
    """The family of what a DB-API cursor says about a column: a Python type, or what equals one of four objects."""
    if isinstance(code, type):
        return _FAMILIES.get(code, "other")
    objects = (("NUMBER", "number"), ("DATETIME", "time"), ("BINARY", "binary"), ("STRING", "text"))
    return next(
        (found for name, found in objects if code is not None and getattr(dbapi, name, None) == code),
        "other",
    )


def _digits(described: Sequence[Any]) -> tuple[int, int] | None:
    """Precision and scale of a column, where the cursor says them and Arrow has such a type."""
    precision, scale = described[4], described[5]
    known = isinstance(precision, int) and isinstance(scale, int) and 0 < precision <= 38 and 0 <= scale <= precision
    return (precision, scale) if known else None


def _array(values: Sequence[Any], digits: tuple[int, int] | None) -> pa.Array:
    """Arrow of one column's values: the type that holds all of them exactly, else text."""
    kinds = {type(value) for value in values if value is not None}
    try:
        arrow_type = _arrow_type(kinds, values, digits)
        if arrow_type is not None:
            return pa.array(values, type=arrow_type)
    except (pa.ArrowInvalid, OverflowError):
        # beyond 64 bits, or a NaN among decimals
        pass
    return pa.array([None if value is None else _as_text(value) for value in values], type=pa.string())


def _arrow_type(kinds: set[type], values: Sequence[Any], digits: tuple[int, int] | None) -> pa.DataType | None:
    if kinds == {Decimal}:
        return pa.decimal128(*digits) if digits is not None else None
    if kinds == {int, float} and all(abs(value) <= EXACT for value in values if isinstance(value, int)):
        return pa.float64()
    if kinds == {datetime}:
        zones = {value.tzinfo is not None for value in values if value is not None}
        return pa.timestamp("us", tz="UTC" if zones == {True} else None) if len(zones) == 1 else None
    if len(kinds) != 1:
        return None
    return {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        bytes: pa.binary(),
        bytearray: pa.binary(),
        memoryview: pa.binary(),
        date: pa.date32(),
    }.get(next(iter(kinds)))


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list | tuple | set):
        return json_text(value)
    if isinstance(value, datetime):
        value = value.astimezone(UTC) if value.tzinfo is not None else value
        return str(value.isoformat(sep=" "))
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)


def _without_srid(value: Any) -> tuple[bytes | str | None, int | None]:
    if isinstance(value, str):
        if not _HEX_WKB.fullmatch(value) or len(value) % 2:
            return value, None
        value = bytes.fromhex(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        return value, None
    wkb = bytes(value)
    order: Literal["little", "big"] = "little" if wkb[:1] == b"\x01" else "big"
    kind = int.from_bytes(wkb[1:5], order)
    if len(wkb) < 9 or not kind & _SRID_FLAG:
        return wkb, None
    return wkb[:1] + (kind & ~_SRID_FLAG).to_bytes(4, order) + wkb[9:], int.from_bytes(wkb[5:9], order)
