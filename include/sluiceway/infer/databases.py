"""A table or a query of a database, as its own catalogue describes it: types, geometry, key, and what changes when."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SAWarning

from sluiceway.amounts import counted
from sluiceway.errors import SourceMissingError
from sluiceway.infer import naming
from sluiceway.infer.asked import Asked, provisional
from sluiceway.infer.service import RowKey, Service
from sluiceway.infer.sql_types import of_postgres, of_sqlalchemy, shape_of_postgis
from sluiceway.infer.text_types import ColumnType
from sluiceway.sources.connections import Connection
from sluiceway.sources.formats.sqlite import INTERNAL
from sluiceway.sources.services.sql import check_query, select_of
from sluiceway.sources.services.sql_engine import engine_of
from sluiceway.sources.services.sql_errors import named_errors, no_table
from sluiceway.tables.source_spec import SqlSource

LISTED = 200
"""Tables in a message."""

_OF_POSTGIS = re.compile(r"(geography|raster)_columns|raster_overviews")
_CHANGED = re.compile(
    r"(^|_)(updated?|modified|modification|changed?|last_?(update|change|modified|modification)d?|mtime|systemmodstamp)"
    r"(_|$)"
)
_MOMENTS = frozenset({"timestamp", "timestamptz", "date"})
_TYPES = sa.text(
    "SELECT format_type(u.oid, u.mod), t.typtype::text, t.typcategory::text "
    "FROM unnest(CAST(:oids AS oid[]), CAST(:mods AS int[])) WITH ORDINALITY AS u(oid, mod, n) "
    "JOIN pg_type AS t ON t.oid = u.oid ORDER BY u.n".replace("::", r"\:\:")
)
_NO_SCHEMA = re.compile(r"information_schema|pg_catalog|pg_toast.*|pg_temp.*|crdb_internal|sys|INFORMATION_SCHEMA")


def describe(name: str, asked: Asked, connection: Connection) -> Service:
    """What the database says of the table or the query.

    :param name: of the drafted table, for messages.
    :raises SourceMissingError: no table is named, or there is none of that name; those that there are, are listed.
    :raises ConfigError: the query is not one SELECT.
    """
    engine = engine_of(name, connection)
    dialect = engine.dialect.name
    table, query = asked.table, asked.query
    try:
        if table is None and query is None:
            source = _source(name, connection, "any", None)
            with named_errors(name, source, connection.conn_id), engine.connect() as session:
                table = _only_table(sa.inspect(session), connection, dialect)
        source = _source(name, connection, table, query)
        if query is not None:
            check_query(name, query, dialect)
        keys = {"kind": "sql", "connection": connection.conn_id}
        keys |= {"table": table} if table is not None else {"query": str(source.query)}
        place = f"{connection.conn_id}: {table or 'a query'}"
        service = Service(keys, place, believed=dialect != "sqlite")
        with named_errors(name, source, place), engine.connect() as session:
            if dialect == "postgresql":
                session = session.execution_options(postgresql_readonly=True)
            if source.table is not None:
                _by_catalogue(service, session, source, source.table)
            if dialect == "postgresql":
                _by_postgres(service, session, source)
    finally:
        engine.dispose()
    return service


def _source(name: str, connection: Connection, table: str | None, query: str | None) -> SqlSource:
    said = {"table": table} if table is not None else {"query": str(query).strip()}
    source = provisional(name, {"kind": "sql", "connection": connection.conn_id, **said}, None, geometry=False).source
    if not isinstance(source, SqlSource):
        raise TypeError(source.kind)
    return source


def _only_table(inspector: sa.Inspector, connection: Connection, dialect: str) -> str:
    """The table of a database that has one."""
    found = [each for each in _tables(inspector, dialect) if not _is_internal(each.rpartition(".")[2])]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceMissingError(f"{connection.conn_id} has no table that its user may see")
    shown = ", ".join(found[:LISTED]) + (f", and {len(found) - LISTED:,} more" if len(found) > LISTED else "")
    raise SourceMissingError(
        f"{connection.conn_id} has {counted(len(found), 'table')}: {shown}; name one with --table, or a SELECT with "
        f"--query"
    )


def _is_internal(name: str) -> bool:
    return bool(INTERNAL.fullmatch(name) or _OF_POSTGIS.fullmatch(name))


def _tables(inspector: sa.Inspector, dialect: str) -> list[str]:
    """Tables and views, each with its schema where a database has several that are looked through."""
    schemas: Iterable[str | None] = [None]
    if dialect in {"postgresql", "mssql"}:
        schemas = [each for each in inspector.get_schema_names() if not _NO_SCHEMA.fullmatch(each)]
    found = []
    for schema in schemas:
        names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        if dialect == "postgresql":
            names += inspector.get_materialized_view_names(schema)
        found += [f"{schema}.{each}" if schema else each for each in names]
    return sorted(dict.fromkeys(found))


def _by_catalogue(service: Service, session: sa.Connection, source: SqlSource, table: str) -> None:
    """What SQLAlchemy reads of any database's catalogue."""
    schema, _, name = table.rpartition(".")
    inspector = sa.inspect(session)
    with warnings.catch_warnings():
        # types that SQLAlchemy does not know
        warnings.simplefilter("ignore", SAWarning)
        if not inspector.has_table(name, schema or None):
            raise no_table(inspector, source, schema or None, name)
        columns = inspector.get_columns(name, schema or None)
    for column in columns:
        _take_type(service, str(column["name"]), of_sqlalchemy(column["type"]))
        if comment := " ".join(str(column.get("comment") or "").split()):
            service.descriptions[str(column["name"])] = comment
    service.description = _comment(inspector, name, schema or None)
    service.changed = _changed(service)
    required = {str(column["name"]) for column in columns if not column["nullable"]}
    service.row_keys = list(_keys(inspector, name, schema or None, required))


