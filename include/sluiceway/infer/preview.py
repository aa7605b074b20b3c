"""What a table file would load from its source, without a warehouse: rows, rejects and repeated keys."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluiceway.amounts import counted
from sluiceway.ledger.rejects import Reject
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from sluiceway.load.reject_spool import RejectSpool

Computer = Callable[["pa.RecordBatch", "RejectSpool"], tuple["pa.RecordBatch", Sequence[Mapping[str, Any]]]]

LOOKED_AT = 5_000
"""Rows of a source that a preview reads at least."""
MEMORY_LIMIT = "400MB"


@dataclass
class Preview:
    """What was found in the rows that were read."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """The first good rows, with typed values; a geometry as WKT in the warehouse's CRS."""
    rejects: list[Reject] = field(default_factory=list)
    """The first ones; without the repeated keys."""
    extracted: int = 0
    rejected: int = 0
    """Rows that cannot be loaded by themselves."""
    repeated: int = 0
    """Rows that share their key with a later one: rejects as well."""
    repeated_example: tuple[int, int] | None = None
    """The numbers of two rows that do."""
    each_stands: int | None = 1
    """How often each key is there; None: some more often than others."""
    repaired: int = 0
    complete: bool = True
    """Whether the source was read to its end."""
    not_computed: tuple[str, ...] = ()
    """Columns of an expression, which only a warehouse computes."""

    def sentence(self, table: str) -> str:
        """The counts."""
        first = "" if self.complete else "the first "
        good = self.extracted - self.rejected - self.repeated
        repaired = f", {counted(self.repaired, 'geometry', 'geometries')} repaired" if self.repaired else ""
        repeated = f" ({counted(self.repeated, 'of them repeats', 'of them repeat')} a key)" if self.repeated else ""
        return (
            f"{table}: of {first}{counted(self.extracted, 'row')} {good:,} can be loaded and "
            f"{counted(self.rejected + self.repeated, 'would be a reject', 'would be rejects')}{repeated}{repaired}."
            f"{self._missing()}"
        )

    def _missing(self) -> str:
        if not self.not_computed:
            return ""
        return f" PostgreSQL computes {', '.join(self.not_computed)}: name a warehouse (--warehouse) to see what."

    def document(self) -> dict[str, Any]:
        """Everything, for JSON; values that JSON has no word for are still as they are."""
        return {
            "complete": self.complete,
            "extracted": self.extracted,
            "rejected": self.rejected + self.repeated,
            "repeated": self.repeated,
            "repaired": self.repaired,
            "rows": self.rows,
            "rejects": [reject.model_dump(mode="json") for reject in self.rejects],
            "not_computed": list(self.not_computed),
        }


def preview(
    spec: TableSpec,
    *,
    rows: int = 10,
    limit: int | None = LOOKED_AT,
    connections: Connections = from_environment,
    url: str | None = None,
) -> Preview:
    """Read the first rows of the source of `spec` as a load would.

    :param rows: how many good rows to keep.
    :param limit: about how many rows to read; all of them if None.
    :param url: of a warehouse, which computes the columns of an expression; nothing of it stays there.
    :raises SluicewayError: what a load would raise before it writes.
    """
    with located(spec.source, connections) as place:
        return preview_at(spec, place, rows=rows, limit=limit, connections=connections, url=url)


def preview_at(
    spec: TableSpec,
    place: Place,
    *,
    rows: int,
    limit: int | None,
    connections: Connections = from_environment,
    url: str | None = None,
) -> Preview:
    """The same for a source that was found already."""
    from sluiceway.load.reject_spool import RejectSpool
    from sluiceway.load.staging import Staged, loadable

    found, staged = Preview(), Staged()
    found.not_computed = spec.computed if url is None else ()
    with closing(RejectSpool(found.rejects)) as spool, _keys(spec.given()) as keys, _computer(spec, url) as computed:
        with open_source(spec, place, connections) as extraction:
            for batch in loadable(spec, extraction, spool, staged):
                good, values = computed(batch, spool)
                if spec.key == "content" or not {*spec.key} & {*spec.computed}:
                    keys.add(good)
                wanted = rows - len(found.rows)
                found.rows += _shown(spec, good.slice(0, wanted), values[:wanted])
                if limit is not None and staged.extracted >= limit:
                    found.complete = False
                    break
        found.extracted, found.rejected, found.repaired = staged.extracted, spool.count, staged.repaired
        if spec.duplicates == "reject":
            found.repeated, found.repeated_example = keys.repeated()
            found.each_stands = keys.each_stands() if found.repeated else 1
    return found


