"""A JSON array of objects."""

from __future__ import annotations

import json
from typing import ClassVar

from sluiceway.errors import SourceUnreadableError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table


class Json:
    """Numbers and nulls are JSON's own."""

    excused: ClassVar = {
        "declared_encoding": "JSON is UTF-8 (RFC 8259, section 8.1), so there is no key that says otherwise.",
        "lost_connection": FETCHED,
    }
    # a text without a value is no JSON; an array without an object is the case header_only
    empty_is = SourceUnreadableError

    def rows(self, bench: Bench, table: Table) -> Served:
        return bench.file("city.json", _text(table).encode())

    def empty(self, bench: Bench) -> Served:
        return bench.file("city.json", b"")

    def with_broken_record(self, bench: Bench, table: Table, number: int) -> Served:
        records: list[object] = list(table.records)
        records[number - 1] = "no object"
        return bench.file("city.json", json.dumps(records).encode())

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return bench.file("city.json", _text(table).encode("cp1252"))

    def cut_off(self, bench: Bench, table: Table) -> Served:
        return bench.cut(self.rows(bench, table))


def _text(table: Table) -> str:
    return json.dumps(table.records, ensure_ascii=False)


KIND = Json()
