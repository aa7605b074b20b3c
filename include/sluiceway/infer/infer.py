"""The draft of a table file for any readable file, so that `tables run` loads all of it."""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SchemaDriftError, SourceUnreadableError
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
    validated,
)
from sluiceway.infer.draft import Draft, Entry, key_entry
from sluiceway.infer.key import find_key
from sluiceway.infer.preview import Preview, preview_at
from sluiceway.infer.quotes import read_by_quotes
from sluiceway.infer.shapes import Shapes, geometry_in_coordinates, geometry_in_text
from sluiceway.infer.text_types import ColumnType
from sluiceway.infer.types import Types, find_types
from sluiceway.infer.values import SourceColumn, Values
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.extraction import Extraction, Unreadable, family
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place, without_secrets
from sluiceway.tables.registry import read_spec
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec, check_name

GEOMETRY = "geom"
SHOWN = 3
"""Examples in a comment."""
_OWN_GEOMETRY = frozenset({"vector", "parquet"})
_OTHER_AXES = "the coordinates are no degrees: find the CRS and declare it, such as"


@dataclass
class _Seen:
    """What was found by reading all of the source."""

    columns: dict[str, str]
    crs: str | None = None
    shapes: Shapes | None = None
    """Of the file's own geometry."""
    binary: dict[str, Shapes] = field(default_factory=dict)
    """Columns of bytes that are all WKB."""
    unreadable: int = 0
    first_unreadable: Unreadable | None = None


def infer(asked: Asked, out: Path | None = None, *, connections: Connections = from_environment) -> str:
    """The draft of a table file, as TOML that `read_spec` takes.

    :param out: where it will stand: a path in it is relative to that, and the table has its name.
    :raises SluicewayError: the file cannot be read; one sentence says why.
    """
    name = _table_name(asked, out)
    uri = asked.uri if "://" in asked.uri else str(Path(asked.uri).resolve())
    # any kind will do: only its uri counts yet
    somewhere = CsvSource(kind="csv", uri=uri, connection=asked.connection)
    with located(somewhere, connections) as place:
        if place.path is None:
            raise SourceUnreadableError(f"{without_secrets(asked.uri)} cannot be fetched")
        source = source_of(asked, place.path)
        with ExitStack() as stack:
            values, seen = read_by_quotes(
                source, stack, lambda values: _read_all(name, source, place, values, connections)
            )
            draft = _draft(name, source, values, seen, place.name)
        draft.source = {"kind": draft.source.pop("kind"), "uri": Entry(_uri_in(uri, out)), **draft.source}
        if asked.connection is not None:
            draft.source["connection"] = Entry(asked.connection)
        _try_out(draft, name, uri, place, seen, connections)
    return draft.toml()


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


def _table_name(asked: Asked, out: Path | None) -> str:
    if out is None:
        found = asked.layer or asked.sheet or asked.table or asked.member or urlsplit(asked.uri).path or asked.uri
        return naming.table_name(PurePosixPath(unquote(found)).name.partition(".")[0])
    try:
        if out.suffix != ".toml":
            raise ConfigError(f"{out}: a table's file ends in .toml; for instance {out}.toml")
        return check_name(out.stem)
    except ValueError as error:
        legal = naming.table_name(out.name.removesuffix(".toml"))
        raise ConfigError(
            f"{out}: a table is named by its file, and {error}; for instance {out.with_name(legal + '.toml')}"
        ) from error


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
    uri = str(place.path)
    with ExitStack() as stack:
        if source.keys["kind"] in _OWN_GEOMETRY:
            spec = provisional(name, source.keys, uri, geometry=True)
            # a layer, or a Parquet file, may have no geometry
            extraction = None
            with suppress(SchemaDriftError):
                extraction = stack.enter_context(open_source(spec, place, connections))
            if extraction is not None:
                yield extraction, ANY_GEOMETRY
                return
        spec = provisional(name, source.keys, uri, geometry=False)
        yield stack.enter_context(open_source(spec, place, connections)), None


