"""The parts of an .xlsx workbook, of which openpyxl builds trees: no tree becomes larger than it may.

A part of 60 MB packs to 60 KB, and takes 5 GB as a tree. Sheets and texts come in pieces, row by row and text by text;
all other parts are read whole.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self, overload
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from sluiceway.errors import SourceTooLargeError, SourceUnreadableError
from sluiceway.sources.bounds import check_batch, check_value
from sluiceway.tables.spec import TableSpec

MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
"""Of a sheet: https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3"""
MOST_MERGED = 1_000
"""Places of merged cells that are told."""
TAG_BYTES = 64
"""For each tag a tree may have so many bytes less of source.max_value_bytes."""
IN_MEMORY_BYTES = 32 << 20
"""Of the workbook's texts; the others wait on the disk."""
_TEXT_BYTES = 64
"""That a text takes in memory besides its letters."""
_CHUNK_BYTES = 1 << 16
_SCAN_BYTES = 1 << 20
_ROW = b"<row"
_SI, _T, _PIECE, _SPOKEN = (f"{SHEET_MAIN_NS} {name}" for name in ("si", "t", "r", "rPh"))
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]{0,99}?ref=\"([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})\"")
_LONGEST_TAG = 1 << 8
_ENDS = (b"</row>", b"</si>")
_ANY_END = re.compile(rb"</(?:\w+:)?(?:row|si)>|<(?:\w+:)?(?:row|si)(?:\s[^<>]*)?/>")
_DOCTYPE = b"<!DOCTYPE"
_HIDING = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
"""What looks like the end of a row between two of these is none."""
_HIDES = re.compile(b"|".join(map(re.escape, (_DOCTYPE, *_HIDING))))
_MARK_BYTES = len(_DOCTYPE)
"""Of the longest of them."""


def check_sheets(spec: TableSpec, path: Path) -> None:
    """See that no sheet has more rows than a sheet can have: openpyxl reads one that says no size twice.

    :raises SourceTooLargeError: one has.
    """
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.file_size < MOST_ROWS * len(_ROW):
                continue
            rows = 0
            with archive.open(part) as xml:
                for data in iter(lambda: xml.read(_SCAN_BYTES), b""):
                    rows += data.count(_ROW)
                    check_height(spec, rows, f"{path.name}, {part.filename}")


def merged_cells(path: Path, sheet: Any) -> list[str]:
    """Where cells of a sheet are merged, such as A2:A6; the first ones of many."""
    found: list[str] = []
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as xml:
        before = b""
        while (data := xml.read(_SCAN_BYTES)) and len(found) < MOST_MERGED:
            text, end = before + data, 0
            for each in _MERGED.finditer(text):
                found.append(each[1].decode())
                end = each.end()
            before = text[max(end, len(text) - _LONGEST_TAG) :]
    return found[:MOST_MERGED]


class Parts(zipfile.ZipFile):
    """The archive, as openpyxl reads it."""

    def __init__(self, spec: TableSpec, file: IO[bytes], place: str) -> None:
        self._spec, self._place = spec, place
        super().__init__(file)

    def open(self, name: Any, *args: Any, **kwargs: Any) -> Any:
        """A part that is read piece by piece."""
        return _Part(self._spec, super().open(name, *args, **kwargs), f"{self._place}, {_name(name)}", whole=False)

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:
        """A part that is read whole."""
        with super().open(name, pwd=pwd) as inner:
            return _Part(self._spec, inner, f"{self._place}, {_name(name)}", whole=True).read()


def _name(name: str | zipfile.ZipInfo) -> str:
    return name if isinstance(name, str) else name.filename


class _Part:
    """What is read of a part, counted on the way."""

    def __init__(self, spec: TableSpec, inner: IO[bytes], place: str, *, whole: bool) -> None:
        self._spec, self._inner, self._place, self._whole = spec, inner, place, whole
        self._most_tags = spec.source.max_value_bytes // TAG_BYTES
        self._tags = self._size = 0
        self._hidden_to: bytes | None = None
        self._before = b""
        """The end of what was read so far, in which a mark may have begun."""

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        if size >= 0:
            return self._counted(self._inner.read(size))
        return b"".join(iter(lambda: self._counted(self._inner.read(_CHUNK_BYTES)), b""))

    def _counted(self, data: bytes) -> bytes:
        end = self._end_in(data)
        if self._whole:
            end = -1
        self._look(data.count(b"<", 0, end) if end >= 0 else data.count(b"<"), end if end >= 0 else len(data))
        if end >= 0:
            self._tags, self._size = data.count(b"<", end), len(data) - end
        return data

    def _end_in(self, data: bytes) -> int:
        """Where the last row or text ends; -1: none does."""
        # UTF-16, in which ends are not looked for
        is_wide = b"\0" in data
        text = self._before + (data.replace(b"\0", b"") if is_wide else data)
        before, at, end = len(self._before), 0, -1
        while True:
            if self._hidden_to is not None:
                if (shown := text.find(self._hidden_to, at)) < 0:
                    break
                at, self._hidden_to = shown + len(self._hidden_to), None
            hides = _HIDES.search(text, at) if b"<!" in text or b"<?" in text else None
            if (found := _last_end(text[at : hides.start()] if hides else text[at:])) >= 0:
                end = at + found
            if hides is None:
                break
            if hides[0] == _DOCTYPE:
                raise SourceUnreadableError(
                    f"{self._spec.name}: {self._place} declares a document type, by which a short text can stand for a "
                    f"long one, and which no workbook has; save it anew in Excel"
                )
            at, self._hidden_to = hides.end(), _HIDING[hides[0]]
        self._before = text[max(at, len(text) - _MARK_BYTES + 1) :]
        return -1 if is_wide else max(-1, end - before)

    def _look(self, tags: int, size: int) -> None:
        self._tags += tags
        self._size += size
        what = "it is read at once and has" if self._whole else "a row or a text in it has"
        check_value(self._spec, self._size, self._place, what)
        if self._tags > self._most_tags:
            raise SourceTooLargeError(
                f"{self._spec.name}: {self._place}: {what} more than {self._most_tags:,} tags, one for each "
                f"{TAG_BYTES} bytes of source.max_value_bytes; raise it if right"
            )

    def close(self) -> None:
        """As a file's."""
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _last_end(data: bytes) -> int:
    """Where the last row or text ends; -1: none does."""
    if (plain := max(map(data.rfind, _ENDS))) >= 0:
        return plain
    last = -1
    for found in _ANY_END.finditer(data):
        last = found.start()
    return last


