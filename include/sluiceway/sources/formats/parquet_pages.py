"""The headers of a Parquet file's pages, which say to what each page unpacks: Thrift's compact protocol.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift (PageHeader)
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, NamedTuple

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_VARINTS = frozenset({_I16, _I32, _I64})
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3
_LONGEST_HEADER = 1 << 20
_USUAL_HEADER = 1 << 9


class Page(NamedTuple):
    """One page."""

    size: int
    """Bytes, once it is unpacked."""
    packed: int


def pages_of(content: mmap.mmap, chunk: Any) -> Iterator[Page]:
    """The pages of a column chunk, as far as their headers can be read: what is broken is for Arrow to say.

    :param chunk: pyarrow's ColumnChunkMetaData.
    """
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        at = min(at, chunk.dictionary_page_offset)
    end = min(at + chunk.total_compressed_size, len(content))
    while 0 <= at < end:
        found = _header(content[at : at + _USUAL_HEADER]) or _header(content[at : at + _LONGEST_HEADER])
        if found is None:
            return
        length, page = found
        yield page
        at += length + page.packed


def _header(data: bytes) -> tuple[int, Page] | None:
    """How long the header at the start of `data` is, and what it says."""
    reader = _Compact(data)
    try:
        numbers = reader.struct()
    except (IndexError, ValueError):
        return None
    size, packed = numbers.get(_UNPACKED_SIZE, -1), numbers.get(_PACKED_SIZE, -1)
    return (reader.at, Page(size, packed)) if size >= 0 and packed >= 0 else None


class _Compact:
    """Reads whole numbers out of a struct, and passes over all else."""

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def struct(self, depth: int = 0) -> dict[int, int]:
        """Its whole numbers by the ids of their fields."""
        if depth > 8:
            raise ValueError("nested too deeply")
        numbers: dict[int, int] = {}
        field = 0
        while kind := self._byte():
            step, kind = kind >> 4, kind & 0x0F
            field = field + step if step else self._number()
            if kind in _VARINTS:
                numbers[field] = self._number()
            else:
                self._pass(kind, depth)
        return numbers

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            if (shift := shift + 7) > 63:
                raise ValueError("no number of 64 bits")

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _pass(self, kind: int, depth: int) -> None:
        if kind == _BINARY:
            # not in one line: `+=` would look at where it stands before the length is read
            length = self._varint()
            self.at += length
        elif kind in {_BYTE, _DOUBLE}:
            self.at += 1 if kind == _BYTE else 8
        elif kind == _STRUCT:
            self.struct(depth + 1)
        elif kind not in {_TRUE, _FALSE}:
            # no header of a page holds lists or maps
            raise ValueError(f"a field of kind {kind}")
        if self.at > len(self._data):
            raise IndexError
