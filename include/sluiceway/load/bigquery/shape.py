"""How a table's columns look in BigQuery, and how they travel there."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from google.cloud.bigquery import SchemaField

from sluiceway.tables.column import SqlType
from sluiceway.tables.spec import CONTENT_KEY_COLUMN, DELETED_COLUMN, RUN_COLUMN, TableSpec
from sluiceway.tables.targets import REJECTED_COLUMN

_NUMERIC_SCALE, _NUMERIC_WHOLE = 9, 29
"""Digits behind and before the point that NUMERIC holds; BIGNUMERIC holds 38 of both."""

_TYPES: Mapping[str, tuple[str, pa.DataType]] = {
    "text": ("STRING", pa.string()),
    "varchar": ("STRING", pa.string()),
    "smallint": ("INTEGER", pa.int64()),
    "integer": ("INTEGER", pa.int64()),
    "bigint": ("INTEGER", pa.int64()),
    "real": ("FLOAT", pa.float64()),
    "double precision": ("FLOAT", pa.float64()),
    "boolean": ("BOOLEAN", pa.bool_()),
    "date": ("DATE", pa.date32()),
    "timestamp": ("DATETIME", pa.timestamp("us")),
    "timestamptz": ("TIMESTAMP", pa.timestamp("us", tz="UTC")),
    "uuid": ("STRING", pa.string()),
    "jsonb": ("STRING", pa.string()),
}
"""Type of a table's file -> as the REST API spells it, and as Parquet carries it."""


def _digits(kind: SqlType) -> tuple[int, int]:
    precision, *scale = kind.args
    return precision, scale[0] if scale else 0


def _field(name: str, kind: SqlType, *, required: bool) -> SchemaField:
    mode = "REQUIRED" if required else "NULLABLE"
    if kind.base != "numeric":
        return SchemaField(name, _TYPES[kind.base][0], mode)
    precision, scale = _digits(kind)
    fits = scale <= _NUMERIC_SCALE and precision - scale <= _NUMERIC_WHOLE
    return SchemaField(name, "NUMERIC" if fits else "BIGNUMERIC", mode, precision=precision, scale=scale)


def table_fields(spec: TableSpec) -> list[SchemaField]:
    """The columns of the table, in the order in which PostgreSQL would have them."""
    fields = [SchemaField(CONTENT_KEY_COLUMN, "STRING", "REQUIRED")] if spec.key == "content" else []
    fields += [
        _field(name, column.sql_type, required=column.required or name in spec.key_columns)
        for name, column in spec.stored_columns.items()
    ]
    if spec.geometry is not None:
        mode = "REQUIRED" if spec.geometry.required else "NULLABLE"
        fields.append(SchemaField(spec.geometry.column, "GEOGRAPHY", mode))
    if spec.on_missing == "mark":
        fields.append(SchemaField(DELETED_COLUMN, "TIMESTAMP"))
    return [*fields, SchemaField(RUN_COLUMN, "STRING", "REQUIRED")]


def value_columns(spec: TableSpec) -> list[str]:
    """The columns that hold a row's values, the key among them."""
    return [field.name for field in table_fields(spec) if field.name not in {DELETED_COLUMN, RUN_COLUMN}]


def staging_fields(spec: TableSpec) -> list[SchemaField]:
    """The columns of the staging table: the values, of a row that is a reject its key alone; a geometry as WKB."""
    kinds = {field.name: field for field in table_fields(spec)}
    fields = [
        SchemaField(name, "BYTES") if kinds[name].field_type == "GEOGRAPHY" else nullable(kinds[name])
        for name in value_columns(spec)
    ]
    return [*fields, SchemaField(REJECTED_COLUMN, "BOOLEAN", "REQUIRED")]


def nullable(field: SchemaField) -> SchemaField:
    """The same column where a row may have no value for it."""
    return SchemaField(field.name, field.field_type, precision=field.precision, scale=field.scale)


def parquet_schema(spec: TableSpec) -> pa.Schema:
    """The same as they travel."""
    types = {CONTENT_KEY_COLUMN: pa.string()}
    for name, column in spec.columns.items():
        kind = column.sql_type
        types[name] = pa.decimal128(*_digits(kind)) if kind.base == "numeric" else _TYPES[kind.base][1]
    if spec.geometry is not None:
        types[spec.geometry.column] = pa.binary()
    return pa.schema([*((name, types[name]) for name in value_columns(spec)), (REJECTED_COLUMN, pa.bool_())])


def shown(field: SchemaField) -> str:
    """A column's type for a message: `NUMERIC(10,2)`."""
    digits = "" if field.precision is None else f"({field.precision},{field.scale or 0})"
    return f"{field.field_type}{digits}"
