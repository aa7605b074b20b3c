"""Delimited text."""

from __future__ import annotations

import csv
import gzip
import io
from typing import ClassVar

from sluiceway.errors import EmptyExtractionError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table


class Csv:
    """UTF-8 and commas, a header, and nothing for null."""

    excused: ClassVar = {"lost_connection": FETCHED}
    empty_is = EmptyExtractionError

    def rows(self, bench: Bench, table: Table) -> Served:
        return bench.file("city.csv", _text(table).encode())

    def empty(self, bench: Bench) -> Served:
        return bench.file("city.csv", b"")

    def with_broken_record(self, bench: Bench, table: Table, number: int) -> Served:
        lines = _text(table).splitlines()
        lines[number] += ",one value too many"
        return bench.file("city.csv", "\n".join(lines).encode())

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return bench.file("city.csv", _text(table).encode("cp1252"))

    def encoded(self, bench: Bench, table: Table) -> Served:
        served = self.misencoded(bench, table)
        return Served({**served.source, "encoding": "cp1252"}, served.place)

    def cut_off(self, bench: Bench, table: Table) -> Served:
        # only a packed text knows its end; it is larger than what is read at once
        wide = table.changed(note=["x" * 1_000] * len(table.rows))
        return bench.cut(bench.file("city.csv.gz", gzip.compress(_text(wide).encode())))


def _text(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


KIND = Csv()
