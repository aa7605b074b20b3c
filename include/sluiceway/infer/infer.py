"""The draft of a table file for any readable file, so that `tables run` loads all of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sluiceway.errors import ConfigError, EmptyExtractionError, SourceUnreadableError, quoted
from sluiceway.infer import naming
from sluiceway.infer.address import address_of
from sluiceway.infer.api import api_of
from sluiceway.infer.asked import (
    NULLS,
    SHEETS,
    UNTYPED,
    Asked,
    Source,
    source_of,
    table_name,
)
from sluiceway.infer.draft import Draft, Entry, key_entry, schema_of
from sluiceway.infer.footer import notes_at_the_end
from sluiceway.infer.geometry import GEOMETRY, OWN_GEOMETRY, Seen, place_geometry
from sluiceway.infer.key import Key, find_key, whole_keys
from sluiceway.infer.quotes import read_by_quotes
from sluiceway.infer.reading import by_paths, columns_of, read_all
from sluiceway.infer.service import Service
from sluiceway.infer.services import service_of
from sluiceway.infer.sheet import odd_rows
from sluiceway.infer.text_types import ColumnType, integer_type
from sluiceway.infer.together import patterns_in, source_together
from sluiceway.infer.tried import try_out
from sluiceway.infer.types import Types, find_types
from sluiceway.infer.values import SourceColumn, Values, kept_values
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place, without_secrets
from sluiceway.tables.registry import read_spec
from sluiceway.tables.source_spec import CsvSource

UNIQUE_IN_ROWS = "unique in the rows that were read; is it by its meaning?"
SHOWN = 3
"""Examples in a comment."""
NOT_A_FILE = "came by the standard input: name its file, or load it by --uri -"
ALL_PAGES = 'Fetch all of them: a source of kind = "http_json" with [source.paging] does.'


def infer(asked: Asked, out: Path | None = None, *, connections: Connections = from_environment) -> str:
    """The draft of a table file, as TOML that `read_spec` takes.

    :param out: where it will stand: a path in it is relative to that, and the table has its name.
    :raises SluicewayError: the file cannot be read; one sentence says why.
    """
    draft = _drafted(asked, out, connections)
    draft.schema = schema_of(out)
    return draft.toml()


def _drafted(asked: Asked, out: Path | None, connections: Connections) -> Draft:
    name = table_name(asked, out)
    service = service_of(name, asked, connections)
    if service is not None:
        return _of_service(name, service, connections)
    with brought(asked, connections) as place:
        return _of_files(asked, place, name, out, connections)


@contextmanager
def brought(asked: Asked, connections: Connections = from_environment) -> Iterator[Place]:
    """The file, or those that fit, as `located`."""
    address = address_of(asked.uri)
    # any kind will do: only its uri counts yet. A key in the address is what the connection is to hold
    opens = asked.connection if address is None or address.key is None else None
    somewhere = CsvSource(kind="csv", uri=_whole(asked.uri), connection=opens)
    with located(somewhere, connections) as place:
        if place.path is None and not place.files:
            raise SourceUnreadableError(f"{without_secrets(asked.uri)} cannot be fetched")
        yield place


def _whole(uri: str) -> str:
    return uri if "://" in uri else str(Path(uri).resolve())


def infer_at(
    asked: Asked, place: Place, name: str, out: Path | None = None, *, connections: Connections = from_environment
) -> str:
    """The same, of what was found already, as a table of that name."""
    draft = _of_files(asked, place, name, out, connections)
    draft.schema = schema_of(out)
    return draft.toml()


def _of_files(asked: Asked, place: Place, name: str, out: Path | None, connections: Connections) -> Draft:
    uri, address = _whole(asked.uri), address_of(asked.uri)
    if patterns_in(asked, place):
        source = source_together(asked, place, lambda one, path: columns_of(name, one, path, connections))
        source.pattern = uri
    else:
        assert place.path is not None
        source = source_of(asked, place.path)
        if address is not None:
            api = api_of(name, asked, address, source, place.path)
            if api is not None:
                return _of_service(name, api, connections)
            address.check_no_key(f"a file of kind {source.keys['kind']}")
    with ExitStack() as stack:
        values, seen = read_by_quotes(source, stack, lambda values: read_all(name, source, place, values, connections))
        if _has_notes(source, seen, values.rows):
            values = stack.enter_context(kept_values())
            seen = read_all(name, source, place, values, connections)
        values, seen = by_paths(name, source, place, stack, values, seen, connections)
        draft = _draft(name, source, values, seen, place.name if asked.called is None else "the standard input")
    said = Entry(_uri_in(uri, out)) if asked.called is None else Entry(asked.called, NOT_A_FILE)
    draft.source = {"kind": draft.source.pop("kind"), "uri": said, **draft.source}
    if asked.connection is not None:
        draft.source["connection"] = Entry(asked.connection)
    try_out(draft, name, uri, place, seen.crs, connections)
    return draft


def _of_service(name: str, service: Service, others: Connections) -> Draft:
    """The draft for what is no file."""
    connections = service.connections(others)
    source, place = Source(service.keys, dict(service.remarks)), Place(name=service.name)
    source.shape = service.shape.column if service.shape is not None else None
    with kept_values() as values:
        seen = read_all(name, source, place, values, connections, most=service.most_rows)
        draft = _draft(name, source, values, seen, place.name, service)
    draft.notes += service.notes
    if seen.is_part:
        draft.notes.append(f"There are more rows than the {values.rows:,} that were looked at.")
    try_out(draft, name, None, place, seen.crs, connections, most=service.most_rows)
    return draft


def check_output(out: Path, *, force: bool) -> None:
    """Raises ConfigError when a draft cannot be written there: it exists, or there is no such folder."""
    if out.exists() and not force:
        raise ConfigError(f"{out}: exists; choose another name, or overwrite it with --force")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")


def write(text: str, out: Path) -> None:
    """Write a draft as a whole or not at all, once it is known to be a valid table file."""
    with tempfile.TemporaryDirectory(prefix=".sluiceway-", dir=out.parent) as folder:
        path = Path(folder) / out.name
        path.write_text(text, encoding="utf-8")
        read_spec(path)
        path.replace(out)


def _uri_in(uri: str, out: Path | None) -> str:
    """The uri as the table file says it."""
    if "://" in uri or out is None:
        return uri
    return Path(os.path.relpath(uri, out.resolve().parent)).as_posix()


def _has_notes(source: Source, seen: Seen, rows: int) -> bool:
    """Whether a sheet ends with notes: they are declared, and the sheet is to be read without them."""
    if not source.reading:
        return False
    count, remark = notes_at_the_end(list(seen.last), rows)
    if remark is not None:
        source.remarks["skip_footer"] = remark
    if count:
        source.keys["skip_footer"] = count
    return count > 0


def _draft(name: str, source: Source, values: Values, seen: Seen, place: str, service: Service | None = None) -> Draft:
    kind = source.keys["kind"]
    if kind == "csv":
        values.leave_out_blank()
    columns = values.columns
    names = dict(zip(columns, naming.column_names(_said(source, columns), taken=(GEOMETRY,)), strict=True))
    types = find_types(values, untyped=kind in UNTYPED, null=NULLS.get(kind, ()), names=names, said=seen.columns)
    if not values.rows:
        _types_by_family(types, seen)
    draft = Draft()
    shapes = place_geometry(draft, source, values, seen, types, names)
    _leave_out(types, source, values, seen)
    _keep_digits(types, seen, values)
    if service is not None:
        service.apply_types(types, values)
    if not types.columns:
        _check_any(types, values, place, kind, has_shape=shapes is not None)
    key = _key(values, types, names, seen, service)
    draft.notes = [f"Drafted from {place} by sluiceway tables infer. Each comment is something for you to decide."]
    draft.notes += [f"{seen.notes['page']}. {ALL_PAGES}"] if "page" in seen.notes else []
    draft.table["description"] = Entry(f"Rows of {place}", "say what a row is")
    draft.table["key"] = key_entry(key, names, "these files" if "$file" in source.origins else "this file")
    _describe_source(draft, source, types)
    for column, found in types.columns.items():
        draft.columns[names[column]] = _column_entry(source, columns[column], names[column], found)
        if source.is_nameless(columns[column].name):
            nameless = "the header has no name for it"
            draft.columns[names[column]].remark = "; ".join(filter(None, (nameless, found.remark)))
    draft.notes += source.notes + (odd_rows(values) if source.reading or kind == "csv" else [])
    draft.left_out = [f"{quoted(column)} is left out: {why}" for column, why in types.left_out.items()]
    if shapes is not None and kind not in OWN_GEOMETRY:
        draft.geometry.setdefault("type", Entry("Geometry"))
    if service is not None:
        service.describe(draft, names, types)
    if not values.rows:
        draft.notes.append(
            "The source has no rows: types are those of its schema, and a load of it fails until there are some."
        )
    return draft


def _check_any(types: Types, values: Values, place: str, kind: str, *, has_shape: bool) -> None:
    """Raises where there is nothing to load."""
    if not values.rows and not types.left_out:
        raise EmptyExtractionError(f"{place} is empty: it holds no {'feature' if kind == 'vector' else 'record'}.")
    if not has_shape:
        raise SourceUnreadableError(f"{place} has no column that can be loaded{_why(types)}")


def _key(values: Values, types: Types, names: dict[str, str], seen: Seen, service: Service | None) -> Key:
    """The key that a catalogue says, else one that is found in the rows."""
    said = service.key(values, types) if service is not None else None
    if said is not None:
        return said
    key = find_key(values, types, names, primary=seen.primary_key)
    whole_keys(values, types, key)
    return key if service is None or key.remark or not key.columns else Key(key.columns, UNIQUE_IN_ROWS)


def _said(source: Source, columns: dict[str, SourceColumn]) -> list[str]:
    """What the source calls its columns; empty where it only has positions."""
    said = []
    for column in columns.values():
        position = column.name == str(column.position) and source.keys["kind"] in SHEETS
        by_position = source.names[column.position - 1] if source.names and column.position <= len(source.names) else ""
        said.append(by_position if position else column.name)
    return said


def _types_by_family(types: Types, seen: Seen) -> None:
    by_family = {"number": "double precision", "boolean": "boolean", "time": "timestamp", "other": "jsonb"}
    types.columns, types.left_out = {}, {}
    for column, kind in seen.columns.items():
        if kind == "binary":
            types.left_out[column] = "its values are bytes"
        else:
            types.columns[column] = ColumnType(by_family.get(kind, "text"))


def _leave_out(types: Types, source: Source, values: Values, seen: Seen) -> None:
    _leave_out_blank(types, source, values)
    _leave_out_row_number(types, seen)
    for column, lacking in source.not_everywhere.items():
        if types.columns.pop(column, None) is not None:
            types.left_out[column] = lacking


def _leave_out_blank(types: Types, source: Source, values: Values) -> None:
    """A column without a name and without a value is what a delimiter at the end of each line makes."""
    said = dict(zip(values.columns, _said(source, values.columns), strict=True))
    for name, found in list(types.columns.items()):
        if not said[name] and values.rows and found.nulls == values.rows and source.keys["kind"] in SHEETS:
            del types.columns[name]
            types.left_out[name] = "it has neither a name nor a value"


def _leave_out_row_number(types: Types, seen: Seen) -> None:
    """GDAL's own name for a primary key is that of one which nobody has chosen, and which it gives anew."""
    name = seen.primary_key
    if name is not None and name.lower() == "fid" and types.columns.pop(name, None) is not None:
        types.left_out[name] = "it numbers the rows of this file, and programs number them anew; declared, it is loaded"


