"""One sheet of an .xlsx workbook, row by row.

A cell has a type, a column has none: a batch's column is of the type its cells all have, if the declared type takes
it, else it is text. A number that its format shows with zeros in front is a text with these zeros, unless a number is
declared. A formula is its last result, an error such as #N/A is a text, so where a number is declared the row is a
reject. Rows without any value are no data.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
from openpyxl.utils import column_index_from_string

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError, listed, nearest, said_by, shortened
from sluiceway.sources.bounds import check_columns
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.footer import doubts
from sluiceway.sources.formats import excel_parts, office
from sluiceway.sources.formats.archive import check_archive, unpacking
from sluiceway.sources.formats.excel_codes import Code, show_codes
from sluiceway.sources.formats.excel_parts import WorkbookReader
from sluiceway.sources.formats.header import check_width, column_names, declared_positions
from sluiceway.sources.formats.values import spelled_array, typed_array
from sluiceway.tables.column import Column
from sluiceway.tables.source_spec import ExcelSource
from sluiceway.tables.spec import TableSpec

BATCH_ROWS = 5_000
BATCH_CHARACTERS = 2 << 20
FIRST_ROWS = 500
"""So many rows say how wide a sheet without a header is."""
CHUNK_BYTES = 1 << 20
LONGEST_CELL_BYTES = 1 << 17
"""32,767 characters and a formula of 8,192, with room for how XML spells them."""
MOST_DIGITS = 10**15
"""Excel keeps 15 digits: a whole number of fewer is one, also where it is stored as 5.0."""

_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_TIMES = frozenset({"date", "timestamp", "timestamptz"})
_NO_RESULT = re.compile(
    rb"<(?:\w+:)?c(?=\s)(?![^>]*\st=\"str\")[^>]*\sr=\"([A-Z]+)(\d+)\"[^>]*>\s*"
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|(?<!/)>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*(?:/>|></(?:\w+:)?v>)\s*)?</(?:\w+:)?c>"
)
"""A cell with a formula that was never calculated; the result of a text may be empty."""

Row = Sequence[Any]


@contextmanager
def open_excel(spec: TableSpec, source: ExcelSource, path: Path) -> Iterator[Extraction]:
    """Open one sheet; its columns have no types, so all of them are called text."""
    if source.member is not None:
        raise ConfigError(f"{spec.name}: source.member: a workbook is read as it is; name it itself as source.uri")
    with _reading(spec, source, path) as reader, closing(reader.rows()) as rows:
        first = list(islice(rows, FIRST_ROWS))
        check_columns(spec, reader.header or range(reader.widest), reader.place)
        header = reader.header if source.header else [""] * max(map(len, first), default=0)
        reader.columns = dict.fromkeys(column_names(header, header=source.header), "text")
        extraction = Extraction(columns=reader.columns, batches=iter(()), notes=reader.notes)
        if header:
            reader.positions = declared_positions(spec, header, reader.place, header=source.header)
            _check_formulas(reader, path)
            extraction.batches = reader.batches(first, rows)
        yield extraction


@contextmanager
def _reading(spec: TableSpec, source: ExcelSource, path: Path) -> Iterator[_Reader]:
    """What reads the sheet, once the workbook is known to be one that is read."""
    _check_workbook(spec, source, path)
    with _workbook(spec, path) as workbook:
        sheet = _sheet(source, workbook, path)
        reader = _Reader(spec, source, f"{path.name}, sheet {shortened(sheet.title)}", sheet)
        excel_parts.check_width(spec, sheet, reader.place)
        show_codes(sheet)
        yield reader


@dataclass(frozen=True)
class Look:
    """The beginning of a sheet, for whoever has to find out how it is to be read."""

    lines: list[list[str]]
    """All of its first lines, without the empty cells at their end."""
    merged: list[str]
    """Where cells are merged, such as A2:A6: only the first one of each holds a value."""


def look(spec: TableSpec, source: ExcelSource, path: Path, lines: int) -> Look:
    """Look at the first lines of a sheet; raises as open_excel does."""
    with _reading(spec, source, path) as reader:
        with closing(reader.all_lines()) as found:
            first = [["" if value is None else spelled(value) for value in line] for line in islice(found, lines)]
        return Look(first, excel_parts.merged_cells(path, reader.sheet))


def parts_in_excel(spec: TableSpec, source: ExcelSource, path: Path) -> list[str]:
    """The names of the sheets; raises as open_excel does of a workbook."""
    _check_workbook(spec, source, path)
    with _workbook(spec, path) as workbook:
        return [sheet.title for sheet in workbook.worksheets]


def _check_workbook(spec: TableSpec, source: ExcelSource, path: Path) -> None:
    """:raises SourceUnreadableError: the file is no .xlsx workbook, or unpacks to more than max_bytes."""
    place = f"{spec.name}: {path.name}"
    what = office.what_is(path, otherwise="is an old .xls; save it as .xlsx")
    if what is None and not zipfile.is_zipfile(path):
        what = "is no .xlsx workbook, or breaks off"
    if what is not None:
        raise SourceUnreadableError(f"{place} {what}")
    check_archive(path, source.max_bytes)
    with unpacking(f"{place} is no .xlsx workbook"), zipfile.ZipFile(path) as archive:
        what = office.what_in(archive)
    if what is not None:
        raise SourceUnreadableError(f"{place} {what}")
    excel_parts.check_sheets(spec, path)


@contextmanager
def _workbook(spec: TableSpec, path: Path) -> Iterator[openpyxl.Workbook]:
    with path.open("rb") as file:
        try:
            # not by name: openpyxl goes by the suffix
            reader = WorkbookReader(spec, file, path)
            reader.read()
        except SourceUnreadableError:
            raise
        except Exception as error:
            raise SourceUnreadableError(f"{spec.name}: {path.name} is no .xlsx workbook: {_words(error)}") from error
        with closing(reader.wb):
            yield reader.wb


def _words(error: Exception) -> str:
    # a KeyError's is quoted
    return said_by(error).strip("'\"") or type(error).__name__


def _sheet(source: ExcelSource, workbook: openpyxl.Workbook, path: Path) -> Any:
    sheets = {sheet.title: sheet for sheet in workbook.worksheets}
    if source.sheet is None and len(sheets) != 1:
        raise SourceMissingError(
            f"{path.name} holds {len(sheets)} sheets: {listed([*sheets])}; name one as source.sheet"
        )
    if source.sheet is not None and source.sheet not in sheets:
        raise SourceMissingError(f"{path.name} has no sheet {source.sheet!r}{nearest(source.sheet, sheets)}")
    found = sheets[source.sheet] if source.sheet is not None else next(iter(sheets.values()))
    # some programs write a wrong size of the sheet, and openpyxl would stop there
    found.reset_dimensions()
    return found


@dataclass
class _Reader:
    """Reads the rows of one sheet."""

    spec: TableSpec
    source: ExcelSource
    place: str
    sheet: Any
    """openpyxl's ReadOnlyWorksheet, whose stubs lack half of it."""
    header: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    """Those of the extraction."""
    positions: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    """Those of the extraction, too."""
    widest: int = 0

    def rows(self) -> Generator[Row, None, None]:
        """The rows that hold data; the header is kept aside."""
        given = (row for row in islice(self.all_lines(), self.source.skip_lines, None) if row)
        if self.source.header:
            self.header = ["" if value is None else spelled(value) for value in next(given, ())]
            self.widest = len(self.header)
        held: deque[Row] = deque()
        for row in given:
            held.append(row)
            if len(held) > self.source.skip_footer:
                data = held.popleft()
                self.widest = max(self.widest, len(data))
                yield data
        self.notes |= doubts(held, self.widest)

    def all_lines(self) -> Generator[Row, None, None]:
        """Every row, without the empty cells at its end."""
        rows = self.sheet.iter_rows(values_only=True)
        number = 0
        while True:
            try:
                row = next(rows, None)
            except SourceUnreadableError:
                raise
            except Exception as error:
                raise SourceUnreadableError(
                    f"{self.spec.name}: {self.place} cannot be read after line {number:,}: {_words(error)}"
                ) from error
            if row is None:
                return
            number += 1
            excel_parts.check_height(self.spec, number, self.place)
            values = [_cell(value) for value in row]
            while values and values[-1] is None:
                values.pop()
            yield values

    def batches(self, first: list[Row], rest: Iterable[Row]) -> Generator[pa.RecordBatch, None, None]:
        """The chosen columns.

        :raises SchemaDriftError: no row reaches a declared position; known at the end only.
        """
        waiting, characters = first, 0
        for row in rest:
            if len(waiting) >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
                yield self._batch(waiting)
                waiting, characters = [], 0
            waiting.append(row)
            characters += sum(len(value) for value in row if type(value) is str)
        if waiting:
            check_width(self.spec, self.positions, self.widest, self.place)
            yield self._batch(waiting)

    def _widen(self) -> None:
        """Have all columns that a row has reached, where all are wanted and no header says how many there are."""
        for position in range(len(self.columns), self.widest):
            self.columns[str(position + 1)] = "text"
            self.positions[str(position + 1)] = position
        check_columns(self.spec, self.columns, self.place)

    def _batch(self, rows: list[Row]) -> pa.RecordBatch:
        arrays = []
        if self.spec.transform is not None and not self.source.header:
            self._widen()
        for target, position in self.positions.items():
            values = [row[position] if position < len(row) else None for row in rows]
            column = None if self.spec.transform is not None else self.spec.columns.get(target)
            arrays.append(typed_array(values, spelled) if column is None else _as_declared(values, column))
        return pa.RecordBatch.from_arrays(arrays, names=list(self.positions))


