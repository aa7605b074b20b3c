"""TableSpec: one TOML file per table, parsed once at the edge into frozen models.

Holds the shape of the config and its rules. Does not read files (registry.py does) and knows no database.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sluiceway.errors import nearest
from sluiceway.tables.files import DEFAULT_GROUP

MAX_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names silently (NAMEDATALEN - 1)."""
RUN_COLUMN = "etl_run_id"
"""Every warehouse row carries the run that last changed it."""
DELETED_COLUMN = "deleted_at"
CONTENT_KEY_COLUMN = "content_key"
RESERVED_COLUMNS = frozenset({RUN_COLUMN, DELETED_COLUMN, CONTENT_KEY_COLUMN})

SQL_TYPES = (
    "text",
    "varchar",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "jsonb",
)
_TYPE_PATTERN = re.compile(r"^(?P<base>[a-z ]+?)\s*(?:\((?P<args>\d+(?:\s*,\s*\d+)?)\))?$")
_NAME_PATTERN = re.compile(r"^[a-z_][a-z0-9_]*$")


def check_name(name: str) -> str:
    """A plain lower-case identifier that needs no quoting and is not cut by PostgreSQL."""
    if not _NAME_PATTERN.match(name):
        raise ValueError(f"{name!r} is no plain name: lower-case letters, digits and _, not starting with a digit")
    if len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"{name!r} is longer than {MAX_IDENTIFIER_BYTES} bytes, PostgreSQL would cut it")
    return name


