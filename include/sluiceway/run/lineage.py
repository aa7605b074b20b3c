"""Where a table's rows come from, column by column, by its file and the ledger; named as OpenLineage names datasets.

Pure: on_airflow/lineage.py makes OpenLineage's facets of it. No user, password or query ever stands in a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict

from sluiceway.errors import SettingsError
from sluiceway.ledger.rows import TableRun
from sluiceway.sources.connections import Connection, Connections
from sluiceway.tables.column import Column
from sluiceway.tables.computed import tokens_of
from sluiceway.tables.expression import columns_of
from sluiceway.tables.origins import ORIGINS
from sluiceway.tables.source_spec import (
    BigQuerySource,
    ExcelSource,
    GSheetSource,
    HttpJsonSource,
    LocatedSource,
    SqliteSource,
    SqlSource,
    VectorSource,
)
from sluiceway.tables.spec import TableSpec

FILE = "file"
BIGQUERY = "bigquery"
GEOMETRY = "geometry"
"""What the geometry of a source is called that has one of its own."""
PORTS = {"postgres": 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521}
SCHEMAS = {"postgres": "public", "mssql": "dbo"}
"""Where a table stands whose name says no schema; in other databases a name has none."""
_SAME = {"postgresql": "postgres"}
_WHOLE = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_FAMILIES: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "varchar", "uuid", "jsonb"}),
    "number": _WHOLE,
    "boolean": frozenset({"boolean"}),
    "time": frozenset({"date", "timestamp", "timestamptz"}),
}
"""Of a source's values -> the types that hold them as they are."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Frozen):
    """One source or table."""

    namespace: str
    name: str
    fields: tuple[tuple[str, str | None], ...] = ()
    """Its columns, each with its type where that is known."""
    description: str | None = None


class From(_Frozen):
    """What a column is made of."""

    fields: tuple[str, ...]
    """Of the source."""
    how: str | None = None
    """What becomes of the values; None: they are as they were."""


class TableLineage(_Frozen):
    """One table and its source."""

    source: Dataset | None
    """None: the source is a query, or its connection is not there."""
    table: Dataset
    columns: dict[str, From]
    query: str | None = None


def lineage_of(
    spec: TableSpec, url: str, connections: Connections, *, dataset: str | None = None, loaded: TableRun | None = None
) -> TableLineage:
    """What the table's file says, and what its newest load saw.

    :param url: of the warehouse.
    :param dataset: of BigQuery, project.dataset, for a table that stands there.
    :param loaded: the newest load; None: there is none yet, so that no more is known than what the file names.
    """
    known = dict(loaded.source_columns or {}) if loaded is not None else {}
    columns = _columns(spec, known)
    named = dict.fromkeys(field for each in columns.values() for field in each.fields)
    try:
        place = _place(spec, connections)
    except SettingsError:
        # the load says so
        place = None
    fields: dict[str, str | None] = {**known} if known else dict.fromkeys(named)
    if GEOMETRY in named:
        fields.setdefault(GEOMETRY, None)
    return TableLineage(
        source=Dataset(namespace=place[0], name=place[1], fields=tuple(fields.items())) if place is not None else None,
        table=_table(spec, url, dataset),
        columns=columns,
        query=spec.source.query if isinstance(spec.source, SqlSource) else None,
    )


def warehouse_table(url: str, name: str, schema: str = "public") -> Dataset:
    """A table, or a view, of the warehouse, without its columns."""
    parts = urlsplit(url)
    # of several servers the first stands for all
    host = parts.netloc.rpartition("@")[2].partition(",")[0]
    server = urlsplit(f"//{host}")
    namespace = f"postgres://{server.hostname or 'localhost'}:{server.port or PORTS['postgres']}"
    return Dataset(namespace=namespace, name=f"{unquote(parts.path.removeprefix('/'))}.{schema}.{name}")


