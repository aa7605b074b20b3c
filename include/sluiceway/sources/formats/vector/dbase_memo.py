"""Memos: the long texts of a dBase file, which stand in a .dbt or .fpt beside it, in blocks that its rows name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.bounds import check_batch, check_value
from sluiceway.tables.spec import TableSpec

_DBT_BLOCK = 512
_END = b"\x1a"
_DBASE_4 = b"\xff\xff\x08\x00"
_SOFT_END = b"\x8d\n"
"""Where dBase III broke a line on the screen."""
_STEP = 4_096


class MemoFile:
    """The memos beside one .dbf."""

    def __init__(self, spec: TableSpec, path: Path, place: str, *, fourth: bool) -> None:
        """
        :param place: what to call the .dbf in messages.
        :param fourth: whether it is dBase IV's .dbt, whose header says how long a block is.
        """
        self._spec = spec
        self._path = path
        self._place = place
        self._foxpro = path.suffix == ".fpt"
        with path.open("rb") as file:
            head = file.read(24)
        self._size = path.stat().st_size
        if self._foxpro:
            # blocks of one byte are allowed
            self._block = int.from_bytes(head[6:8], "big") or _DBT_BLOCK
        else:
            self._block = (int.from_bytes(head[20:22], "little") if fourth else 0) or _DBT_BLOCK

    def read(self, blocks: Iterable[int], column: str, first: int) -> list[bytes | None]:
        """The memo of each row; None for block 0.

        :param first: the number of the first row.
        :raises SourceUnreadableError: a block lies beyond the file.
        :raises SourceTooLargeError: a memo is longer than a value may be, or all are than a batch may be.
        """
        found: list[bytes | None] = []
        total = 0
        with self._path.open("rb") as file:
            for number, block in enumerate(blocks, first):
                memo = self._one(file, block, f"row {number:,}, column {column!r}") if block else None
                total += len(memo or b"")
                check_batch(self._spec, total, self._place, f"the memos from row {first:,} on take")
                found.append(memo)
        return found

    def _one(self, file: IO[bytes], block: int, where: str) -> bytes:
        start = block * self._block
        if start < 0 or start + 8 > self._size:
            raise self._broken(f"{where} has its memo in block {block:,}, which lies beyond the end of its file")
        file.seek(start)
        if self._foxpro:
            head = file.read(8)
            return self._counted(file, int.from_bytes(head[4:], "big"), where)
        head = file.read(8)
        if head[:4] == _DBASE_4:
            return self._counted(file, int.from_bytes(head[4:], "little") - 8, where)
        file.seek(start)
        return self._ended(file, where)

    def _counted(self, file: IO[bytes], length: int, where: str) -> bytes:
        if length < 0 or file.tell() + length > self._size:
            raise self._broken(f"{where} has a memo that reaches beyond the end of its file")
        check_value(self._spec, length, self._place, f"{where} holds a memo of")
        return file.read(length).rstrip(b"\0")

    def _ended(self, file: IO[bytes], where: str) -> bytes:
        memo = bytearray()
        while part := file.read(_STEP):
            memo += part
            if (end := memo.find(_END, len(memo) - len(part))) >= 0:
                return bytes(memo[:end]).replace(_SOFT_END, b"\n").rstrip(b"\0")
            check_value(self._spec, len(memo), self._place, f"{where} holds a memo of more than")
        raise self._broken(f"{where} has a memo without an end")

    def _broken(self, what: str) -> SourceUnreadableError:
        return SourceUnreadableError(
            f"{self._spec.name}: {self._place}: {what} ({self._path.suffix}); it is cut off, or belongs to another .dbf"
        )


def memo_beside(path: Path) -> Path | None:
    """The file of memos beside the .dbf at `path`."""
    return next((found for ending in (".fpt", ".dbt") if (found := path.with_suffix(ending)).exists()), None)
