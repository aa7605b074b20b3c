"""All values of a source in a temporary DuckDB file, as text, so that any question about all of them can be asked.

A source is read once for this. Memory is bounded by DuckDB's limit, and the disk takes the rest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from sluiceway.sources.extraction import family

MEMORY_LIMIT = "400MB"
SAMPLE_ROWS = 10_000
AT_ONCE = 100
"""Aggregates of one question: DuckDB's memory for them grows with their square."""


@dataclass
class SourceColumn:
    """A column of the source, and which Arrow types its values came in."""

    name: str
    position: int
    """From 1."""
    types: dict[str, pa.DataType] = field(default_factory=dict)

    @property
    def sql(self) -> str:
        """Its name in DuckDB."""
        return f"c{self.position}"

    @property
    def family(self) -> str:
        """The family of its values; text when they are of several."""
        found = {family(each) for each in self.types.values() if not pa.types.is_null(each)}
        return found.pop() if len(found) == 1 else "text"


class Values:
    """The values of a source. Not shared between threads."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.columns: dict[str, SourceColumn] = {}
        self.rows = 0
        self._duckdb = connection
        self._duckdb.execute("CREATE TABLE source (geometry UBIGINT)")

    def add(self, batch: pa.RecordBatch, geometry: str | None = None) -> None:
        """Keep a batch; of the geometry only its hash.

        :param geometry: the column of the batch that holds it.
        """
        selected = []
        # DuckDB knows no name with a zero byte, and none that differs by capitals alone
        plain = [f"c{position}" for position in range(batch.num_columns)]
        for name, place, field_ in zip(batch.schema.names, plain, batch.schema, strict=True):
            if name == geometry:
                selected.append(f"hash({place}) AS geometry")
                continue
            column = self._column(name)
            column.types.setdefault(str(field_.type), field_.type)
            selected.append(f"{_as_text(place, field_.type)} AS {column.sql}")
        self._duckdb.register("batch", batch.rename_columns(plain))
        self._duckdb.execute(f"INSERT INTO source BY NAME SELECT {', '.join(selected)} FROM batch")  # noqa: S608
        self._duckdb.unregister("batch")
        self.rows += batch.num_rows

    def expect(self, names: Iterator[str] | list[str]) -> None:
        """Make columns that may have no row yet."""
        for name in names:
            self._column(name)

    def _column(self, name: str) -> SourceColumn:
        if name not in self.columns:
            column = self.columns[name] = SourceColumn(name, len(self.columns) + 1)
            self._duckdb.execute(f"ALTER TABLE source ADD COLUMN {column.sql} VARCHAR")
        return self.columns[name]

    def leave_out_blank(self) -> None:
        """Forget the rows that have no value at all: they say nothing of any column."""
        if self.columns:
            blank = " AND ".join(f"coalesce(trim({column.sql}), '') = ''" for column in self.columns.values())
            self._duckdb.execute(f"DELETE FROM source WHERE geometry IS NULL AND {blank}")  # noqa: S608
            self.rows = int(self._select("count(*)", "true", sample=False)[0][0])  # type: ignore[call-overload]

    def ask(self, expressions: list[str], *, where: str = "true", sample: bool = False) -> list[object]:
        """One row of aggregates over all rows, or over a sample of them."""
        answers: list[object] = []
        for start in range(0, len(expressions), AT_ONCE):
            answers += self._select(", ".join(expressions[start : start + AT_ONCE]), where, sample)[0]
        return answers

    @property
    def are_sampled(self) -> bool:
        """Whether there are more rows than a sample has."""
        return self.rows > SAMPLE_ROWS

    def counts(self, expression: str, *, where: str = "true", limit: int = 20) -> list[tuple[str, int]]:
        """The commonest values of an expression, and how often each occurs."""
        found = self._duckdb.execute(
            f"SELECT {expression} AS value, count(*) AS n FROM source WHERE {where} "  # noqa: S608
            f"GROUP BY value ORDER BY n DESC, value LIMIT {limit}"
        ).fetchall()
        return [(str(value), int(n)) for value, n in found]

    def repeated(self, expressions: list[str]) -> int:
        """How many rows share their values in these expressions with an earlier one."""
        listed = ", ".join(expressions)
        # GROUP BY goes to the disk where it must, count(DISTINCT) does not
        different = self._duckdb.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM source GROUP BY {listed})"  # noqa: S608
        ).fetchone()
        return self.rows - int(different[0]) if different else 0

    def batches(self, column: SourceColumn) -> Iterator[pa.RecordBatch]:
        """One column's values that are not null."""
        relation = self._duckdb.sql(f"SELECT {column.sql} FROM source WHERE {column.sql} IS NOT NULL")  # noqa: S608
        yield from relation.to_arrow_reader(2_000)

    def _select(self, expressions: str, where: str, sample: bool) -> list[tuple[object, ...]]:
        # no SELECT * within: of a thousand columns each question of one would plan for them all
        rows = f"TABLESAMPLE reservoir({SAMPLE_ROWS} ROWS) REPEATABLE (1)" if sample and self.are_sampled else ""
        return self._duckdb.execute(f"SELECT {expressions} FROM source {rows} WHERE {where}").fetchall()  # noqa: S608


@contextmanager
def kept_values() -> Iterator[Values]:
    """A place for the values of one source, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sluiceway-infer-") as folder:
        connection = duckdb.connect(
            str(Path(folder) / "values.duckdb"),
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": folder,
                "threads": 2,
                "preserve_insertion_order": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            },
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield Values(connection)
        finally:
            connection.close()


def literal(text: str) -> str:
    """`text` in SQL."""
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_text(name: str, type_: pa.DataType) -> str:
    kind = family(type_)
    if kind == "binary" or pa.types.is_null(type_):
        # what it holds is asked elsewhere; whether it is null counts here
        return f"CASE WHEN {_quoted(name)} IS NOT NULL THEN '' END"
    if kind == "other":
        return f"CAST(to_json({_quoted(name)}) AS VARCHAR)"
    return f"CAST({_quoted(name)} AS VARCHAR)"
