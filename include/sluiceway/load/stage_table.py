"""The table that a load's rows reach first: made and dropped within the load's own transaction, nobody else sees it.

An unlogged table and no temporary one: PostgreSQL compares it with the warehouse table on two cores, a temporary one
on one. Like a temporary one it costs no write-ahead log, and it is gone when the transaction ends in any way.
"""

from __future__ import annotations

import hashlib
from typing import LiteralString, NamedTuple

from psycopg import sql

from sluiceway.ledger.warehouse import Session
from sluiceway.tables.spec import CONTENT_KEY_COLUMN, MAX_IDENTIFIER_BYTES, TableSpec

SCHEMA = "public"
PARTS_SCHEMA = "etl_staging"
"""Of the tables in which the rows of a part wait for the other parts; the ledger's migrations make it."""
ROW_NUMBER = "etl_row_number"
"""Its column with the row's number among the source's data rows, from 1."""
REMEMBERED = "etl_remembered"
"""Its column that says that the row is of a batch which the last load has loaded: only its key is here then."""
ORDINAL = "etl_ordinal"
"""Its column, where alike rows are kept, that numbers those that have alike ones before them: 2, 3, ..., else null."""
NOT_OF_THE_ROW = sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, (ROW_NUMBER, REMEMBERED, ORDINAL))))
"""SQL for the names of these, which a reject does not show."""
KEY_PREFIX = "key_"
"""Begins the names of columns with a reject's key, key_0, key_1, ..., as texts that PostgreSQL casts."""

_TRAVELS_AS = {"varchar": "text", "numeric": "text", "uuid": "text", "jsonb": "text"}
"""What load/cast.py hands over; the rest travels as it is."""

_FORCE: dict[str, LiteralString] = {"XYZ": "ST_Force3DZ({})", "XYM": "ST_Force3DM({})", "XYZM": "ST_Force4D({})"}
"""Heights and measures as declared: what a shape lacks is 0."""


class StageName(NamedTuple):
    """The name of a table of staged rows, or rejects, of a part."""

    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        """Quoted."""
        return sql.Identifier(*self)


class BeginAnewError(Exception):
    """A short cut led nowhere, as the error says: the load begins anew and takes none."""


class NotAsRememberedError(BeginAnewError):
    """What was remembered of the last load is of no use."""

    def __init__(self) -> None:
        super().__init__("not all rows stand as the last load left them; all are compared")


def stage_name(spec: TableSpec) -> str:
    """Its name; loads of one table exclude each other, loads of others have another one."""
    return short_name(f"etl_stage_{spec.name}")


def short_name(name: str) -> str:
    """`name`, with a digest for its end where PostgreSQL would cut it."""
    if len(name) <= MAX_IDENTIFIER_BYTES:
        return name
    return f"{name[: MAX_IDENTIFIER_BYTES - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def stage_table(spec: TableSpec) -> sql.Identifier:
    """Its name with its schema, quoted."""
    return sql.Identifier(SCHEMA, stage_name(spec))


def create_stage(session: Session, spec: TableSpec, table: sql.Identifier | None = None) -> None:
    """Make it: the columns above, every column that the source gives as it travels, the geometry as WKB.

    :param table: another one than that of the whole load.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_)) for name, type_ in staged_types(spec).items()
    )
    session.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(table or stage_table(spec), columns))


def staged_types(spec: TableSpec) -> dict[str, str]:
    """Its columns and their types, as the source fills them."""
    types = {ROW_NUMBER: "bigint", REMEMBERED: "boolean"} | ({ORDINAL: "bigint"} if spec.duplicates == "keep" else {})
    types |= {
        name: _TRAVELS_AS.get(column.sql_type.base, column.sql_type.base)
        for name, column in spec.given().columns.items()
    }
    if spec.geometry is not None:
        types[spec.geometry.column] = "bytea"
    return types


def drop_stage(session: Session, spec: TableSpec) -> None:
    """Drop it, and the tables of parts that were hung into it."""
    session.execute(sql.SQL("DROP TABLE {} CASCADE").format(stage_table(spec)))


def idents(names: list[str] | tuple[str, ...], prefix: str | None = None) -> sql.Composed:
    """Names, quoted, with a comma between them."""
    return sql.SQL(", ").join(sql.Identifier(*filter(None, (prefix, name))) for name in names)


def staged_value(spec: TableSpec, column: str) -> sql.Composable:
    """The value of a warehouse column, from the staging row `s`."""
    if column == CONTENT_KEY_COLUMN:
        content = staged_content(spec)
        if spec.duplicates == "keep":
            # no text of a row ends so: the first of alike rows has the key that it has alone
            content = sql.SQL("{} || coalesce('#' || {}, '')").format(content, sql.Identifier("s", ORDINAL))
        return sql.SQL("md5({})::uuid").format(content)
    if spec.geometry is not None and column == spec.geometry.column:
        shape = sql.SQL("ST_GeomFromWKB({}, {})").format(sql.Identifier("s", column), sql.Literal(spec.geometry.srid))
        if spec.geometry.dimensions != "XY":
            shape = sql.SQL(_FORCE[spec.geometry.dimensions]).format(shape)
        return sql.SQL("ST_Multi({})").format(shape) if spec.geometry.type.startswith("Multi") else shape
    return cast_value(spec, column, sql.Identifier("s", column))


def staged_content(spec: TableSpec) -> sql.Composed:
    """All that the source gives of the staging row `s` as one text; what is computed follows from it."""
    names = list(spec.given().columns) + ([spec.geometry.column] if spec.geometry else [])
    return sql.SQL("ROW({})::text").format(idents(names, "s"))


def cast_value(spec: TableSpec, column: str, value: sql.Composable) -> sql.Composed:
    """A value as the column's type in the warehouse."""
    return sql.SQL("{}::{}").format(value, sql.SQL(spec.columns[column].type))