def standing(spec: TableSpec, url: str, connections: Connections = from_environment) -> str:
    """What a load would find in the warehouse, or in BigQuery; reads only.

    :raises TargetMismatchError: the table is there with another shape.
    """
    import psycopg
    from psycopg import sql

    from sluiceway.ledger.warehouse import connect
    from sluiceway.load.merge import ensure_table
    from sluiceway.load.target import count_rows, dataset_of

    dataset = dataset_of(spec, connections)
    with connect(url) as session:
        session.execute(sql.SQL("SET TRANSACTION READ ONLY"))
        where = "The warehouse" if dataset is None else f"BigQuery's dataset {dataset.project}.{dataset.name}"
        count = count_rows(session, spec, dataset)
        if count is None:
            return f"{where} has no table {spec.name} yet; a load makes it."
        if dataset is not None:
            return f"{where} has {counted(count, 'row')} in its table {spec.name}."
        found = f"The warehouse's table {spec.name} has {counted(count, 'row')}"
        try:
            ensure_table(session, spec)
        except psycopg.errors.ReadOnlySqlTransaction:
            # its shape fits, or it would have said so before it tried to add what is new
            return f"{found}; a load adds columns to it."
        return f"{found} and the declared shape."


@contextmanager
def _computer(spec: TableSpec, url: str | None) -> Iterator[Computer]:
    """Within the block a function takes out of a batch the rows that cannot be computed, and computes the others."""
    if url is None or not spec.computed:
        yield lambda batch, spool: (batch, [{}] * batch.num_rows)
        return
    import pyarrow as pa

    from sluiceway.load.computed_rows import computing
    from sluiceway.load.reject_spool import json_row
    from sluiceway.load.stage_table import ROW_NUMBER

    with computing(url, spec) as compute:

        def computed(batch: pa.RecordBatch, spool: RejectSpool) -> tuple[pa.RecordBatch, list[dict[str, Any]]]:
            given = batch.select(list(spec.given().columns))
            rows = [json_row(given, index) for index in range(given.num_rows)]
            found = compute(rows)
            for row, number, (_, said) in zip(rows, batch.column(ROW_NUMBER).to_pylist(), found, strict=True):
                if said is not None:
                    spool.add([Reject(row_number=number, column_name=said[0], reason=said[1], row=row)])
            good = [said is None for _, said in found]
            return batch.filter(pa.array(good, pa.bool_())), [values for values, said in found if said is None]

        yield computed


def _shown(spec: TableSpec, batch: pa.RecordBatch, computed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shown = []
    for row, made in zip(batch.to_pylist(), computed, strict=True):
        both = row | made
        values = {name: both[name] for name in spec.stored_columns if name in both}
        if spec.geometry is not None:
            import shapely

            wkb = row[spec.geometry.column]
            values[spec.geometry.column] = None if wkb is None else shapely.from_wkb(wkb).wkt
        shown.append(values)
    return shown


class _Keys:
    """The keys of the rows, and the number of each row; on the disk where they are many."""

    def __init__(self, spec: TableSpec, connection: duckdb.DuckDBPyConnection) -> None:
        self._duckdb = connection
        names = list(spec.key)
        if spec.key == "content":
            names = [*spec.columns, *([spec.geometry.column] if spec.geometry is not None else [])]
        self._hash = ", ".join('"' + name + '"' for name in names)
        connection.execute("CREATE TABLE keys (number BIGINT, key UBIGINT)")

    def add(self, batch: pa.RecordBatch) -> None:
        from sluiceway.load.stage_table import ROW_NUMBER

        self._duckdb.register("batch", batch)
        self._duckdb.execute(f'INSERT INTO keys SELECT "{ROW_NUMBER}", hash({self._hash}) FROM batch')  # noqa: S608
        self._duckdb.unregister("batch")

    def repeated(self) -> tuple[int, tuple[int, int] | None]:
        """How many rows are followed by another one with the same key, and an example."""
        found = self._duckdb.execute(
            "SELECT sum(n - 1), min_by(first, first), min_by(last, first) FROM "
            "(SELECT count(*) AS n, min(number) AS first, max(number) AS last FROM keys GROUP BY key HAVING n > 1)"
        ).fetchone()
        if not found or found[0] is None:
            return 0, None
        return int(found[0]), (int(found[1]), int(found[2]))

    def each_stands(self) -> int | None:
        """How often each key is there, where all of them are as often."""
        counts = "SELECT count(*) AS n FROM keys GROUP BY key"
        found = self._duckdb.execute(f"SELECT min(n), max(n) FROM ({counts})").fetchone()  # noqa: S608
        return int(found[0]) if found and found[0] == found[1] else None


@contextmanager
def _keys(spec: TableSpec) -> Iterator[_Keys]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="sluiceway-keys-") as folder:
        connection = duckdb.connect(
            str(Path(folder) / "keys.duckdb"),
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": folder,
                "threads": 1,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
            },
        )
        try:
            yield _Keys(spec, connection)
        finally:
            connection.close()
