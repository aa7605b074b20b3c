"""What a table file would load from its source, without a warehouse: rows, rejects and repeated keys."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError
from sluiceway.ledger.rejects import Reject
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import located
from sluiceway.sources.place import Place
from sluiceway.tables.checks import KINDS, Rule
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from sluiceway.load.reject_spool import RejectSpool
    from sluiceway.load.staging import Staged

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
    alike: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Rows that have the values of a later one where `unique` allows none: how many, and the numbers of two, by the
    check."""
    repaired: int = 0
    complete: bool = True
    """Whether the source was read to its end."""
    not_computed: tuple[str, ...] = ()
    """Columns of an expression, which only a warehouse computes."""
    failing: list[str] = field(default_factory=list)
    """What would fail the table: a sentence for each such check."""
    unjudged: list[str] = field(default_factory=list)
    """The checks that a load alone can judge, in the warehouse."""

    @property
    def all_rejected(self) -> int:
        """Every row that would be a reject, as far as it is known."""
        return self.rejected + self.repeated + sum(count for count, *_ in self.alike.values())

    def sentence(self, table: str) -> str:
        """The counts."""
        first = "" if self.complete else "the first "
        good = self.extracted - self.all_rejected
        repaired = f", {counted(self.repaired, 'geometry', 'geometries')} repaired" if self.repaired else ""
        repeated = f" ({counted(self.repeated, 'of them repeats', 'of them repeat')} a key)" if self.repeated else ""
        return (
            f"{table}: of {first}{counted(self.extracted, 'row')} {good:,} can be loaded and "
            f"{counted(self.all_rejected, 'would be a reject', 'would be rejects')}{repeated}{repaired}."
            f"{self._missing()}"
        )

    def _missing(self) -> str:
        if not self.not_computed:
            return ""
        return f" PostgreSQL computes {', '.join(self.not_computed)}: name a warehouse (--warehouse) to see what."

    def remarks(self) -> list[str]:
        """What the checks of values say besides, a sentence each."""
        alike = [
            f"{counted(count, 'row fails', 'rows fail')} {check}: row {first} has the values of row {last}"
            for check, (count, first, last) in self.alike.items()
        ]
        fails = [f"would fail the table: {said}" for said in self.failing]
        left = [f"judged by a load alone, in the warehouse: {'; '.join(self.unjudged)}"] if self.unjudged else []
        return [*alike, *fails, *left]

    def document(self) -> dict[str, Any]:
        """Everything, for JSON; values that JSON has no word for are still as they are."""
        return {
            "complete": self.complete,
            "extracted": self.extracted,
            "rejected": self.all_rejected,
            "repeated": self.repeated,
            "repaired": self.repaired,
            "rows": self.rows,
            "rejects": [reject.model_dump(mode="json") for reject in self.rejects],
            "not_computed": list(self.not_computed),
            "alike": {check: count for check, (count, *_) in self.alike.items()},
            "failing": self.failing,
            "unjudged": self.unjudged,
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
    from sluiceway.load.judged import wrong_checks

    if wrong := wrong_checks(spec):
        raise ConfigError("\n".join(f"{spec.name}: {said}" for said in wrong))
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

    found, staged, nulls = Preview(), Staged(), Counter[str]()
    found.not_computed = spec.computed if url is None else ()
    given = spec.given()
    with closing(RejectSpool(found.rejects)) as spool, _keys(given) as keys, _computer(spec, url) as computed:
        with open_source(spec, place, connections) as extraction:
            for batch in loadable(spec, extraction, spool, staged):
                good, values = computed(batch, spool)
                if spec.key == "content" or not {*spec.key} & {*spec.computed}:
                    keys.add(good)
                nulls += Counter({name: good.column(name).null_count for name in given.checks.null_shares()})
                wanted = rows - len(found.rows)
                found.rows += _shown(spec, good.slice(0, wanted), values[:wanted])
                if limit is not None and staged.extracted >= limit:
                    found.complete = False
                    break
        found.extracted, found.rejected, found.repaired = staged.extracted, spool.count, staged.repaired
        if spec.duplicates == "reject":
            found.repeated, found.repeated_example = keys.repeated()
            found.each_stands = keys.each_stands() if found.repeated else 1
        _judge(spec, found, staged, keys, nulls)
    return found


def _judge(spec: TableSpec, found: Preview, staged: Staged, keys: _Keys, nulls: Counter[str]) -> None:
    """What the checks of values say, as far as they can be judged here."""
    from sluiceway.load.row_checks import nulls_beyond

    found.failing = staged.failing.sentences(spec)
    for rule, alike in keys.alike():
        check = f"{rule.where}.{rule.told}"
        found.alike[check] = alike
        if rule.fails_table:
            found.failing.append(f"{counted(alike[0], 'row fails', 'rows fail')} {check}")
    if found.complete:
        found.failing += nulls_beyond(spec.given(), found.extracted - found.all_rejected, nulls)
        found.failing += _counted_wrong(spec, found)
    judged = [*spec.given().checks.rules("accepted", "range", "pattern", "unique")]
    found.unjudged = [f"{rule.where}.{rule.told}" for rule in spec.checks.rules(*KINDS) if rule not in judged]


def _counted_wrong(spec: TableSpec, found: Preview) -> Iterator[str]:
    """What the numbers of rows and of rejects fail."""
    if found.extracted < spec.checks.min_rows:
        has = f"only {counted(found.extracted, 'row')}" if found.extracted else "no rows"
        yield f"the source gives {has}, checks.min_rows is {spec.checks.min_rows:,}"
    allowed = spec.checks.rejects_allowed(found.extracted)
    if found.all_rejected > allowed:
        yield f"{counted(found.all_rejected, 'reject')}, checks.max_rejects allows {allowed:,}"


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
        self._spec = spec
        self._unique = list(spec.checks.rules("unique"))
        hashes = [_hash(names), *(_hash(rule.columns, unless_null=True) for rule in self._unique)]
        self._hashes = ", ".join(hashes)
        more = "".join(f", unique_{number} UBIGINT" for number, _ in enumerate(self._unique))
        connection.execute(f"CREATE TABLE keys (number BIGINT, key UBIGINT{more})")

    def add(self, batch: pa.RecordBatch) -> None:
        from sluiceway.load.stage_table import ROW_NUMBER

        self._duckdb.register("batch", batch)
        self._duckdb.execute(f'INSERT INTO keys SELECT "{ROW_NUMBER}", {self._hashes} FROM batch')  # noqa: S608
        self._duckdb.unregister("batch")

    def alike(self) -> Iterator[tuple[Rule, tuple[int, int, int]]]:
        """Each `unique` that rows fail: how many, and the numbers of the first and of the one that it is like.

        A row that is a reject already counts no more; so this is asked last.
        """
        if self._unique and self._spec.duplicates == "reject":
            self._drop_all_but_last("key")
        for number, rule in enumerate(self._unique):
            value = f"unique_{number}"
            lasts = (
                f"SELECT number, max(number) OVER (PARTITION BY {value}) AS last FROM keys WHERE {value} IS NOT NULL"  # noqa: S608
            )
            found = self._duckdb.execute(
                f"SELECT count(*), min(number), min_by(last, number) FROM ({lasts}) WHERE number < last"  # noqa: S608
            ).fetchone()
            if found and found[0]:
                yield rule, (int(found[0]), int(found[1]), int(found[2]))
                self._drop_all_but_last(value)

    def _drop_all_but_last(self, column: str) -> None:
        self._duckdb.execute(
            f"DELETE FROM keys USING (SELECT {column} AS value, max(number) AS last FROM keys GROUP BY {column}) k "  # noqa: S608
            f"WHERE {column} = k.value AND number < k.last"
        )

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


def _hash(names: Sequence[str], *, unless_null: bool = False) -> str:
    quoted = ['"' + name + '"' for name in names]
    whole = f"hash({', '.join(quoted)})"
    return (
        f"CASE WHEN {' AND '.join(f'{name} IS NOT NULL' for name in quoted)} THEN {whole} END" if unless_null else whole
    )


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