def _read_all(name: str, source: Source, place: Place, values: Values, connections: Connections) -> _Seen:
    with _opened(name, source, place, connections) as (extraction, geometry):
        seen = _Seen(dict(extraction.columns), extraction.crs, Shapes() if geometry is not None else None)
        for batch in extraction.batches:
            _take_unreadable(seen, extraction)
            if seen.shapes is not None and geometry is not None and geometry in batch.schema.names:
                seen.shapes.add(batch.column(geometry))
                values.add(batch, geometry)
            else:
                _look_for_wkb(seen, batch)
                values.add(batch)
        _take_unreadable(seen, extraction)
        # JSON says its keys as they come
        seen.columns = dict(extraction.columns)
        values.expect(list(seen.columns))
    return seen


def _take_unreadable(seen: _Seen, extraction: Extraction) -> None:
    while extraction.unreadable:
        found = extraction.unreadable.pop(0)
        seen.unreadable += 1
        seen.first_unreadable = seen.first_unreadable or found


def _look_for_wkb(seen: _Seen, batch: pa.RecordBatch) -> None:
    for column, values in zip(batch.schema.names, batch.columns, strict=True):
        if family(values.type) != "binary":
            continue
        shapes = seen.binary.setdefault(column, Shapes())
        if not shapes.unreadable:
            shapes.add(values)


def _draft(name: str, source: Source, values: Values, seen: _Seen, place: str) -> Draft:
    kind = source.keys["kind"]
    columns = values.columns
    names = dict(zip(columns, naming.column_names(_said(source, columns), taken=(GEOMETRY,)), strict=True))
    types = find_types(values, untyped=kind in UNTYPED, null=NULLS.get(kind, ()), names=names, said=seen.columns)
    if not values.rows:
        _types_by_family(types, seen)
    draft = Draft()
    shapes = _place_geometry(draft, source, values, seen, types, names)
    _leave_out_blank(types, source, values)
    if not types.columns:
        raise SourceUnreadableError(f"{place} has no column that can be loaded{_why(types)}")
    key = find_key(values, types, names)
    draft.notes = [f"Drafted from {place} by sluiceway tables infer. Each comment is something for you to decide."]
    draft.table["description"] = Entry(f"Rows of {place}", "say what a row is")
    draft.table["key"] = key_entry(key, names)
    _describe_source(draft, source, types)
    for column, found in types.columns.items():
        draft.columns[names[column]] = _column_entry(source, columns[column], names[column], found)
    draft.left_out = [f"{column!r} is left out: {why}" for column, why in types.left_out.items()]
    if shapes is not None and kind not in _OWN_GEOMETRY:
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


def _types_by_family(types: Types, seen: _Seen) -> None:
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
    said["type"] = found.type
    if found.format is not None:
        said["format"] = found.format
    if found.null:
        said["null"] = list(found.null)
    return Entry(found.type if len(said) == 1 else said, found.remark)


def _place_geometry(
    draft: Draft, source: Source, values: Values, seen: _Seen, types: Types, names: dict[str, str]
) -> Shapes | None:
    """Fill [geometry], if there is one; its own column is no other column then."""
    if seen.shapes is not None:
        _describe_geometry(draft, seen.shapes, {}, seen.crs, values.rows)
        return seen.shapes
    for column, shapes in seen.binary.items():
        if shapes.kinds and not shapes.unreadable:
            types.left_out.pop(column, None)
            _describe_geometry(draft, shapes, {"source": column}, seen.crs, values.rows)
            return shapes
    # beside a header, [geometry] knows names only, no positions
    header = source.keys["kind"] in SHEETS and source.keys.get("header", True)
    usable = [name for name, column in values.columns.items() if not header or name != str(column.position)]
    in_text = geometry_in_text(values, usable)
    if in_text is not None:
        column_, shapes = in_text
        del types.columns[column_.name]
        _describe_geometry(draft, shapes, {"source": column_.name}, seen.crs, values.rows)
        return shapes
    in_numbers = geometry_in_coordinates(values, types, names, usable)
    if in_numbers is None:
        return None
    x, y, shapes = in_numbers
    if not shapes.in_degrees:
        draft.geometry_notes = [
            f"{names[x.name]} and {names[y.name]} could be coordinates, in no degrees. If they are: [geometry] "
            f'type = "Point", x = "{x.name}", y = "{y.name}", and source_crs, their CRS, such as "EPSG:25832".'
        ]
        return None
    _describe_geometry(draft, shapes, {"x": x.name, "y": y.name}, seen.crs, values.rows)
    return shapes


