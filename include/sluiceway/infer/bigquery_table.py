"""A table of BigQuery, as its resource in the REST API describes it: types, geometry, key."""

from __future__ import annotations

from typing import Any

from google.api_core import exceptions as api

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError
from sluiceway.infer.asked import provisional
from sluiceway.infer.service import RowKey, Service, Shape
from sluiceway.infer.sql_types import BYTES, MOST_DIGITS
from sluiceway.infer.text_types import ColumnType
from sluiceway.load.bigquery.dataset import Dataset
from sluiceway.sources.connections import Connection
from sluiceway.tables.source_spec import BigQuerySource

_PLAIN = {
    **dict.fromkeys(("INTEGER", "INT64"), "bigint"),
    **dict.fromkeys(("FLOAT", "FLOAT64"), "double precision"),
    **dict.fromkeys(("BOOLEAN", "BOOL"), "boolean"),
    "DATE": "date",
    "DATETIME": "timestamp",
    "TIMESTAMP": "timestamptz",
    "TIME": "text",
    "JSON": "jsonb",
}
_DIGITS = {"NUMERIC": "numeric(38,9)", "BIGNUMERIC": "numeric"}
_READ_BY_QUERY = frozenset({"VIEW", "MATERIALIZED_VIEW", "EXTERNAL"})


def describe(name: str, table: str, connection: Connection) -> Service:
    """What BigQuery says of a table.

    :param name: of the drafted table, for messages.
    :param table: project.dataset.table
    :raises SourceMissingError: it is not there.
    :raises SourceUnreadableError: it is none that the Storage Read API reads.
    :raises ConfigError: that is no full name of a table.
    """
    own = BigQuerySource.model_fields["connection"].default
    keys = {"kind": "bigquery", "table": table}
    keys |= {"connection": connection.conn_id} if connection.conn_id != own else {}
    if len(parts := table.split(".")) != 3 or not all(parts):
        raise ConfigError(f"--table = {table!r}: a table of BigQuery is named project.dataset.table")
    project, dataset, _ = parts
    server = Dataset(provisional(name, keys, None, geometry=False), project, dataset, connection)
    with server.named_errors():
        try:
            resource: dict[str, Any] = server.client.get_table(table, retry=server.retry).to_api_repr()
        except api.NotFound as error:
            said = " ".join(str(error.message).split())
            raise SourceMissingError(f"{table} is not there: {said}; check its name") from error
        except api.Forbidden as error:
            said = " ".join(str(error.message).split())
            raise SourceUnreadableError(
                f"{table}: {said}; give the account of connection {connection.conn_id!r} the role BigQuery Data Viewer "
                f"on the table"
            ) from error
    if resource.get("type") in _READ_BY_QUERY:
        what = str(resource["type"]).lower().replace("_", " ")
        raise SourceUnreadableError(
            f"{table} is of type {what}, which BigQuery's Storage Read API does not read: name a table, or have a "
            f"scheduled query of BigQuery write the rows into one"
        )
    return _described(Service(keys, table), resource)


def _described(service: Service, resource: dict[str, Any]) -> Service:
    for field in resource.get("schema", {}).get("fields", []):
        _take(service, field)
    service.description = " ".join(str(resource.get("description") or "").split()) or None
    primary = tuple(resource.get("tableConstraints", {}).get("primaryKey", {}).get("columns", ()))
    if primary:
        service.row_keys.append(RowKey(primary, "the table's primary key, which BigQuery does not enforce"))
    clustered = tuple(resource.get("clustering", {}).get("fields", ()))
    service.row_keys += [
        RowKey(clustered[:count], "the table is clustered by it; is it unique by its meaning?", sure=False)
        for count in range(1, len(clustered) + 1)
    ]
    return service


def _take(service: Service, field: dict[str, Any]) -> None:
    name, kind = str(field["name"]), str(field["type"]).upper()
    if text := " ".join(str(field.get("description") or "").split()):
        service.descriptions[name] = text
    if field.get("mode") == "REPEATED":
        service.types[name] = ColumnType("jsonb", remark=f"an array of {kind}, as JSON")
    elif kind in {"RECORD", "STRUCT"}:
        inside = ", ".join(str(each["name"]) for each in field.get("fields", []))
        service.types[name] = ColumnType("jsonb", remark=f"a record of {inside}, as JSON")
    elif kind == "GEOGRAPHY" and service.shape is None:
        service.shape = Shape(name)
    elif kind == "GEOGRAPHY" and service.shape is not None:
        service.left_out[name] = service.shape.another
    elif kind == "BYTES":
        service.left_out[name] = BYTES
    elif kind == "STRING":
        most = field.get("maxLength")
        service.types[name] = ColumnType(f"varchar({most})" if most else "text")
    elif kind in _DIGITS:
        service.types[name] = ColumnType(_numeric(kind, field))
    elif kind in _PLAIN:
        service.types[name] = ColumnType(_PLAIN[kind])


def _numeric(kind: str, field: dict[str, Any]) -> str:
    if field.get("precision") is not None:
        digits, scale = int(field["precision"]), int(field.get("scale") or 0)
        return f"numeric({digits},{scale})" if digits <= MOST_DIGITS else "numeric"
    return _DIGITS[kind]
