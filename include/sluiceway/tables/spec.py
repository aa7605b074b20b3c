"""TableSpec: one TOML file per table, parsed once at the edge into frozen models.

Holds the shape of the config and its rules. Does not read files (registry.py does) and knows no database.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator, model_validator

from sluiceway.errors import nearest
from sluiceway.spans import check_span
from sluiceway.tables.checks import BOUNDS, Checks
from sluiceway.tables.column import Column, column_from_shorthand
from sluiceway.tables.computed import computing_order
from sluiceway.tables.files import DEFAULT_GROUP, check_queue
from sluiceway.tables.fitting import check_fit
from sluiceway.tables.limits import Limits, check_cpu, check_memory, memory_bytes
from sluiceway.tables.needs import Needs
from sluiceway.tables.origins import ORIGINS, check_origins
from sluiceway.tables.source_spec import Bounded, Frozen, ParquetSource, SheetRows, Source, SqlSource, VectorSource
from sluiceway.tables.split import check_split
from sluiceway.tables.targets import Target, refused_by_bigquery

MAX_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names silently (NAMEDATALEN - 1)."""
RUN_COLUMN = "etl_run_id"
"""Every warehouse row carries the run that last changed it."""
DELETED_COLUMN = "deleted_at"
CONTENT_KEY_COLUMN = "content_key"
RESERVED_COLUMNS = frozenset(
    {RUN_COLUMN, DELETED_COLUMN, CONTENT_KEY_COLUMN, "etl_row_number", "etl_winner", "etl_ordinal"}
    | {"etl_remembered", "etl_reason", "etl_reason_column"}
)
"""Ours: the warehouse table's, and the others of the staging table."""

_NAME_PATTERN = re.compile(r"^[a-z_][a-z0-9_]*$")

SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""PostgreSQL has them in every table and refuses another column of that name."""


def check_name(name: str) -> str:
    """A plain lower-case identifier that needs no quoting and is not cut by PostgreSQL."""
    if not _NAME_PATTERN.match(name):
        raise ValueError(f"{name!r} is no plain name: lower-case letters, digits and _, not starting with a digit")
    if len(name.encode()) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"{name!r} is longer than {MAX_IDENTIFIER_BYTES} bytes, PostgreSQL would cut it")
    if name in SYSTEM_COLUMNS:
        raise ValueError(f"{name!r} is a column that every PostgreSQL table has already; call it {name + '_'!r}")
    return name


Name = Annotated[str, AfterValidator(check_name)]


_NOT_LOADED: Any = {
    **dict.fromkeys(("description", "group", "transform", "split", "fresh_within"), True),
    **dict.fromkeys(("queue", "memory", "cpu"), True),
    "checks": BOUNDS,
    "source": {"watermark_lag", "max_ratio", "max_files", *Bounded.model_fields},
    "columns": {"__all__": {"description"}},
}
"""What changes no row that is loaded."""


class Geometry(Frozen):
    """The table's geometry column."""

    type: Literal["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "Geometry"] = (
        Field(
            description="Single parts become a Multi type where one is declared; Geometry takes every kind as it is.",
            examples=["MultiPolygon"],
        )
    )
    column: Name = Field(default="geom", description="Its name in the warehouse.", examples=["outline"])
    srid: PositiveInt = Field(
        default=4326, description="The warehouse's CRS as an EPSG code; rows are reprojected.", examples=[3857]
    )
    dimensions: Literal["XY", "XYZ", "XYM", "XYZM"] = Field(
        default="XY",
        description="Heights (Z) and measures (M) to keep; what is not named is dropped. What a row lacks is 0; a file "
        "without any measure is an error.",
        examples=["XYZ"],
    )
    source: str | None = Field(
        default=None,
        description="The source's column of WKB, hex WKB, WKT or GeoJSON. Not for vector files and GeoParquet, "
        "which have a geometry of their own.",
        examples=["wkt"],
    )
    x: str | None = Field(
        default=None, description="The source's column of the longitude or easting of a Point.", examples=["lon"]
    )
    y: str | None = Field(
        default=None, description="The source's column of the latitude or northing of a Point.", examples=["lat"]
    )
    source_crs: str | None = Field(
        default=None,
        description="Assumed where the source says no CRS, such as EPSG:4269; the source's own wins.",
        examples=["EPSG:4269"],
    )
    required: bool = Field(default=True, description="A row without a geometry is a reject.", examples=[False])
    invalid: Literal["reject", "repair"] = Field(
        default="reject",
        description="Polygons whose rings cross or touch: rejects, or repaired and counted.",
        examples=["repair"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.x is None) != (self.y is None):
            raise ValueError("x and y belong together")
        if self.x is not None and (self.source is not None or self.type != "Point"):
            raise ValueError('x and y need type = "Point", and no source')
        return self

    @property
    def source_columns(self) -> dict[str, str]:
        """Column of a batch -> column of the source, for sources whose geometry stands in plain columns."""
        if self.x is not None and self.y is not None:
            return {f"{self.column}.x": self.x, f"{self.column}.y": self.y}
        return {self.column: self.source} if self.source is not None else {}

    @property
    def sql_type(self) -> str:
        """The column's type in PostGIS, such as geometry(MultiPolygonZ,4326)."""
        return f"geometry({self.type}{self.dimensions[2:]},{self.srid})"


class TableSpec(Frozen):
    """One table: where it comes from, what it looks like in the warehouse, when a load is good."""

    name: Name = Field(description="The file's name; not a key of the file.")
    description: str = Field(
        min_length=1, description="What a row is; the comment of a new warehouse table.", examples=["US counties"]
    )
    group: Name = Field(
        default=DEFAULT_GROUP,
        description="A deployment chooses its groups with SLUICEWAY_GROUPS.",
        examples=["quickstart"],
    )
    source: Source = Field(description="Where the rows come from.")
    key: Literal["content"] | tuple[Name, ...] = Field(
        min_length=1,
        description='The columns that identify a row, or "content" where there are none: the hash of the row.',
        examples=[["country", "year"], "geoid", "content"],
    )
    duplicates: Literal["reject", "keep"] = Field(
        default="reject",
        description='What a row that is alike in full with another one is, with key = "content": a reject, or a row.',
        examples=["keep"],
    )
    columns: dict[Name, Annotated[Column, BeforeValidator(column_from_shorthand)]] = Field(
        description='Target name -> column; `year = "integer"` is short for `{ type = "integer" }`. May be empty where '
        "there is [geometry]."
    )
    geometry: Geometry | None = Field(default=None, description="The geometry column, if the table has one.")
    checks: Checks = Field(
        default=Checks(), description="When a load that read something is still not good, and which rows are."
    )
    queue: Annotated[str, AfterValidator(check_queue)] | None = Field(
        default=None,
        description="The queue of the workers that load it. Default: the flow's, else Airflow's own.",
        examples=["heavy"],
    )
    memory: Annotated[str, AfterValidator(check_memory)] | None = Field(
        default=None,
        description="The most memory that its load may have in Airflow: it alone is ended where it needs more, and is "
        "not tried again. Default: the flow's, else as much as the worker has.",
        examples=["4GiB"],
    )
    cpu: Annotated[float, AfterValidator(check_cpu)] | None = Field(
        default=None,
        description="The most processors that its load may have in Airflow, where a pod or a control group can be made "
        "for it. Default: the flow's, else as many as there are.",
        examples=[2],
    )
    fresh_within: Annotated[str, AfterValidator(check_span)] | None = Field(
        default=None,
        description="The promise: how old the last good look at its source may be, by which `sluiceway status` judges "
        "it. Default: nothing is promised.",
        examples=["26h"],
    )
    split: str | None = Field(
        default=None,
        description="The parts in which several of Airflow's workers load it: so many rows each, or one per value of a "
        "source's column. Of a shapefile, a GeoPackage or a FileGDB.",
        examples=["rows:250000", "column:COUNTY"],
    )
    on_missing: Literal["keep", "mark", "delete"] = Field(
        default="keep", description="What happens to warehouse rows that the source no longer holds.", examples=["mark"]
    )
    target: Target = Field(
        default="postgresql",
        description="Where its rows go: the warehouse, or the dataset of SLUICEWAY_BIGQUERY_DATASET.",
        examples=["bigquery"],
    )
    transform: Path | None = Field(
        default=None, description="Not a key: transforms/<table>.py beside the folder of this file, where it exists."
    )
    written_uri: str | None = Field(
        default=None,
        exclude=True,
        description="Not a key: source.uri as the file says it, where that is relative to the file.",
    )

    @field_validator("key", mode="before")
    @classmethod
    def _key_list(cls, value: object) -> object:
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise ValueError('is no column\'s name; write one in quotes, a list of them, or "content"')
        # said here, for pydantic would say of each name that it is not "content" either
        return value if value == "content" else tuple(map(check_name, names))

    @field_validator("columns")
    @classmethod
    def _names_free(cls, columns: dict[str, Column]) -> dict[str, Column]:
        for name in columns:
            if name in RESERVED_COLUMNS:
                raise ValueError(f"{name!r} is a column Sluiceway adds itself; choose another target name")
        return columns

    @model_validator(mode="after")
    def _key_exists(self) -> Self:
        if self.key != "content":
            for column in self.key:
                if column not in self.columns:
                    raise ValueError(f"key: {column!r} is no column of this table{nearest(column, self.columns)}")
            if len(set(self.key)) != len(self.key):
                raise ValueError("key: names a column twice")
        if self.duplicates == "keep" and self.key != "content":
            raise ValueError('duplicates: rows that share a key cannot be kept; that is for key = "content"')
        if self.duplicates == "keep" and isinstance(self.source, SqlSource) and self.source.watermark:
            raise ValueError("duplicates: source.watermark reads new rows only, and alike ones are counted in all")
        if isinstance(self.source, SqlSource) and self.source.watermark and self.on_missing != "keep":
            raise ValueError('source.watermark: reads new rows only, so on_missing must be "keep"')
        return self

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        geometry = self.geometry.column if self.geometry is not None else None
        computing_order(self.columns, geometry, () if self.key == "content" else self.key)
        return self

    @model_validator(mode="after")
    def _can_be_split(self) -> Self:
        if self.split is not None:
            check_split(self.split, self.source, transform=self.transform is not None, queue=self.queue)
        return self

    @model_validator(mode="after")
    def _geometry_found(self) -> Self:
        if self.geometry is None:
            if not self.columns:
                raise ValueError("columns: names none; a table without a geometry has one at least")
            return self
        if self.geometry.column in self.columns or self.geometry.column in RESERVED_COLUMNS:
            raise ValueError(f"geometry.column: {self.geometry.column!r} is also a column; choose another name")
        named = bool(self.geometry.source_columns)
        if isinstance(self.source, VectorSource) and named:
            raise ValueError("geometry.source: a vector file has a geometry of its own; remove source, x and y")
        if not isinstance(self.source, VectorSource | ParquetSource) and not named:
            raise ValueError("geometry.source: name the column that holds the WKB or WKT, or x and y")
        return self

    @model_validator(mode="after")
    def _columns_found(self) -> Self:
        check_origins(self.columns, self.source, geometry=self.geometry is not None)
        sheet = isinstance(self.source, SheetRows)
        for name, column in self.given().columns.items():
            position = isinstance(column.source, int)
            if position and not sheet:
                raise ValueError(f"columns.{name}.source: must be a name; positions are for text and sheets")
            if column.source in ORIGINS:
                continue
            if isinstance(self.source, SheetRows) and not self.source.header and not position:
                raise ValueError(f"columns.{name}.source: must be a position from 1, the source has no header")
        return self

    @model_validator(mode="after")
    def _checks_fit(self) -> Self:
        key = () if self.key == "content" else self.key
        check_fit(self.checks, self.name, self.columns, key, self.geometry.column if self.geometry else None)
        if self.duplicates == "keep" and any(self.checks.rules("unique")):
            raise ValueError("duplicates: rows that are alike in full fail unique; remove one of the two")
        return self

    @model_validator(mode="after")
    def _target_holds_it(self) -> Self:
        if self.target == "bigquery":
            if isinstance(self.source, SqlSource) and self.source.watermark and self.checks.ask_of_the_whole():
                raise ValueError(
                    "checks: unique and null_share ask of an increment what stands in the table, and that is in "
                    "BigQuery; remove them, or source.watermark"
                )
            if self.split is not None:
                raise ValueError("split: a table in BigQuery is loaded in one; remove split or target")
            types = {name: column.type for name, column in self.stored_columns.items()}
            shape = (self.geometry.srid, self.geometry.dimensions) if self.geometry is not None else ()
            if refused := next(refused_by_bigquery(types, *shape), None):
                raise ValueError(refused)
        return self

    @property
    def limits(self) -> Limits:
        """What its load may have."""
        return Limits(memory_bytes(self.memory) if self.memory else None, self.cpu)

    @property
    def needs(self) -> Needs:
        """What it asks of who loads it."""
        return Needs(self.queue, self.memory, self.cpu)

    def within(self, memory: str | None, cpu: float | None) -> Self:
        """The same table with the limits of the flow that loads it, where its own file says none."""
        return self.model_copy(update={"memory": self.memory or memory, "cpu": self.cpu or cpu})

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key's columns as they stand in the warehouse."""
        return (CONTENT_KEY_COLUMN,) if self.key == "content" else self.key

    @property
    def computed(self) -> tuple[str, ...]:
        """The columns of an expression, each after those that it reads."""
        return computing_order(self.columns)

    @property
    def stored_columns(self) -> dict[str, Column]:
        """Those that stand in the warehouse."""
        return {name: column for name, column in self.columns.items() if column.stored}

    def given(self) -> Self:
        """The table as its source gives it: without the columns that are computed, and what is checked of them."""
        given = {name: column for name, column in self.columns.items() if column.expression is None}
        if len(given) == len(self.columns):
            return self
        checked = {*given, *([self.geometry.column] if self.geometry is not None else [])}
        return self.model_copy(update={"columns": given, "checks": self.checks.of(checked)})

    def source_names(self, column: str) -> tuple[str | int, ...]:
        """The names or the position in the source of target column `column`; the first that exists counts."""
        found = self.columns[column].source or column
        return found if isinstance(found, tuple) else (found,)

    def fingerprint(self) -> str:
        """sha256 of everything in the file that can change what is loaded, the code of its transform included.

        Of what is written there: neither the folder in which it lies nor a key that this code has gained counts.
        """
        # in the order of the file, which is that of a content key's columns
        written = self.model_dump(mode="json", exclude=_NOT_LOADED, exclude_defaults=True)
        if self.written_uri is not None:
            written["source"]["uri"] = self.written_uri
        if not written.get("checks", True):
            # bounds alone
            del written["checks"]
        code = self.transform.read_bytes() if self.transform is not None else b""
        return hashlib.sha256(json.dumps(written).encode() + b"\0" + code).hexdigest()