_MAYBE_LONG = frozenset({"text", "double precision"})
_SURE_DIGITS = 15
"""Of a number, that a double holds."""


def _keep_digits(types: Types, seen: Seen, values: Values) -> None:
    """Numbers with more digits than a double holds come as texts, with all others of their column."""
    for name, found in types.columns.items():
        column = values.columns[name]
        if seen.columns.get(name) == "number" and column.family == "text" and found.type in _MAYBE_LONG:
            # DuckDB rounds 1.5 to a HUGEINT
            whole = f"CASE WHEN {column.sql} NOT LIKE '%.%' THEN {column.sql} END"
            digits = f"TRY_CAST({whole} AS HUGEINT)"
            odd = f"count(*) FILTER (NOT regexp_full_match({column.sql}, '-?[0-9]+([.][0-9]+)?'))"
            beyond = f"count(*) FILTER (length(regexp_replace({column.sql}, '[^0-9]', '', 'g')) > {_SURE_DIGITS})"
            others, long, low, high, rounded = values.ask(
                [odd, f"count({column.sql}) - count({digits})", f"min({digits})", f"max({digits})", beyond]
            )
            if found.type != "text" and not rounded:
                continue
            if others and found.type != "text":
                types.columns[name] = ColumnType("text", nulls=found.nulls)
            if not others:
                types.columns[name] = ColumnType("numeric" if long else integer_type(low, high), nulls=found.nulls)