class WorkbookReader(ExcelReader):
    """openpyxl's reader over those parts, with the workbook's texts where they take little memory."""

    def __init__(self, spec: TableSpec, file: IO[bytes], path: Path) -> None:
        super().__init__(file, read_only=True, data_only=True, keep_links=False)
        self._spec, self._place = spec, path.name
        self.archive = Parts(spec, file, path.name)

    def read_strings(self) -> None:
        """The texts that the cells refer to by number."""
        part = self.package.find(SHARED_STRINGS)  # type: ignore[no-untyped-call]
        if part is None:
            return
        texts = Texts(self._spec, self._place)
        with self.archive.open(part.PartName[1:]) as xml:
            _TextReader(texts.add).read(xml)
        self.shared_strings = texts.quickest()  # type: ignore[assignment]  # it is asked for one by its number alone


class Texts(Sequence[str]):
    """Texts by their number: the first ones in memory, the others on the disk."""

    def __init__(self, spec: TableSpec, place: str) -> None:
        self._spec, self._place = spec, place
        self._kept: list[str] = []
        self._room = IN_MEMORY_BYTES
        self._file = tempfile.TemporaryFile(prefix="sluiceway-texts-")  # noqa: SIM115  # as long as the texts
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        return len(self._kept) + len(self._ends) - 1

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if 0 <= number < len(self._kept):
            return self._kept[number]
        if not 0 <= number < len(self):
            raise IndexError(f"there is no text {number}")
        at = number - len(self._kept)
        start, end = self._ends[at], self._ends[at + 1]
        return os.pread(self._file.fileno(), end - start, start).decode("utf-8", "surrogatepass")

    def add(self, text: str) -> None:
        """The next one."""
        if len(text) > self._spec.source.max_value_bytes:
            check_value(self._spec, len(text), self._place, f"text {len(self) + 1:,} of the workbook has")
        if self._room > 0:
            self._room -= len(text) + _TEXT_BYTES
            self._kept.append(text)
            return
        self._ends.append(self._ends[-1] + self._file.write(text.encode("utf-8", "surrogatepass")))
        if not len(self._ends) % _CHUNK_BYTES:
            check_batch(self._spec, 8 * len(self._ends), self._place, "the numbers of its texts take")

    def quickest(self) -> Sequence[str]:
        """The same texts, once all are there."""
        self._file.flush()
        return self if len(self._ends) > 1 else self._kept


class _TextReader:
    """Reads sharedStrings.xml as openpyxl does: a text is its own, or those of its pieces, without what is spoken.

    Its methods are called five times for a text, of which there may be millions.
    """

    __slots__ = ("_add", "_in_piece", "_inside", "_letters", "_pieces", "_spoken", "_whole")

    def __init__(self, add: Callable[[str], None]) -> None:
        self._add = add
        self._whole = ""
        self._pieces: list[str] = []
        self._letters: list[str] = []
        self._inside = self._spoken = self._in_piece = False

    def read(self, xml: IO[bytes]) -> None:
        """All of them."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._take
        while data := xml.read(_CHUNK_BYTES):
            parser.Parse(data)
        parser.Parse(b"", True)

    def _start(self, name: str, _: dict[str, str]) -> None:
        if name == _T:
            self._inside = not self._spoken
            self._letters.clear()
        elif name == _PIECE:
            self._in_piece = True
        elif name == _SPOKEN:
            self._spoken = True

    def _take(self, text: str) -> None:
        if self._inside:
            self._letters.append(text)

    def _end(self, name: str) -> None:
        if name == _T:
            self._end_text()
        elif name == _SI:
            self._add("".join([self._whole, *self._pieces]).replace("x005F_", ""))
            self._whole = ""
            self._pieces.clear()
        elif name == _PIECE:
            self._in_piece = False
        elif name == _SPOKEN:
            self._spoken = False

    def _end_text(self) -> None:
        if not self._inside:
            return
        self._inside = False
        if self._in_piece:
            self._pieces.append("".join(self._letters))
        else:
            self._whole = "".join(self._letters)


def check_width(spec: TableSpec, sheet: Any, place: str) -> None:
    """Have a cell that lies in a column which no sheet has end the reading: openpyxl would fill the row up to it."""
    get_row = sheet._get_row

    def checked(row: Sequence[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        if row and row[-1]["column"] > MOST_COLUMNS:
            raise SourceTooLargeError(
                f"{spec.name}: {place} holds a cell in column {row[-1]['column']:,}, and a sheet has {MOST_COLUMNS:,} "
                f"columns; save the workbook anew in Excel"
            )
        return get_row(row, *args, **kwargs)

    sheet._get_row = checked


def check_height(spec: TableSpec, number: int, place: str) -> None:
    """Raises SourceTooLargeError when a row has a number that no row of a sheet has."""
    if number > MOST_ROWS:
        raise SourceTooLargeError(
            f"{spec.name}: {place} holds more rows than the {MOST_ROWS:,} of a sheet; save the workbook anew in Excel"
        )
