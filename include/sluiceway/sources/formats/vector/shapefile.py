"""Whether a shapefile is whole. GDAL gives null for the shapes behind a cut, and says nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np

from sluiceway.amounts import counted
from sluiceway.errors import SourceUnreadableError

_HEADER_BYTES = 100
_MULTIPATCH = 31
_DBF_HEADER = struct.Struct("<4xIHH17xB")
_BLOCK_BYTES = 1 << 20
_DELETED = ord("*")


def check_whole(path: Path) -> None:
    """Raises SourceUnreadableError when the parts of the shapefile at `path` do not fit each other, or are cut off.

    The .shp's own header is not asked for its length: programs write wrong ones into files that are whole.
    """
    index, dbf = _part(path, ".shx"), _part(path, ".dbf")
    if index is None:
        return
    shapes = _check_shapes(path, index)
    if dbf is None:
        return
    check_dbase(dbf)
    rows = dbase_header(dbf).rows
    if rows != shapes:
        raise SourceUnreadableError(
            f"{path.name}: its .shx says there {'is' if shapes == 1 else 'are'} {counted(shapes, 'shape')}, and its "
            f".dbf {counted(rows, 'row')}; they do not belong together, or one is cut off: fetch all parts again"
        )


def _part(path: Path, ending: str) -> Path | None:
    return next((part for part in path.parent.glob(f"{escape(path.stem)}.*") if part.suffix.lower() == ending), None)


def _check_shapes(path: Path, index: Path) -> int:
    """How many shapes the .shx knows of."""
    with index.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise SourceUnreadableError(
            f"{path.name}: its .shx is cut off: it has {counted(len(header), 'byte')}; fetch it again"
        )
    with path.open("rb") as file:
        kind = int.from_bytes(file.read(_HEADER_BYTES)[32:36], "little")
    if kind == _MULTIPATCH:
        raise SourceUnreadableError(
            f"{path.name} holds MultiPatches, surfaces in space, which are not loaded; make MultiPolygons of them first"
        )
    records = np.fromfile(index, dtype=">i4", offset=_HEADER_BYTES)
    # offset and length of each shape in 16-bit words; its own header of 8 bytes comes on top
    offsets, lengths = records[: len(records) // 2 * 2].reshape(-1, 2).T.astype(np.int64)
    ends = (offsets + lengths) * 2 + 8
    size = path.stat().st_size
    missing = int((ends > size).sum())
    if missing:
        raise SourceUnreadableError(
            f"{path.name} is cut off: it has {counted(size, 'byte')}, and of its {counted(len(ends), 'shape')} "
            f"{missing:,} {'lies behind them or reaches' if missing == 1 else 'lie behind them or reach'} beyond; "
            f"fetch it again"
        )
    # GDAL reads as many as the .shx's header says
    return (int.from_bytes(header[24:28], "big", signed=True) * 2 - _HEADER_BYTES) // 8


def longest_shape(path: Path) -> tuple[int, int]:
    """The row whose shape is longest, as the .shx says, and its bytes."""
    lengths = _lengths(path)
    if not len(lengths):
        return 1, 0
    row = int(lengths.argmax())
    return row + 1, int(lengths[row]) * 2


def longest_batch(path: Path, rows: int) -> int:
    """The bytes of the longest of its batches of so many shapes, as the .shx says; 0 without one."""
    lengths = _lengths(path)
    if not len(lengths):
        return 0
    return int(np.add.reduceat(lengths, np.arange(0, len(lengths), rows), dtype=np.int64).max()) * 2


def _lengths(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """The 16-bit words of each shape, as the .shx says; none without one."""
    index = _part(path, ".shx")
    if index is None or index.stat().st_size < _HEADER_BYTES + 8:
        return np.empty(0, dtype=np.int32)
    return np.fromfile(index, dtype=">i4", offset=_HEADER_BYTES)[1::2]


@dataclass(frozen=True)
class DbaseHeader:
    """What the first bytes of a .dbf say."""

    rows: int
    """Those that are marked as deleted included."""
    header_bytes: int
    row_bytes: int
    language: int
    """The language driver: a number that stands for an encoding, or 0."""


def dbase_header(path: Path) -> DbaseHeader:
    """What the .dbf at `path` says of itself.

    :raises SourceUnreadableError: it is too short for a header.
    """
    with path.open("rb") as file:
        head = file.read(32)
    if len(head) < 32:
        raise SourceUnreadableError(f"{path.name} is cut off: it has {counted(len(head), 'byte')}; fetch it again")
    return DbaseHeader(*_DBF_HEADER.unpack_from(head))


def check_dbase(path: Path) -> None:
    """Raises SourceUnreadableError when the .dbf at `path` is shorter than its header says."""
    header, size = dbase_header(path), path.stat().st_size
    needed = header.header_bytes + header.rows * header.row_bytes
    if size < needed:
        raise SourceUnreadableError(
            f"{path.name} is cut off: its {counted(header.rows, 'row needs', 'rows need')} {counted(needed, 'byte')}, "
            f"it has {size:,}; fetch it again"
        )


def deleted_rows(path: Path) -> int:
    """How many rows of the .dbf at `path` are marked as deleted: they wait for a PACK, and GDAL passes over them."""
    header = dbase_header(path)
    if not header.row_bytes:
        return 0
    return sum(int((marks == _DELETED).sum()) for marks in _marks(path, header))


def live_rows(path: Path) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Of each row of the .dbf at `path`, whether it is not marked as deleted."""
    header = dbase_header(path)
    # one after the other: each block holds on to the rows that it was read with
    live = [marks != _DELETED for marks in _marks(path, header)] if header.row_bytes else []
    return np.concatenate(live) if live else np.ones(header.rows, dtype=bool)


def _marks(path: Path, header: DbaseHeader) -> Iterator[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """The first byte of each row."""
    at_once = max(1, _BLOCK_BYTES // header.row_bytes)
    with path.open("rb") as file:
        file.seek(header.header_bytes)
        for first in range(0, header.rows, at_once):
            rows = min(at_once, header.rows - first)
            yield np.frombuffer(file.read(rows * header.row_bytes), dtype=np.uint8)[:: header.row_bytes]