def _why(types: Types) -> str:
    return "".join(f"; {quoted(column)}: {why}" for column, why in list(types.left_out.items())[:SHOWN])


def _describe_source(draft: Draft, source: Source, types: Types) -> None:
    keys = dict(source.keys)
    marks = types.marks
    if marks.null != NULLS.get(keys["kind"], ()):
        keys["null"] = list(marks.null)
        source.remarks.setdefault("null", "found among numbers or dates; they are null in every column")
    if marks.decimal != ".":
        keys["decimal"] = marks.decimal
    if marks.thousands is not None:
        keys["thousands"] = marks.thousands
    draft.source = {key: Entry(value, source.remarks.get(key)) for key, value in keys.items()}
    missing = [f"{key}: {remark}" for key, remark in source.remarks.items() if key not in keys]
    draft.notes += missing


def _column_entry(source: Source, column: SourceColumn, target: str, found: ColumnType) -> Entry:
    said: dict[str, Any] = {}
    if source.keys["kind"] in SHEETS and column.name == str(column.position):
        said["source"] = column.position
    elif column.name != target:
        said["source"] = column.name
    if column.name in source.origins:
        # the name of another one may be no number and no date
        return Entry({**said, "type": "text"})
    said["type"] = found.type
    if found.format is not None:
        said["format"] = found.format
    if found.null:
        said["null"] = list(found.null)
    if found.remove:
        said["remove"] = found.remove
    for key in ("decimal", "thousands", "accounting"):
        if value := getattr(found, key):
            said[key] = value
    return Entry(found.type if len(said) == 1 else said, found.remark)