def _cell(value: Any) -> Any:
    """What a cell holds: a whole number is an integer, an empty text is nothing."""
    if type(value) is dt.date:
        return dt.datetime.combine(value, dt.time.min)
    if type(value) is float and abs(value) < MOST_DIGITS and value == int(value):
        return int(value)
    return None if value == "" else value


def _as_declared(values: Sequence[Any], column: Column) -> pa.Array:
    """The values in their own type if the declared one is of that kind, else as text, which every type can be."""
    base = column.sql_type.base
    own: frozenset[type] = frozenset()
    if base in _NUMBERS:
        own = frozenset({int, float})
        values = [int(value) if type(value) is Code else value for value in values]
    elif base in _TIMES:
        own = frozenset({dt.datetime})
    elif base == "boolean":
        own = frozenset({bool})
    if all(value is None or type(value) in own for value in values):
        return typed_array(values, spelled)
    pattern = column.format if base in _TIMES else None
    if pattern is None:
        return spelled_array(values, spelled)
    # dates among texts: all of them travel in the declared format
    return spelled_array(values, lambda value: _in_format(value, pattern))


def _in_format(value: Any, pattern: str) -> str:
    return value.strftime(pattern) if isinstance(value, dt.datetime) else spelled(value)


def spelled(value: Any) -> str:
    """A cell's value as text: a code has its zeros, a day no time, a duration is hours:minutes:seconds."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Code):
        return value.shown
    if isinstance(value, dt.datetime):
        return str(value.date()) if value.time() == dt.time.min else str(value)
    if isinstance(value, dt.timedelta):
        seconds = int(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)


def _check_formulas(reader: _Reader, path: Path) -> None:
    """Raises SourceUnreadableError when a formula was never calculated: its cell would look empty.

    Programs that write workbooks leave that to Excel, which does it when somebody opens and saves the file.
    """
    for letters, line in _cells_without_result(path, reader.sheet):
        if column_index_from_string(letters) - 1 in reader.positions.values() and line > reader.source.skip_lines:
            raise SourceUnreadableError(
                f"{reader.spec.name}: {reader.place} holds a formula in cell {letters}{line} that was never "
                f"calculated; open the file in Excel and save it"
            )


def _cells_without_result(path: Path, sheet: Any) -> Iterator[tuple[str, int]]:
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as xml:
        before = b""
        while chunk := xml.read(CHUNK_BYTES):
            text = before + chunk
            if b"<f" in text or b":f" in text:
                for found in _NO_RESULT.finditer(text):
                    yield found[1].decode(), int(found[2])
            before = text[-LONGEST_CELL_BYTES:]
