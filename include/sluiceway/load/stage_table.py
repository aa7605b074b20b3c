"""The table that a load's rows reach first: made and dropped within the load's own transaction, nobody else sees it.

An unlogged table and no temporary one: PostgreSQL compares it with the warehouse table on two cores, a temporary one
on one. Like a temporary one it costs no write-ahead log, and it is gone when the transaction ends in any way.
"""

from __future__ import annotations

import hashlib

from psycopg import sql

from sluiceway.ledger.warehouse import Session
from sluiceway.tables.spec import MAX_IDENTIFIER_BYTES, TableSpec

SCHEMA = "public"
ROW_NUMBER = "etl_row_number"
"""Its column with the row's number among the source's data rows, from 1."""
REMEMBERED = "etl_remembered"
"""Its column that says that the row is of a batch which the last load has loaded: only its key is here then."""

_TRAVELS_AS = {"varchar": "text", "numeric": "text", "uuid": "text", "jsonb": "text"}
"""What load/cast.py hands over; the rest travels as it is."""


class NotAsRememberedError(Exception):
    """What was remembered of the last load is of no use: the load begins anew without it."""


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


def create_stage(session: Session, spec: TableSpec) -> None:
    """Make it: the two columns above, every column of the spec as it travels, the geometry as WKB."""
    types = {ROW_NUMBER: "bigint", REMEMBERED: "boolean"}
    types |= {
        name: _TRAVELS_AS.get(column.sql_type.base, column.sql_type.base) for name, column in spec.columns.items()
    }
    if spec.geometry is not None:
        types[spec.geometry.column] = "bytea"
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_)) for name, type_ in types.items()
    )
    session.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(stage_table(spec), columns))


def drop_stage(session: Session, spec: TableSpec) -> None:
    """Drop it."""
    session.execute(sql.SQL("DROP TABLE {}").format(stage_table(spec)))