def _take_type(service: Service, column: str, found: ColumnType | str | None) -> None:
    service.types.pop(column, None)
    service.left_out.pop(column, None)
    if isinstance(found, str):
        service.left_out[column] = found
    elif found is not None:
        service.types[column] = found


def _comment(inspector: sa.Inspector, name: str, schema: str | None) -> str | None:
    try:
        found = inspector.get_table_comment(name, schema)["text"]
    except NotImplementedError:
        return None
    return " ".join((found or "").split()) or None


def _changed(service: Service) -> tuple[str, ...]:
    """Columns of moments that are called after a change."""
    return tuple(
        name
        for name, found in service.types.items()
        if found.type in _MOMENTS and _CHANGED.search(naming.plain_name(name))
    )


def _keys(inspector: sa.Inspector, name: str, schema: str | None, required: set[str]) -> Iterable[RowKey]:
    """The primary key, then what else is unique and never null, the fewest columns first."""
    primary = tuple(inspector.get_pk_constraint(name, schema).get("constrained_columns") or ())
    if primary:
        yield RowKey(primary, "the table's primary key")
    found: dict[tuple[str, ...], str] = {}
    for index in inspector.get_indexes(name, schema):
        is_whole = not any(value for key, value in index.get("dialect_options", {}).items() if key.endswith("_where"))
        columns = _plain(index.get("column_names") or ())
        if index.get("unique") and is_whole and columns and not index.get("expressions"):
            found[columns] = "unique by an index of the table"
    for constraint in inspector.get_unique_constraints(name, schema):
        found[_plain(constraint["column_names"])] = "unique by a constraint of the table"
    for columns in sorted(found, key=len):
        if columns and required.issuperset(columns) and columns != primary:
            yield RowKey(columns, found[columns])


def _plain(columns: Sequence[str | None]) -> tuple[str, ...]:
    """The columns; none where one of them is an expression."""
    return tuple(map(str, columns)) if None not in columns else ()


def _by_postgres(service: Service, session: sa.Connection, source: SqlSource) -> None:
    """PostgreSQL's own names of the types, also of a query's columns: SQLAlchemy knows none of PostGIS's."""
    for column, shown, kind, category in _postgres_columns(session, source):
        shape = shape_of_postgis(column, shown)
        if shape is None:
            _take_type(service, column, of_postgres(shown, kind, category))
        elif service.shape is None:
            service.shape = shape
        else:
            _take_type(service, column, service.shape.another)
    service.changed = _changed(service)


def _postgres_columns(session: sa.Connection, source: SqlSource) -> list[tuple[str, str, str, str]]:
    """Name, type, kind of type and category of each column."""
    # no row is asked for
    with session.execute(select_of(source).where(sa.text("1 = 0"))) as probe:
        described: Any = probe.cursor
        result = described.pgresult
        places = range(result.nfields)
        names = [result.fname(place).decode() for place in places]
        oids, mods = [result.ftype(place) for place in places], [result.fmod(place) for place in places]
    types = session.execute(_TYPES, {"oids": oids, "mods": mods}).all()
    return [(name, str(found[0]), str(found[1]), str(found[2])) for name, found in zip(names, types, strict=True)]
