"""The rows of a dBase file (.dbf), alone or beside a shapefile, read here: GDAL bends what does not fit its column.

It makes 1970-01-01 of 20201345, 120 of 120.5 in a column of whole numbers, 309 of 309,92 and a double of twenty
digits, and takes a memo's block and FoxPro's binary numbers for values. It is asked for the shapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from sluiceway.errors import SchemaDriftError, SourceUnreadableError
from sluiceway.sources.formats.vector import dbase_values as values_of
from sluiceway.sources.formats.vector.dbase_memo import MemoFile, memo_beside
from sluiceway.sources.formats.vector.dbase_texts import DbaseTexts
from sluiceway.sources.formats.vector.dbase_values import Flags
from sluiceway.sources.formats.vector.shapefile import DbaseHeader, dbase_header, live_rows
from sluiceway.sources.formats.vector.vector_files import VectorFile
from sluiceway.sources.selection import Numbers
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

ROWS_BYTES = 8 << 20
"""Of rows that are read at once, at most."""
ROWS_AT_ONCE = 4_000
_END_OF_COLUMNS = 0x0D
_LEVEL_7 = frozenset({0x04, 0x8C})
_DBASE_4 = frozenset({0x8B, 0x8E, 0xCB})
_SYSTEM, _NULLABLE, _BINARY = 0x01, 0x02, 0x04
_FAMILIES = {
    **dict.fromkeys("CVM", "text"),
    **dict.fromkeys("NFIBY+", "number"),
    **dict.fromkeys("DT@", "time"),
    "L": "boolean",
}
_WIDTHS = {"I": 4, "B": 8, "Y": 8, "T": 8}
"""Bytes of FoxPro's binary values."""
_READERS: dict[str, Callable[[values_of.Cells, Flags], pa.Array | None]] = {
    "I": values_of.integers,
    "B": values_of.doubles,
    "Y": values_of.amounts,
    "T": values_of.moments,
}


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    """The letter that stands for its type."""
    start: int
    width: int
    decimals: int
    flags: int
    null_bit: int | None
    """Of FoxPro's nulls."""
    length_bit: int | None
    """Says that a text of varying length has its length in its last byte."""

    @property
    def cells(self) -> slice:
        return slice(self.start, self.start + self.width)


