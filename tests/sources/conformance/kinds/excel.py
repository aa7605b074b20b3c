"""One sheet of a workbook."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import ClassVar

import openpyxl

from sluiceway.errors import SourceUnreadableError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table

SHEET = "xl/worksheets/sheet1.xml"
"""Where openpyxl writes the texts as well."""


class Excel:
    """A header, and a cell without a value for null."""

    excused: ClassVar = {
        "broken_record": "A cell has a place of its own: no row can shift the values of another column.",
        "lost_connection": FETCHED,
    }
    empty_is = SourceUnreadableError

    def rows(self, bench: Bench, table: Table) -> Served:
        workbook = openpyxl.Workbook()
        assert workbook.active is not None
        for row in [list(table.columns), *table.rows]:
            workbook.active.append(row)
        for cells in workbook.active.iter_rows():
            for cell in cells:
                # a text that begins with = would be a formula
                cell.data_type = "s" if isinstance(cell.value, str) else cell.data_type
        path = bench.folder / "city.xlsx"
        workbook.save(path)
        return bench.at(path)

    def empty(self, bench: Bench) -> Served:
        return bench.file("city.xlsx", b"")

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return _recoded(self.rows(bench, table), "utf-8")

    def encoded(self, bench: Bench, table: Table) -> Served:
        return _recoded(self.rows(bench, table), "windows-1252")

    def cut_off(self, bench: Bench, table: Table) -> Served:
        return bench.cut(self.rows(bench, table))


def _recoded(served: Served, said: str) -> Served:
    """The workbook with its texts in cp1252, and another word for that."""
    path = Path(served.source["uri"])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[SHEET] = f'<?xml version="1.0" encoding="{said}"?>{parts[SHEET].decode()}'.encode("cp1252")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return served


KIND = Excel()
