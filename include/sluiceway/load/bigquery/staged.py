"""The good rows of PostgreSQL's staging table as a Parquet file: with the types of the table, a part at a time."""

from __future__ import annotations

from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from sluiceway.load.bigquery.shape import parquet_schema, value_columns
from sluiceway.load.rejected import REJECTED, rejected_value
from sluiceway.load.session import BulkSession
from sluiceway.load.stage_table import stage_table, staged_value
from sluiceway.tables.spec import TableSpec
from sluiceway.tables.targets import REJECTED_COLUMN

_AS_TEXT = frozenset({"numeric", "uuid", "jsonb"})
"""What the driver hands over in a form of its own."""


def write_staged(session: BulkSession, spec: TableSpec, file: IO[bytes], *, with_rejects: bool) -> None:
    """Write the rows as PostgreSQL would have them.

    :param with_rejects: also the keys of rejects, each once and none that a good row has: their rows of the table are
        still in the source.
    """
    query = sql.SQL("SELECT {}, false AS {} FROM {} s").format(
        sql.SQL(", ").join(_value(spec, name) for name in value_columns(spec)),
        sql.Identifier(REJECTED_COLUMN),
        stage_table(spec),
    )
    if with_rejects:
        query = sql.SQL("{} UNION ALL {}").format(query, _rejected_keys(spec))
    schema = parquet_schema(spec)
    # a group of rows for each batch: the whole of a batch is all that this process holds
    with session.read(query) as reader, pq.ParquetWriter(file, schema) as writer:
        for batch in reader:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, names=schema.names).cast(schema))


def _value(spec: TableSpec, name: str) -> sql.Composed:
    return sql.SQL("{} AS {}").format(_travelling(spec, name, staged_value(spec, name)), sql.Identifier(name))


def _travelling(spec: TableSpec, name: str, value: sql.Composable) -> sql.Composable:
    if spec.geometry is not None and name == spec.geometry.column:
        return sql.SQL("ST_AsBinary({}, 'NDR')").format(value)
    is_text = name not in spec.columns or spec.columns[name].sql_type.base in _AS_TEXT
    return sql.SQL("({})::text").format(value) if is_text else value


def _no_value(spec: TableSpec, name: str) -> sql.Composable:
    """Null in the type in which the column travels: PostgreSQL takes a bare one for a text where rows are distinct."""
    if spec.geometry is not None and name == spec.geometry.column:
        return sql.SQL("NULL::bytea")
    return _travelling(spec, name, sql.SQL("NULL::{}").format(sql.SQL(spec.columns[name].type)))


def _rejected_keys(spec: TableSpec) -> sql.Composed:
    values = [
        _travelling(spec, name, rejected_value(spec, name)) if name in spec.key_columns else _no_value(spec, name)
        for name in value_columns(spec)
    ]
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(staged_value(spec, name), rejected_value(spec, name)) for name in spec.key_columns
    )
    return sql.SQL("SELECT DISTINCT {}, true FROM {} WHERE NOT EXISTS (SELECT FROM {} s WHERE {})").format(
        sql.SQL(", ").join(values), sql.Identifier(REJECTED), stage_table(spec), same_key
    )