def _table(spec: TableSpec, url: str, dataset: str | None) -> Dataset:
    fields = [(name, column.type) for name, column in spec.stored_columns.items()]
    if spec.geometry is not None:
        fields.append((spec.geometry.column, spec.geometry.sql_type))
    found = (
        warehouse_table(url, spec.name)
        if dataset is None
        else Dataset(namespace=BIGQUERY, name=f"{dataset}.{spec.name}")
    )
    return found.model_copy(update={"fields": tuple(fields), "description": spec.description})


def _columns(spec: TableSpec, known: Mapping[str, str]) -> dict[str, From]:
    if spec.transform is not None:
        # what the function makes of a batch only it knows: what has one name on both sides is the same column
        how = f"through transforms/{spec.transform.name}"
        return {name: From(fields=(name,), how=how) for name in spec.stored_columns if name in known}
    # where a row came from is no field of the source
    given = {name: column for name, column in spec.given().columns.items() if column.source not in ORIGINS}
    found = {name: _column(name, column, known) for name, column in given.items()}
    for name in spec.computed:
        read = [
            field for each in columns_of(tokens_of(spec.columns, name)) if each in found for field in found[each].fields
        ]
        how = f"computed: {spec.columns[name].expression}"
        found[name] = From(fields=tuple(dict.fromkeys(read)), how=how)
    found = {name: found[name] for name in spec.stored_columns if name in found}
    if spec.geometry is not None:
        geometry = spec.geometry
        fields = tuple(geometry.source_columns.values()) or (GEOMETRY,)
        how = f"as {geometry.sql_type}" + (", repaired where it is invalid" if geometry.invalid == "repair" else "")
        found[geometry.column] = From(fields=fields, how=how)
    return found


def _column(name: str, column: Column, known: Mapping[str, str]) -> From:
    match column.source:
        case None:
            field = name
        case int(position):
            names = list(known)
            field = str(position) if str(position) in known or position > len(names) else names[position - 1]
        case str(one):
            field = one
        case several:
            field = next((each for each in several if each in known), several[0])
    family = known.get(field)
    same = family is not None and column.sql_type.base in _FAMILIES.get(family, ()) and column.format is None
    return From(fields=(field,), how=None if same else f"read as {column.type}" + _by(column))


def _by(column: Column) -> str:
    return f" by {column.format}" if column.format is not None else ""


def _place(spec: TableSpec, connections: Connections) -> tuple[str, str] | None:
    """Namespace and name of the source."""
    source = spec.source
    if isinstance(source, LocatedSource):
        namespace, name = _file(source.uri)
        within = [source.member]
        if isinstance(source, ExcelSource):
            within.append(source.sheet)
        elif isinstance(source, SqliteSource):
            within.append(source.table)
        elif isinstance(source, VectorSource):
            within.append(source.layer)
        return namespace, "#".join([name, *filter(None, within)])
    if isinstance(source, SqlSource):
        return _database(connections(source.connection), source.table) if source.table is not None else None
    if isinstance(source, BigQuerySource):
        return BIGQUERY, source.table
    if isinstance(source, HttpJsonSource):
        return _file(source.uri)
    assert isinstance(source, GSheetSource)
    name = f"spreadsheets/d/{source.spreadsheet}"
    return "https://docs.google.com", f"{name}#{source.sheet}" if source.sheet else name


def _file(uri: str) -> tuple[str, str]:
    if "://" not in uri:
        return FILE, uri
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return FILE, unquote(parts.path)
    # neither who logs in nor the query, which may be a signature
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.removeprefix("/") or "/"


def _database(connection: Connection, table: str) -> tuple[str, str]:
    kind = _SAME.get(connection.conn_type, connection.conn_type)
    database = connection.schema_name or ""
    if kind == "sqlite":
        return FILE, f"{connection.host or database}#{table}"
    port = connection.port or PORTS.get(kind)
    host = f"{connection.host or 'localhost'}" + (f":{port}" if port else "")
    schema, _, name = table.rpartition(".")
    schema = schema or SCHEMAS.get(kind, "")
    return f"{kind}://{host}", ".".join(filter(None, (database, schema, name)))