class DbaseTable:
    """The rows of one .dbf; none is kept."""

    def __init__(self, spec: TableSpec, source: VectorSource, file: VectorFile, path: Path) -> None:
        """
        :param path: of the .dbf, which belongs to `file`.
        :raises SourceUnreadableError: it is no dBase file of a kind that is read; its encoding is none.
        """
        self._spec = spec
        self._path = path
        self._place = file.place
        self._header: DbaseHeader = dbase_header(path)
        self.texts = DbaseTexts(spec.name, file, declared=source.encoding, language=self._header.language)
        with path.open("rb") as opened:
            head = opened.read(max(32, self._header.header_bytes))
        self._nulls: slice | None = None
        self._columns = {column.name: column for column in self._named(self._described(head))}
        beside = memo_beside(path)
        self._memos = MemoFile(spec, beside, file.place, fourth=head[0] in _DBASE_4) if beside is not None else None
        self.columns = {name: self._family(column) for name, column in self._columns.items()}
        """The family of each column; binary where its values are no text, or stand in a file that is not there."""
        self._check_declared()

    @property
    def rows_at_once(self) -> int:
        """A power of two, or ROWS_AT_ONCE."""
        fit = max(1, ROWS_BYTES // max(1, self._header.row_bytes))
        return min(ROWS_AT_ONCE, 1 << (fit.bit_length() - 1))

    def plain_names(self) -> frozenset[str]:
        """Columns by whose values GDAL can be asked for rows: it reads them as they are read here."""
        return frozenset(name for name, column in self._columns.items() if column.kind in "CN" and name in self._once)

    def read(self, rows: Numbers, chosen: Mapping[str, str], numbers: Sequence[int]) -> dict[str, pa.Array]:
        """Some rows.

        :param rows: their places in the file, from 0, in ascending order.
        :param chosen: column of the result -> column.
        :param numbers: what they are called in messages.
        :raises SourceUnreadableError: a text is not in the encoding, or a memo is not there.
        """
        records = self._records(rows)
        return {target: self._values(records, self._columns[name], numbers) for target, name in chosen.items()}

    def values(self, name: str) -> tuple[pa.ChunkedArray, Numbers]:
        """A column's values as texts, of all rows that are not deleted, and the places of these rows."""
        places = np.flatnonzero(live_rows(self._path))
        texts = []
        for start in range(0, len(places), self.rows_at_once):
            rows = places[start : start + self.rows_at_once]
            found = self.read(rows, {name: name}, range(start + 1, start + len(rows) + 1))[name]
            texts.append(found.cast(pa.string()))
        return pa.chunked_array(texts, pa.string()), places

    def _described(self, head: bytes) -> Iterator[tuple[bytes, str, int, int, int]]:
        """Name, kind, width, decimals and flags of each column."""
        described = []
        for start in range(32, len(head) - 31, 32):
            if head[start] == _END_OF_COLUMNS:
                break
            field = head[start : start + 32]
            described.append((field[:11].partition(b"\0")[0].rstrip(b" "), chr(field[11]).upper(), *field[16:19]))
        needed, row = 1 + sum(width for _, _, width, *_ in described), self._header.row_bytes
        # a text of more than 255 bytes has the rest of its width where numbers have their decimals
        wide = [(n, k, w + 256 * d, 0, f) if k == "C" else (n, k, w, d, f) for n, k, w, d, f in described]
        if needed != row and 1 + sum(width for _, _, width, *_ in wide) == row:
            return iter(wide)
        if needed > row or not described or (head[0] in _LEVEL_7 and needed != row):
            why = " (dBase 7 is not read; save it as dBase IV)" if head[0] in _LEVEL_7 else ""
            raise SourceUnreadableError(
                f"{self._spec.name}: {self._place} cannot be read: its .dbf says a row has {row:,} bytes and its "
                f"columns {needed:,}{why}"
            )
        return iter(described)

    def _named(self, described: Iterator[tuple[bytes, str, int, int, int]]) -> Iterator[_Column]:
        fields = list(described)
        names = self._names([raw for raw, *_ in fields])
        start, bit = 1, 0
        for name, (_, kind, width, decimals, flags) in zip(names, fields, strict=True):
            length_bit = null_bit = None
            if kind in "VQ":
                length_bit, bit = bit, bit + 1
            if flags & _NULLABLE:
                null_bit, bit = bit, bit + 1
            if kind == "0" and flags & _SYSTEM:
                self._nulls = slice(start, start + width)
            else:
                yield _Column(name, kind, start, width, decimals, flags, null_bit, length_bit)
            start += width

    def _names(self, raw: Sequence[bytes]) -> list[str]:
        """A name that stands several times becomes NAME_1, NAME_2; one that is empty the column's number."""
        given = [self.texts.name(each) or str(number) for number, each in enumerate(raw, 1)]
        counts, seen, taken = Counter(given), Counter[str](), set(given)
        names = []
        for name in given:
            unique = name
            while counts[name] > 1 and unique in taken:
                seen[name] += 1
                unique = f"{name}_{seen[name]}"
            taken.add(unique)
            names.append(unique)
        self._once = frozenset(name for name in given if counts[name] == 1)
        return names

    def _family(self, column: _Column) -> str:
        without = column.kind == "M" and self._memos is None
        odd = column.width != _WIDTHS.get(column.kind, column.width) or not column.width
        binary = column.flags & _BINARY and column.kind in "CVM"
        return "binary" if without or odd or binary else _FAMILIES.get(column.kind, "binary")

    def _check_declared(self) -> None:
        if self._spec.transform is not None:
            return
        for target in self._spec.columns:
            for name in map(str, self._spec.source_names(target)):
                if self.columns.get(name) == "binary" and name in self._columns:
                    kind = self._columns[name].kind
                    why = f"is of dBase's type {kind}, which is no text; remove it from [columns]"
                    if kind == "M" and self._memos is None:
                        why = "holds memos, which stand in a .dbt or .fpt beside the .dbf: there is none; fetch it too"
                    raise SchemaDriftError(f"{self._spec.name}: {self._place}: column {name!r} {why}")

    def _records(self, rows: Numbers) -> values_of.Cells:
        found = np.empty((len(rows), self._header.row_bytes), dtype=np.uint8)
        # where a row does not follow the one before: those between are deleted, or of another piece
        starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        with self._path.open("rb") as file:
            for first, end in pairwise(starts):
                if first == end:
                    continue
                file.seek(self._header.header_bytes + int(rows[first]) * self._header.row_bytes)
                part = found[first:end].reshape(-1)
                if file.readinto(part.data) != part.nbytes:
                    raise SourceUnreadableError(
                        f"{self._spec.name}: {self._place}: its .dbf is shorter than a moment ago"
                    )
        return found

    def _values(self, records: values_of.Cells, column: _Column, numbers: Sequence[int]) -> pa.Array:
        cells = np.ascontiguousarray(records[:, column.cells])
        nulls = self._bit(records, column.null_bit)
        family, kind = self.columns[column.name], column.kind
        found = None
        if family == "binary":
            return _binary(cells, nulls)
        if kind in _WIDTHS:
            found = _READERS[kind](cells, nulls)
            if found is None:
                raise SourceUnreadableError(
                    f"{self._spec.name}: {self._place}: from row {numbers[0]:,} on, column {column.name!r} holds a "
                    f"moment that is none; remove it from [columns]"
                )
            return found
        cells[nulls] = ord(" ")
        if kind == "M":
            found = self._memo(cells, column, numbers)
        elif kind in "NF":
            found = values_of.numbers(cells, column.decimals)
        elif kind == "D":
            found = values_of.dates(cells)
        elif kind == "L":
            found = values_of.booleans(cells)
        if found is not None:
            return found
        if kind == "V":
            _cut(cells, self._bit(records, column.length_bit))
        texts = values_of.trimmed(cells)
        return self.texts.decode(texts, column.name, numbers, column.width)

    def _bit(self, records: values_of.Cells, bit: int | None) -> Flags:
        """Which rows have a bit of FoxPro's flags."""
        if bit is None or self._nulls is None or bit // 8 >= self._nulls.stop - self._nulls.start:
            return np.zeros(len(records), dtype=np.bool_)
        found: Flags = (records[:, self._nulls.start + bit // 8] & (1 << bit % 8)).astype(np.bool_)
        return found

    def _memo(self, cells: values_of.Cells, column: _Column, numbers: Sequence[int]) -> pa.Array:
        if self._memos is None:
            raise AssertionError("a column of memos without their file is binary")
        if column.width == 4:
            blocks = np.where((cells == ord(" ")).all(axis=1), 0, cells.view("<u4").reshape(-1)).tolist()
        else:
            spelled = values_of.numbers(cells, 0)
            if spelled is None or not pa.types.is_integer(spelled.type):
                raise SourceUnreadableError(
                    f"{self._spec.name}: {self._place}: from row {numbers[0]:,} on, column {column.name!r} names a "
                    f"memo by something that is no number"
                )
            blocks = [block or 0 for block in spelled.to_pylist()]
        memos = self._memos.read(blocks, column.name, int(numbers[0]) if len(numbers) else 1)
        return self.texts.decode(_array(memos), column.name, numbers, None)


def _array(values: Sequence[bytes | None]) -> pa.Array:
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum([len(value or b"") for value in values], out=offsets[1:])
    given = np.packbits([value is not None for value in values], bitorder="little").tobytes()
    content = b"".join(value or b"" for value in values)
    buffers = [pa.py_buffer(given), pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def _binary(cells: values_of.Cells, nulls: Flags) -> pa.Array:
    blank = ((cells == ord(" ")) | (cells == 0)).all(axis=1) | nulls
    return _array([None if none else bytes(cell) for cell, none in zip(cells, blank.tolist(), strict=True)])


def _cut(cells: values_of.Cells, short: Flags) -> None:
    """Blank what stands behind a text whose length is its last byte."""
    length = np.where(short, cells[:, -1], cells.shape[1])
    cells[np.arange(cells.shape[1]) >= length[:, None]] = ord(" ")