Name = Annotated[str, BeforeValidator(check_name)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SqlType(_Frozen):
    """A column's type in the warehouse, such as `numeric(10,2)`: base name and arguments."""

    base: str
    args: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> SqlType:
        """Parse `numeric(10, 2)`; raises ValueError that names the nearest known type."""
        match = _TYPE_PATTERN.match(text.strip().lower())
        base = match["base"] if match else text
        if match is None or base not in SQL_TYPES:
            raise ValueError(f"{text!r} is no column type Sluiceway loads{nearest(base, SQL_TYPES)}")
        args = tuple(int(part) for part in (match["args"] or "").split(",") if part.strip())
        limit = {"varchar": 1, "numeric": 2}.get(base, 0)
        if len(args) > limit:
            raise ValueError(f"{text!r} takes at most {limit} number{'s' if limit != 1 else ''} in brackets")
        if base == "numeric" and args and not (1 <= args[0] <= 38 and (len(args) == 1 or args[1] <= args[0])):
            raise ValueError(f"{text!r}: precision is 1 to 38 and scale at most the precision")
        return cls(base=base, args=args)

    def __str__(self) -> str:
        return self.base + (f"({','.join(map(str, self.args))})" if self.args else "")


class Column(_Frozen):
    """One column of the warehouse table and where its values come from."""

    source: str | PositiveInt | None = None
    """The source's name for it, or its position from 1 in a file without a header; the target's name when absent."""
    type: str
    required: bool = False
    """A row whose value is null is a reject."""
    format: str | None = None
    """strptime format of a date or timestamp in a text source, such as %m/%d/%Y."""

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        return str(SqlType.parse(value))

    @property
    def sql_type(self) -> SqlType:
        return SqlType.parse(self.type)


def _column_from_shorthand(value: object) -> object:
    """`year = "integer"` is short for `year = { type = "integer" }`."""
    return {"type": value} if isinstance(value, str) else value


class _Source(_Frozen):
    uri: str
    """Where the data lives: a path, file:// or package://<import name>/<path inside the package>."""
    encoding: str | None = None
    """The text's encoding where the file does not say it."""


class CsvSource(_Source):
    """Delimited text: plain, .gz, or one member of a .zip."""

    kind: Literal["csv"]
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    header: bool = True
    null: tuple[str, ...] = ("",)
    """Texts that mean null. The default keeps "NA" as it is: it is also Namibia."""
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    """Separator to drop from numbers, such as the comma of 23,288."""
    member: str | None = None
    """The file inside a .zip that holds several."""


class VectorSource(_Source):
    """A vector file GDAL reads: shapefile, GeoJSON and kin."""

    kind: Literal["vector"]
    layer: str | None = None


class SqliteSource(_Source):
    """One table of an SQLite file."""

    kind: Literal["sqlite"]
    table: str


Source = Annotated[CsvSource | VectorSource | SqliteSource, Field(discriminator="kind")]


class Geometry(_Frozen):
    """The table's geometry column."""

    column: Name = "geom"
    type: Literal["Point", "MultiPoint", "MultiLineString", "MultiPolygon"]
    srid: PositiveInt = 4326
    source: str | None = None
    """The source's column of WKB; the layer's own geometry for a vector file."""
    source_crs: str | None = None
    """Assumed where the file lacks one, such as EPSG:4269."""
    required: bool = True
    """A row without geometry is a reject."""
    invalid: Literal["reject", "repair"] = "reject"
    """What to do with a ring that crosses or touches itself; repairs are counted."""


class Checks(_Frozen):
    """When a load that read something is still not good."""

    min_rows: PositiveInt = 1
    max_shrink: float = Field(default=0.2, ge=0, le=1)
    """Largest share by which the row count may fall below the last good load."""
    max_rejects: int | float = 0
    """Largest count (integer) or share (fraction) of rows that may be rejects."""

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _count_or_share(cls, value: object) -> object:
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not is_count and not (isinstance(value, float) and 0 <= value <= 1):
            raise ValueError("must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01")
        return value

    def rejects_allowed(self, extracted: int) -> int:
        """How many of `extracted` rows may be rejects."""
        limit = self.max_rejects
        return limit if isinstance(limit, int) else int(limit * extracted)


class TableSpec(_Frozen):
    """One table: where it comes from, what it looks like in the warehouse, when a load is good."""

    name: Name
    description: str = Field(min_length=1)
    group: Name = DEFAULT_GROUP
    """A deployment chooses which groups it runs (SLUICEWAY_GROUPS)."""
    source: Source
    key: Literal["content"] | tuple[Name, ...] = Field(min_length=1)
    """Columns that identify a row, or "content" where no natural key exists: then the row's hash is the key."""
    columns: dict[Name, Annotated[Column, BeforeValidator(_column_from_shorthand)]] = Field(min_length=1)
    geometry: Geometry | None = None
    checks: Checks = Checks()
    on_missing: Literal["keep", "mark", "delete"] = "keep"
    """What happens to warehouse rows that the source no longer holds."""

    @field_validator("key", mode="before")
    @classmethod
    def _key_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) and value != "content" else value

    @field_validator("columns")
    @classmethod
    def _names_free(cls, columns: dict[str, Column]) -> dict[str, Column]:
        for name in columns:
            if name in RESERVED_COLUMNS:
                raise ValueError(f"{name!r} is a column Sluiceway adds itself; choose another target name")
        return columns

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if self.key != "content":
            for column in self.key:
                if column not in self.columns:
                    raise ValueError(f"key: {column!r} is no column of this table{nearest(column, self.columns)}")
            if len(set(self.key)) != len(self.key):
                raise ValueError("key: names a column twice")
        if self.geometry is not None:
            if self.geometry.column in self.columns or self.geometry.column in RESERVED_COLUMNS:
                raise ValueError(f"geometry.column: {self.geometry.column!r} is also a column; choose another name")
            if not isinstance(self.source, VectorSource) and self.geometry.source is None:
                raise ValueError("geometry.source: name the column that holds the WKB")
        headerless = isinstance(self.source, CsvSource) and not self.source.header
        for name, described in self.columns.items():
            if headerless != isinstance(described.source, int):
                what = (
                    "positions from 1, the file has no header"
                    if headerless
                    else "names, positions are for header = false"
                )
                raise ValueError(f"columns.{name}.source: must be {what}")
        return self

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key's columns as they stand in the warehouse."""
        return (CONTENT_KEY_COLUMN,) if self.key == "content" else self.key

    def source_name(self, column: str) -> str | int:
        """The source's name or position of target column `column`."""
        return self.columns[column].source or column

    def fingerprint(self) -> str:
        """sha256 of everything in the spec that can change what is loaded."""
        text = self.model_dump_json(exclude={"description", "group", "checks"})
        return hashlib.sha256(text.encode()).hexdigest()