def _describe_geometry(draft: Draft, shapes: Shapes, where: dict[str, str], crs: str | None, rows: int) -> None:
    mixed = len(shapes.kinds) > 1 and shapes.type == "Geometry"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in shapes.kinds.most_common())
    unknown = None if shapes.kinds else "no row has one to tell the type by"
    draft.geometry = {"type": Entry("Point" if "x" in where else shapes.type, kinds if mixed else unknown)}
    draft.geometry |= {key: Entry(value) for key, value in where.items()}
    if shapes.dimensions != "XY":
        draft.geometry["dimensions"] = Entry(shapes.dimensions)
    elif shapes.flat:
        draft.geometry_notes.append('The heights are all 0 and are dropped; dimensions = "XYZ" keeps them.')
    if crs is None and shapes.kinds:
        _describe_crs(draft, shapes)
    if shapes.missing or not rows:
        of = f"of {counted(rows, 'row')}"
        remark = f"{counted(shapes.missing, f'{of} has', f'{of} have')} none" if rows else None
        draft.geometry["required"] = Entry(False, remark)
    if shapes.invalid:
        draft.geometry["invalid"] = Entry(
            "repair", f'{shapes.invalid:,} cross or touch themselves; "reject" refuses them'
        )


def _describe_crs(draft: Draft, shapes: Shapes) -> None:
    extent = f"x {shapes.low[0]:.6g} to {shapes.high[0]:.6g}, y {shapes.low[1]:.6g} to {shapes.high[1]:.6g}"
    if shapes.in_degrees:
        draft.geometry["source_crs"] = Entry(
            "EPSG:4326", f"the file names no CRS; these look like degrees: {extent}; is that right?"
        )
        return
    draft.geometry_notes += [
        f"The file names no CRS, and the coordinates are no degrees: {extent}. Nothing is loaded before you find out "
        f"which it is and declare it:",
        'source_crs = "EPSG:..."',
    ]


def _try_out(draft: Draft, name: str, uri: str, place: Place, seen: _Seen, connections: Connections) -> None:
    """Read the source by the draft, and propose what has to be allowed for it to load."""
    data = tomllib.loads(draft.toml())
    data["source"]["uri"] = uri
    geometry = data.get("geometry")
    if geometry is not None and seen.crs is None and "source_crs" not in geometry:
        # not known yet; the rows can be counted all the same
        geometry["source_crs"] = "EPSG:4326"
        geometry["srid"] = 4326
    spec = validated(name, data)
    found = preview_at(spec, place, rows=0, limit=None, connections=connections)
    rejects = found.rejected + found.repeated
    if not rejects:
        return
    if found.rejected == found.extracted:
        draft.notes.append(f"No row can be loaded by this draft: {found.rejects[0].reason[:200]}")
        return
    draft.checks["max_rejects"] = Entry(rejects, _why_rejects(found, spec))


def _why_rejects(found: Preview, spec: TableSpec) -> str:
    reasons = []
    if found.rejected:
        first = found.rejects[0]
        reasons.append(
            f"{found.rejected:,} of {counted(found.extracted, 'row')} cannot be loaded, such as row "
            f"{first.row_number:,}: {first.reason[:200]}"
        )
    if found.repeated:
        what = "repeated in full by later ones" if spec.key == "content" else "with the key of a later one"
        example = found.repeated_example
        shown = f", such as rows {example[0]:,} and {example[1]:,}" if example else ""
        reasons.append(f"{counted(found.repeated, 'row')} {what}{shown}")
    return "; ".join(reasons)
