"""What is no file and is asked for its rows: how to ask, and what it says of them by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyproj

from sluiceway.errors import ConfigError
from sluiceway.infer.draft import Draft, Entry
from sluiceway.infer.key import Key
from sluiceway.infer.text_types import ColumnType
from sluiceway.infer.types import Types
from sluiceway.infer.values import SourceColumn, Values
from sluiceway.load.cast import cast_of_text
from sluiceway.sources.connections import Connection, Connections
from sluiceway.tables.column import NUMBERS, SQL_TYPES, Column
from sluiceway.tables.source_spec import TextValues

MOST_ROWS = 50_000
"""Looked at of a table that may have any number of them."""
MOST_OF_AN_API = 2_000
"""Each page of an API is a request, of which a second may have five."""
DESCRIPTION = 200
"""Characters of what a catalogue says of a column; more is a text of its own."""
_NUMBERS = NUMBERS | {"boolean"}
_OF_FAMILY = {"number": _NUMBERS, "text": frozenset(SQL_TYPES) - _NUMBERS}
"""What values of a family may be, where a catalogue's word is not enough."""


@dataclass(frozen=True)
class Shape:
    """The column of a table that is its geometry."""

    column: str
    type: str | None = None
    """None: any."""
    srid: int | None = None
    dimensions: str = "XY"

    @property
    def another(self) -> str:
        """Why a second one is left out."""
        return f"a table has one geometry, and {self.column!r} is it"


@dataclass(frozen=True)
class RowKey:
    """Columns that tell rows apart, as a catalogue says it."""

    columns: tuple[str, ...]
    remark: str
    sure: bool = True
    """Whether it holds by itself; else the rows have to show it."""


@dataclass
class Service:
    """How rows are asked for, and what is known of them before one is read."""

    keys: dict[str, Any]
    """Of [source]."""
    name: str
    """What to call it in a comment."""
    most_rows: int = MOST_ROWS
    types: dict[str, ColumnType] = field(default_factory=dict)
    """Column of the source -> its type, as far as its catalogue says one that is declared here as well."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Column of the source -> why it cannot be loaded."""
    descriptions: dict[str, str] = field(default_factory=dict)
    """Column of the source -> what its catalogue says of it."""
    believed: bool = True
    """Whether its values are of the types that it says; SQLite takes any value in any column."""
    shape: Shape | None = None
    row_keys: list[RowKey] = field(default_factory=list)
    """The best first."""
    description: str | None = None
    """What a row is, as the catalogue says it."""
    changed: tuple[str, ...] = ()
    """Columns that may say when a row has changed, the likeliest first."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Key of [source] -> what a person has to know about it."""
    notes: list[str] = field(default_factory=list)
    connection: Connection | None = None
    """One that is not there yet, with a secret that was typed."""

    def connections(self, others: Connections) -> Connections:
        """All connections, and the one that is still to be made."""
        own = self.connection
        return others if own is None else lambda conn_id: own if conn_id == own.conn_id else others(conn_id)

    def apply_types(self, types: Types, values: Values) -> None:
        """Put the catalogue's types in the place of those that were found by looking."""
        found = types.columns
        for name, column in values.columns.items():
            if name in self.left_out:
                found.pop(name, None)
                types.left_out[name] = self.left_out[name]
            elif name in self.types and (self.believed or _fits(values, column, self.types[name].type)):
                types.left_out.pop(name, None)
                said = self.types[name]
                nulls = found[name].nulls if name in found else 0
                found[name] = ColumnType(said.type, remark=said.remark, nulls=nulls)
        types.columns = {name: found[name] for name in values.columns if name in found}

    def key(self, values: Values, types: Types) -> Key | None:
        """The catalogue's key, where the rows do not speak against it."""
        for each in self.row_keys:
            names = each.columns
            if not types.columns.keys() >= set(names) or any(types.columns[name].nulls for name in names):
                continue
            seen = values.rows and values.repeated([values.columns[name].sql for name in names]) == 0
            if seen or (each.sure and not values.rows):
                return Key(names, each.remark)
        return None

    def describe(self, draft: Draft, names: dict[str, str], types: Types) -> None:
        """Say what the catalogue says beyond types and the key: the geometry, what a row is, when it has changed."""
        if self.description:
            draft.table["description"] = Entry(self.description, "as its catalogue says it")
        for column, text in self.descriptions.items():
            if column in types.columns and (said := draft.columns.get(names[column])) is not None:
                value = said.value if isinstance(said.value, dict) else {"type": said.value}
                draft.columns[names[column]] = Entry({**value, "description": text[:DESCRIPTION]}, said.remark)
        self._describe_shape(draft)
        moments = [each for each in self.changed if each in types.columns]
        if moments and draft.table["key"].value != "content":
            draft.source_notes += [
                f'watermark = "{moments[0]}"',
                f"With it, only rows whose {moments[0]} is new are read. Does each change of a row set it? Rows that "
                f"are deleted over there stay here then.",
            ]

    def _describe_shape(self, draft: Draft) -> None:
        shape = self.shape
        if shape is None or not draft.geometry:
            return
        if shape.type is not None:
            draft.geometry["type"] = Entry(shape.type)
        if shape.dimensions != "XY" and shape.type is not None:
            draft.geometry["dimensions"] = Entry(shape.dimensions)
        if shape.srid is not None:
            # what the catalogue says holds for every row, also where none was read
            draft.geometry.pop("source_crs", None)
            draft.geometry |= {"source_crs": Entry(f"EPSG:{shape.srid}")} if "required" in draft.geometry else {}
            draft.geometry |= {"srid": Entry(shape.srid)} if shape.srid != 4326 else {}
        order = ("type", "source", "srid", "dimensions", "source_crs", "required", "invalid")
        draft.geometry = {key: draft.geometry[key] for key in order if key in draft.geometry}


def known_srid(srid: int) -> int | None:
    """The EPSG code of a database's own number of a CRS, where it is one."""
    try:
        return srid if pyproj.CRS.from_epsg(srid) else None
    except pyproj.exceptions.CRSError:
        return None


def connection_of(asked_for: str, connections: Connections) -> Connection:
    """The connection; raises ConfigError for what is rather an address, and never shows it."""
    if "://" in asked_for:
        raise ConfigError(
            "--connection: takes a connection's id and no address, which may hold a password: define the connection in "
            "AIRFLOW_CONN_<ID>, and name <id>"
        )
    return connections(asked_for)


def _fits(values: Values, column: SourceColumn, type_: str) -> bool:
    """Whether all values that were read are of a type, and lose nothing by it."""
    declared = Column(type=type_)
    base, args = declared.sql_type.base, declared.sql_type.args
    text = column.sql
    if base not in _OF_FAMILY.get(column.family, frozenset()):
        return False
    odd = [f"({cast_of_text(text, declared, TextValues())}) IS NULL"]
    if base == "boolean" and column.family == "number":
        odd = [f"{text} NOT IN ('0', '1')"]
    elif base == "numeric" and args:
        scale = args[1] if len(args) > 1 else 0
        odd.append(f"(length(split_part({text}, '.', 2)) > {scale} AND {text} NOT LIKE '%.0')")
    elif base == "date":
        # a time of midnight is none either
        odd.append(f"length({text}) > 10")
    return not values.ask([f"count(*) FILTER ({' OR '.join(odd)})"], where=f"{text} IS NOT NULL")[0]
