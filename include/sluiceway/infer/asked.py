"""What is asked to be described, and how its file is to be opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pydantic

from sluiceway.config_files import wrong
from sluiceway.errors import ConfigError
from sluiceway.infer import naming
from sluiceway.infer.dbase_encoding import find_dbase_encoding
from sluiceway.infer.dialect import Dialect
from sluiceway.infer.encoding import Found
from sluiceway.infer.recognise import Recognised, recognise
from sluiceway.infer.sheet import find_shape, merged_rows
from sluiceway.infer.tables_of_sqlite import only_table
from sluiceway.infer.text import find_text
from sluiceway.sources.formats.vector.shapefile import check_whole
from sluiceway.sources.place import without_secrets
from sluiceway.tables.source_spec import ExcelSource
from sluiceway.tables.spec import TableSpec, check_name

BIGQUERY = "bigquery://"
SPREADSHEET = re.compile(
    r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([\w-]+)(?:/(?:edit|view|copy)?)?(?:[?#].*)?"
)
"""A Google spreadsheet as a browser shows it; /export and /pub give a file."""
SHEET_ROWS = 200
"""Rows of a sheet in which its header is looked for."""


UNTYPED = frozenset({"csv", "json", "excel", "http_json", "gsheet"})


SHEETS = frozenset({"csv", "excel"})


@dataclass(frozen=True)
class Asked:
    """What the person who asks for a draft says."""

    uri: str
    """Empty where a connection is named, and what to read there."""
    layer: str | None = None
    sheet: str | None = None
    table: str | None = None
    member: str | None = None
    connection: str | None = None
    encoding: str | None = None
    query: str | None = None
    kind: str | None = None
    """What it is taken for; found by its content if absent."""
    called: str | None = None
    """How the draft calls the file, where that is not its uri."""
    name: str | None = None
    """What the table is called, where no file of it says that."""

    def __post_init__(self) -> None:
        """:raises ConfigError: the file's name is no text, and could stand in no table's file."""
        try:
            self.uri.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{self.uri!r} is a name that is no UTF-8; rename the file") from error


@dataclass
class Source:
    """The source as far as it is known."""

    keys: dict[str, Any]
    """Of [source], without the uri."""
    remarks: dict[str, str] = field(default_factory=dict)
    terminated: bool = False
    """Whether the last line of a text has an end."""
    names: tuple[str, ...] | None = None
    """What the header says: the reader has a name that stands twice by its position only."""
    reading: dict[str, Any] = field(default_factory=dict)
    """What keys of a sheet are while all of it is looked at: by position, for some of it may lie beyond the header."""
    notes: list[str] = field(default_factory=list)
    """What a person has to know besides."""
    shape: str | None = None
    """The column that is the geometry, where something else than the values says so."""
    origins: tuple[str, ...] = ()
    """Where it is several things: what a column says of which a row is of, such as $file."""
    pattern: str = ""
    """Of several files the uri."""
    not_everywhere: dict[str, str] = field(default_factory=dict)
    """Columns that some of them lack, and which."""

    def called(self, column: str) -> str:
        """What a column is declared by that the reader calls `column`: its name, where the header says that once."""
        if not self.reading or not self.keys.get("header", True) or self.names is None or int(column) > len(self.names):
            return column
        name = self.names[int(column) - 1]
        # a number as a name could be another column's position
        return name if name and self.names.count(name) == 1 and not name.isdecimal() else column

    def named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with its columns called so."""
        return batch.rename_columns([self.called(name) for name in batch.schema.names]) if self.reading else batch

    def without_values(self) -> dict[str, str]:
        """The columns that a sheet has names for, by their positions: rows may not reach all of them."""
        return {str(position): "text" for position, _ in enumerate(self.names or (), 1)} if self.reading else {}

    def is_nameless(self, column: str) -> bool:
        """Whether a sheet has names, and none for this column."""
        names = self.names or ()
        beyond = column.isdecimal() and (int(column) > len(names) or not names[int(column) - 1].strip())
        return bool(self.reading and names and beyond)


def source_of(asked: Asked, path: Path) -> Source:
    """What kind of source this is, and how it is to be read."""
    found = recognise(path, asked.member)
    if asked.kind not in {None, found.kind}:
        found = Recognised(str(asked.kind), asked.member)
    keys: dict[str, Any] = {"kind": found.kind}
    if found.member is not None or asked.member is not None:
        keys["member"] = asked.member or found.member
    source = Source(keys)
    if found.kind == "csv":
        _describe_text(source, path, asked.encoding)
    elif found.kind == "json":
        keys |= {"layout": found.layout} if found.layout != "array" else {}
        keys |= {"records": found.records} if found.records is not None else {}
        source.remarks |= {"records": found.remark} if found.remark is not None else {}
    elif found.kind == "excel":
        keys |= {"sheet": asked.sheet} if asked.sheet is not None else {}
        _describe_sheet(source, path)
    elif found.kind == "sqlite":
        keys["table"] = asked.table or only_table(path)
    elif found.kind == "vector":
        _describe_vector(source, path, asked)
    if asked.encoding is not None and "encoding" not in keys:
        raise ConfigError(f"--encoding: a source of kind {found.kind} says its encoding itself; leave it out")
    return source


