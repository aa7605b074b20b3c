"""A table's first load: its rows are copied straight into it, as they will stand there, and nothing is staged.

Staging costs a second copy of all rows, and a look for keys that are repeated: a third of a load. Here the key's own
index finds those when it is built, and the load begins anew by the staging table, which tells which rows they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from sluiceway.errors import WarehouseError
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.cast import Caster, decimal_of, quoted
from sluiceway.load.merge import Merged, add_key, complete, ensure_table, table_exists, target_of
from sluiceway.load.stage_table import REMEMBERED, ROW_NUMBER, BeginAnewError
from sluiceway.tables.spec import RUN_COLUMN, Geometry, TableSpec

UNIQUE_VIOLATION = "23505"
_OF_MANY = 3
"""In WKB a shape of many has the number of what it has many of, and this on top: MultiPoint is 4."""


class RepeatedKeyError(BeginAnewError):
    """Only a staging table tells which rows share a key."""

    def __init__(self) -> None:
        super().__init__("rows share a key; they are staged, to tell which")


class FewRejectsKnownError(BeginAnewError):
    """There are more rejects than may be, and more rows may repeat a key, or fail a check."""

    def __init__(self) -> None:
        super().__init__("too many rows cannot be loaded; all are staged, to tell which")


def first_load(session: Session, spec: TableSpec, run: RunKey) -> FirstLoad | None:
    """What fills the table itself; None: it is there already, or not every value can travel as it will stand."""
    if not is_direct(spec) or table_exists(session, spec):
        return None
    return FirstLoad(spec, run)


def is_direct(spec: TableSpec) -> bool:
    """Whether every value can travel as it will stand; PostgreSQL makes the others of what is staged."""
    # a content key is made of the values that PostgreSQL has; numbers without bounds, heights and what an expression
    # computes are made by PostgreSQL itself
    numbers = (column.sql_type for column in spec.columns.values() if column.sql_type.base == "numeric")
    return (
        spec.target == "postgresql"
        and spec.key != "content"
        and not spec.computed
        and all(number.args for number in numbers)
        and (spec.geometry is None or spec.geometry.dimensions == "XY")
    )


@dataclass(frozen=True)
class FirstLoad:
    """The new table while it is filled."""

    spec: TableSpec
    run: RunKey

    def create(self, session: Session) -> None:
        """Make the table. A new row is one of this run, so that the run need not travel with each."""
        ensure_table(session, self.spec)
        self._run_is(session, sql.SQL("SET DEFAULT {}").format(sql.Literal(str(self.run))))

    def rows(self, batch: pa.RecordBatch, caster: Caster) -> pa.RecordBatch:
        """The batch that would be staged, as the table takes it."""
        batch = batch.drop_columns([ROW_NUMBER, REMEMBERED])
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if made := self._made_by_duckdb():
            columns |= caster.by_duckdb(batch.select(list(made)), made)
        for name, column in self.spec.columns.items():
            if column.sql_type.base == "jsonb":
                # its binary form is a version, 1, and the text
                columns[name] = pc.binary_join_element_wise("\x01", columns[name].cast(pa.string()), "")
        if self.spec.geometry is not None:
            name = self.spec.geometry.column
            columns[name] = as_declared(columns[name], self.spec.geometry)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def finish(self, session: Session, rows: int) -> Merged:
        """Give the filled table its key and its indexes.

        :raises RepeatedKeyError: rows share a key.
        :raises FailingRowsError: rows fail a check.
        :raises CheckFailedError: a column has too many nulls.
        """
        self._run_is(session, sql.SQL("DROP DEFAULT"))
        try:
            add_key(session, self.spec)
        except WarehouseError as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                raise RepeatedKeyError from error
            raise
        if self.spec.checks.need_every_row():
            # what judges a condition is only loaded for tables with such a check
            from sluiceway.load.row_checks import check_new

            check_new(session, self.spec)
        merged = Merged(inserted=rows, updated=0, deleted=0, table_rows=rows)
        complete(session, self.spec, merged)
        return merged

    def _run_is(self, session: Session, default: sql.Composable) -> None:
        session.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} {}").format(
                target_of(self.spec), sql.Identifier(RUN_COLUMN), default
            )
        )

    def _made_by_duckdb(self) -> dict[str, str]:
        made = {}
        for name, column in self.spec.columns.items():
            if column.sql_type.base == "numeric":
                made[name] = decimal_of(quoted(name), column.sql_type)
            elif column.sql_type.base == "uuid":
                made[name] = f"unhex(replace({quoted(name)}, '-', ''))"
        return made


def as_declared(wkb: pa.Array, geometry: Geometry) -> pa.Array:
    """WKB of two dimensions, without an SRID: what stands alone is made a shape of many where such are declared."""
    if not geometry.type.startswith("Multi"):
        return wkb
    wkb = wkb.cast(pa.binary())
    kinds = _kinds(wkb)
    kinds[kinds > _OF_MANY] = 0
    before = pa.array([b"", *(bytes([1, kind + _OF_MANY, 0, 0, 0, 1, 0, 0, 0]) for kind in (1, 2, 3))], pa.binary())
    return pc.binary_join_element_wise(before.take(pa.array(kinds)), wkb, pa.scalar(b"", pa.binary()))


def _kinds(wkb: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of each shape's kind; 0 for none."""
    kinds = np.zeros(len(wkb), dtype=np.int64)
    _, offsets, data = wkb.buffers()
    if data is None:
        return kinds
    there = np.flatnonzero(pc.is_valid(wkb).to_numpy(zero_copy_only=False))
    starts = np.frombuffer(offsets, dtype=np.int32)[wkb.offset :][there]
    octets = np.frombuffer(data, dtype=np.uint8)
    is_little = octets[starts] == 1
    # the lowest byte of four, in the order that the first byte says
    kinds[there] = octets[starts + np.where(is_little, 1, 4)]
    return kinds
