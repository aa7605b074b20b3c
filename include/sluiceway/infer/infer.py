"""The draft of a table file for any readable file, so that `tables run` loads all of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from sluiceway.errors import ConfigError, EmptyExtractionError, SchemaDriftError, SourceUnreadableError
from sluiceway.infer import naming
from sluiceway.infer.asked import (
    ANY_GEOMETRY,
    NULLS,
    SHEETS,
    UNTYPED,
    Asked,
    Source,
    provisional,
    source_of,
    table_name,
)
from sluiceway.infer.draft import Draft, Entry, key_entry
from sluiceway.infer.geometry import GEOMETRY, OWN_GEOMETRY, Seen, place_geometry
from sluiceway.infer.key import find_key, whole_keys
from sluiceway.infer.quotes import read_by_quotes
from sluiceway.infer.shapes import Shapes
from sluiceway.infer.sheet import LAST_ROWS, notes_at_the_end, odd_rows
from sluiceway.infer.text_types import ColumnType, integer_type
from sluiceway.infer.together import patterns_in, source_together
from sluiceway.infer.tried import try_out
from sluiceway.infer.types import Types, find_types
from sluiceway.infer.values import SourceColumn, Values, kept_values
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.extraction import Extraction, family
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place, without_secrets
from sluiceway.tables.registry import read_spec
from sluiceway.tables.source_spec import CsvSource

SHOWN = 3
"""Examples in a comment."""
NOT_A_FILE = "came by the standard input: name its file, or load it by --uri -"
ALL_PAGES = 'Fetch all of them: a source of kind = "http_json" with [source.paging] does.'


def infer(asked: Asked, out: Path | None = None, *, connections: Connections = from_environment) -> str:
    """The draft of a table file, as TOML that `read_spec` takes.

    :param out: where it will stand: a path in it is relative to that, and the table has its name.
    :raises SluicewayError: the file cannot be read; one sentence says why.
    """
    name = table_name(asked, out)
    with brought(asked, connections) as place:
        return infer_at(asked, place, name, out, connections=connections)


@contextmanager
def brought(asked: Asked, connections: Connections = from_environment) -> Iterator[Place]:
    """The file, or those that fit, as `located`."""
    # any kind will do: only its uri counts yet
    somewhere = CsvSource(kind="csv", uri=_whole(asked.uri), connection=asked.connection)
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
    uri = _whole(asked.uri)
    if patterns_in(asked, place):
        source = source_together(asked, place, lambda one, path: _columns_of(name, one, path, connections))
        source.pattern = uri
    else:
        assert place.path is not None
        source = source_of(asked, place.path)
    with ExitStack() as stack:
        values, seen = read_by_quotes(source, stack, lambda values: _read_all(name, source, place, values, connections))
        if _has_notes(source, seen, values.rows):
            values = stack.enter_context(kept_values())
            seen = _read_all(name, source, place, values, connections)
        draft = _draft(name, source, values, seen, place.name if asked.called is None else "the standard input")
    said = Entry(_uri_in(uri, out)) if asked.called is None else Entry(asked.called, NOT_A_FILE)
    draft.source = {"kind": draft.source.pop("kind"), "uri": said, **draft.source}
    if asked.connection is not None:
        draft.source["connection"] = Entry(asked.connection)
    try_out(draft, name, uri, place, seen.crs, connections)
    return draft.toml()


def _columns_of(name: str, source: Source, path: Path, connections: Connections) -> Mapping[str, str]:
    with _opened(name, source, Place(path.name, path=path), connections) as (extraction, _):
        if source.keys["kind"] == "json":
            # which says its keys as they come
            for _batch in extraction.batches:
                pass
        return dict(extraction.columns)


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


@contextmanager
def _opened(
    name: str, source: Source, place: Place, connections: Connections
) -> Iterator[tuple[Extraction, str | None]]:
    """The source with all of its columns, and the name of the geometry, where the file has one of its own."""
    uri = str(place.path) if place.path is not None else source.pattern
    with ExitStack() as stack:
        if source.keys["kind"] in OWN_GEOMETRY:
            spec = provisional(name, source.keys, uri, geometry=True, origins=source.origins)
            # a layer, or a Parquet file, may have no geometry
            extraction = None
            with suppress(SchemaDriftError):
                extraction = stack.enter_context(open_source(spec, place, connections))
            if extraction is not None:
                yield extraction, ANY_GEOMETRY
                return
        spec = provisional(name, source.keys | source.reading, uri, geometry=False, origins=source.origins)
        yield stack.enter_context(open_source(spec, place, connections)), None


def _read_all(name: str, source: Source, place: Place, values: Values, connections: Connections) -> Seen:
    with _opened(name, source, place, connections) as (extraction, geometry):
        seen = Seen(dict(extraction.columns), extraction.crs, Shapes() if geometry is not None else None)
        seen.primary_key = extraction.primary_key
        for each in extraction.batches:
            batch = source.named(each)
            _take_unreadable(seen, extraction)
            if source.reading:
                seen.last.extend(_texts(batch.slice(max(0, batch.num_rows - LAST_ROWS))))
            if seen.shapes is not None and geometry is not None and geometry in batch.schema.names:
                seen.shapes.add(batch.column(geometry))
                values.add(batch, geometry)
            else:
                _look_for_wkb(seen, batch)
                values.add(batch)
        _take_unreadable(seen, extraction)
        # JSON says its keys as they come
        seen.columns = source.without_values() | dict(extraction.columns)
        seen.columns = {source.called(column): kind for column, kind in seen.columns.items()}
        seen.notes = extraction.notes
        seen.curves = extraction.straightened["curves"]
        values.expect(list(seen.columns))
    return seen


def _texts(batch: pa.RecordBatch) -> list[list[str]]:
    columns = [column.cast(pa.string()).to_pylist() for column in batch.columns]
    return [[value or "" for value in row] for row in zip(*columns, strict=True)]


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


def _take_unreadable(seen: Seen, extraction: Extraction) -> None:
    while extraction.unreadable:
        found = extraction.unreadable.pop(0)
        seen.unreadable += 1
        seen.first_unreadable = seen.first_unreadable or found


def _look_for_wkb(seen: Seen, batch: pa.RecordBatch) -> None:
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        if family(values.type) != "binary":
            continue
        shapes = seen.binary.setdefault(column, Shapes())
        if not shapes.unreadable:
            shapes.add(values)


def _draft(name: str, source: Source, values: Values, seen: Seen, place: str) -> Draft:
    kind = source.keys["kind"]
    columns = values.columns
    names = dict(zip(columns, naming.column_names(_said(source, columns), taken=(GEOMETRY,)), strict=True))
    types = find_types(values, untyped=kind in UNTYPED, null=NULLS.get(kind, ()), names=names, said=seen.columns)
    if not values.rows:
        _types_by_family(types, seen)
    draft = Draft()
    shapes = place_geometry(draft, source, values, seen, types, names)
    _leave_out_blank(types, source, values)
    _leave_out_row_number(types, seen)
    for column, lacking in source.not_everywhere.items():
        if types.columns.pop(column, None) is not None:
            types.left_out[column] = lacking
    _keep_digits(types, seen, values)
    if not types.columns and not values.rows and not types.left_out:
        raise EmptyExtractionError(f"{place} is empty: it holds no {'feature' if kind == 'vector' else 'record'}.")
    if not types.columns and shapes is None:
        raise SourceUnreadableError(f"{place} has no column that can be loaded{_why(types)}")
    key = find_key(values, types, names, primary=seen.primary_key)
    whole_keys(values, types, key)
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
    draft.notes += source.notes + (odd_rows(values) if source.reading else [])
    draft.left_out = [f"{column!r} is left out: {why}" for column, why in types.left_out.items()]
    if shapes is not None and kind not in OWN_GEOMETRY:
        draft.geometry.setdefault("type", Entry("Geometry"))
    if not values.rows:
        draft.notes.append(
            "The source has no rows: types are those of its schema, and a load of it fails until there are some."
        )
    return draft


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
    return "".join(f"; {column!r}: {why}" for column, why in list(types.left_out.items())[:SHOWN])


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
    return Entry(found.type if len(said) == 1 else said, found.remark)