def _describe_vector(source: Source, path: Path, asked: Asked) -> None:
    if path.suffix.lower() == ".shp":
        # a shape that is missing would be taken for a row that has none
        check_whole(path)
    if asked.layer is not None:
        source.keys["layer"] = asked.layer
    if asked.encoding is not None:
        source.keys["encoding"] = asked.encoding
    elif (encoding := find_dbase_encoding(path, asked.member)) is not None:
        _declare_encoding(source, encoding, default="UTF-8")


def _describe_text(source: Source, path: Path, asked: str | None) -> None:
    encoding, dialect = find_text(path, source.keys.get("member"), asked)
    _declare_encoding(source, encoding, default=None)
    for key, default in Dialect.__dataclass_fields__.items():
        value = getattr(dialect, key)
        if key not in {"width", "names", "remarks", "terminated"} and value != default.default:
            source.keys[key] = value
    source.remarks |= dialect.remarks
    source.names = dialect.names
    source.terminated = dialect.terminated


def _declare_encoding(source: Source, found: Found, *, default: str | None) -> None:
    name = found.name or default
    if name is not None:
        source.keys["encoding"] = name
    if not found.sure or found.remark is not None:
        how = found.remark or "found by its letters: see that these are right"
        shown = ", ".join(found.samples)
        source.remarks["encoding"] = f"{how}: {shown}" if shown else how


def _describe_sheet(source: Source, path: Path) -> None:
    """Where the rows of a sheet begin."""
    # openpyxl takes 0.2 s
    from sluiceway.sources.formats.excel import look

    spec = provisional("sheet", {**source.keys, "header": False}, str(path), geometry=False)
    if not isinstance(spec.source, ExcelSource):
        raise TypeError(spec.source.kind)
    found = look(spec, spec.source, path, SHEET_ROWS)
    shape = find_shape(found.lines)
    if shape.above:
        source.keys["skip_lines"] = shape.above
    if not shape.header:
        source.keys["header"] = False
    source.remarks |= shape.remarks
    source.names = shape.names
    source.reading = {"header": False, "skip_lines": shape.first_row}
    source.notes += merged_rows(found.merged, shape.first_row)


NULLS = {"csv": ("",), "gsheet": ("",)}


CURVE_TOLERANCE = 0.01
"""A centimetre in most of the CRS that are no degrees."""
ANY_GEOMETRY = "sluiceway_geometry"
"""The geometry's name while a source is looked at: none of its columns has it."""
_ANY_SHAPE = {"column": ANY_GEOMETRY, "type": "Geometry", "required": False}


def provisional(
    name: str,
    keys: dict[str, Any],
    uri: str | None,
    *,
    geometry: bool,
    shape: str | None = None,
    origins: Sequence[str] = (),
) -> TableSpec:
    """A spec by which the reader hands over every column under its own name, as to a transform.

    :param uri: of a file.
    :param shape: the column of the geometry, where it has one.
    :param origins: what columns say of which a row is of, such as $file.
    """
    sheet = keys["kind"] in SHEETS
    more: dict[str, Any] = {"null": []} if keys["kind"] in NULLS else {}
    more |= {"curve_tolerance": CURVE_TOLERANCE} if keys["kind"] == "vector" else {}
    return validated(
        name,
        {
            "description": "Not known yet",
            "key": "content",
            "source": {**({"uri": uri} if uri is not None else {}), **keys, **more},
            "columns": {"any": {"source": 1 if sheet else "any", "type": "text"}}
            | {f"origin_{number}": {"source": each, "type": "text"} for number, each in enumerate(origins)},
            "geometry": {**_ANY_SHAPE, **({"source": shape} if shape is not None else {})} if geometry else None,
            "transform": "/",
        },
    )


def table_name(asked: Asked, out: Path | None = None) -> str:
    """What the table of a draft is called."""
    if out is None and asked.name is not None:
        try:
            return check_name(asked.name)
        except ValueError as error:
            raise ConfigError(f"--name: {error}; for instance {naming.table_name(asked.name)}") from error
    if out is None:
        if not asked.uri or asked.uri.startswith(BIGQUERY):
            named = asked.table or asked.uri.removeprefix(BIGQUERY) or str(asked.connection)
            return naming.table_name(named.rpartition(".")[2])
        if SPREADSHEET.fullmatch(asked.uri):
            return naming.table_name(asked.sheet or "spreadsheet")
        return naming.table_name(_told_name(asked))
    try:
        if out.suffix != ".toml":
            raise ConfigError(f"{out}: a table's file ends in .toml; for instance {out}.toml")
        return check_name(out.stem)
    except ValueError as error:
        legal = naming.table_name(out.name.removesuffix(".toml"))
        raise ConfigError(
            f"{out}: a table is named by its file, and {error}; for instance {out.with_name(legal + '.toml')}"
        ) from error


def _told_name(asked: Asked) -> str:
    """What files and parts of them are called; of a pattern what it says, or the folder it is in."""
    inside = (asked.layer, asked.sheet, asked.table, asked.member)
    plain = without_secrets(asked.uri)
    parts = PurePosixPath(unquote(urlsplit(plain).path or plain)).parts
    told = [PurePosixPath(each).name.partition(".")[0] for each in (*inside, *reversed(parts)) if each]
    return next((name for each in told if (name := each.replace("*", "").replace("?", "").strip("_- "))), plain)


def validated(name: str, data: dict[str, Any]) -> TableSpec:
    try:
        return TableSpec.model_validate({"name": name, **data})
    except pydantic.ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {wrong(each)}" for each in error.errors())
        raise ConfigError(f"{name}: {problems}") from None
