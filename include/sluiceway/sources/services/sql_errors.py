"""What a database refuses, as a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from sluiceway.errors import (
    SchemaDriftError,
    SettingsError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
    nearest,
)
from sluiceway.sources.services.sql_engine import WRONG_LOGIN
from sluiceway.tables.source_spec import SqlSource


@contextmanager
def named_errors(table: str, source: SqlSource, place: str) -> Iterator[None]:
    """What the database says, as one sentence that says what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _named(f"{table}: {place}", source, error) from error


def _named(where: str, source: SqlSource, error: DBAPIError) -> SluicewayError:
    said = next(iter(str(error.orig).strip().splitlines()), type(error.orig).__name__)
    state = getattr(error.orig, "sqlstate", None) or ""
    hint = getattr(getattr(error.orig, "diag", None), "message_hint", None)
    full = f"{where}: {said}" + (f" ({hint})" if hint else "")
    if state == "42501":
        return SourceUnreadableError(f"{full}; grant SELECT to the user of connection {source.connection!r}")
    if state == "25006":
        return SourceUnreadableError(f"{full}; a source is only read")
    if state == "42P01" or "no such table" in said:
        return SourceMissingError(f"{full}; check source.{'table' if source.table else 'query'}")
    if state == "42703" or "no such column" in said:
        return SchemaDriftError(f"{full}; adapt source.{'table' if source.table else 'query'}")
    if isinstance(error, OperationalError) and not state and WRONG_LOGIN.search(said):
        return SettingsError(f"{full}; correct connection {source.connection!r}")
    if will_pass(error):
        return SourceUnavailableError(f"{full}; try again later")
    return SourceUnreadableError(full)


def will_pass(error: DBAPIError) -> bool:
    """Whether the same question may be answered later: the database was not reached, or broke off."""
    said, state = str(error.orig), getattr(error.orig, "sqlstate", None) or ""
    lost = error.connection_invalidated or state[:2] in {"08", "40", "53", "57"} or "is locked" in said
    # without a code of the server it was never reached; SQLite is always here
    unreached = isinstance(error, OperationalError) and not state and type(error.orig).__module__ != "sqlite3"
    return bool(lost or unreached)


def no_table(inspector: sa.Inspector, source: SqlSource, schema: str | None, name: str) -> SourceMissingError:
    """What to raise of a table that is not there; names the nearest."""
    schemas = inspector.get_schema_names()
    if schema is not None and schema not in schemas and "." not in schema:
        return SourceMissingError(
            f"{source.connection} has no schema {schema!r}, or none that its user may see{nearest(schema, schemas)}"
        )
    known = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    shown = {f"{schema}.{each}" if schema else each for each in known}
    return SourceMissingError(f"{source.connection} has no table {source.table!r}{nearest(str(source.table), shown)}")
