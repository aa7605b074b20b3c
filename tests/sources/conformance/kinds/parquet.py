"""A Parquet file."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from sluiceway.errors import SourceUnreadableError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table


class Parquet:
    """Columns have types: a number that is no number makes a column of texts."""

    excused: ClassVar = {
        "broken_record": "Parquet holds columns, all of one length: no row has more or fewer values.",
        "declared_encoding": "Texts of Parquet are UTF-8 by its definition, so there is no key that says otherwise.",
        "lost_connection": FETCHED,
    }
    empty_is = SourceUnreadableError

    def rows(self, bench: Bench, table: Table) -> Served:
        return self._written(bench, table.arrow())

    def empty(self, bench: Bench) -> Served:
        return bench.file("city.parquet", b"")

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return self._written(bench, in_cp1252(table))

    def cut_off(self, bench: Bench, table: Table) -> Served:
        return bench.cut(self.rows(bench, table))

    def _written(self, bench: Bench, table: pa.Table) -> Served:
        pq.write_table(table, bench.folder / "city.parquet")
        return bench.at(bench.folder / "city.parquet")


def in_cp1252(table: Table) -> pa.Table:
    """The rows with texts that claim to be UTF-8 and are not: Arrow itself does not look."""
    right = table.arrow()
    position = right.schema.get_field_index("name")
    texts = pa.array([str(name).encode("cp1252") for name in table.columns["name"]], pa.binary())
    wrong = pa.Array.from_buffers(pa.string(), len(texts), texts.buffers())
    return right.set_column(position, "name", wrong)


KIND = Parquet()
