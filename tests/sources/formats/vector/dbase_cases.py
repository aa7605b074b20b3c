"""dBase files byte by byte: columns of any type, rows that are deleted, memos beside them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas
import shapely


class Field(NamedTuple):
    """A column."""

    name: bytes
    kind: bytes
    width: int
    decimals: int = 0
    flags: int = 0


def write_table(
    path: Path,
    fields: Sequence[Field],
    rows: Sequence[Sequence[bytes]],
    *,
    version: int = 0x03,
    language: int = 0,
    deleted: Iterable[int] = (),
) -> Path:
    """A .dbf whose values are these bytes, padded: numbers on their left, texts on their right.

    :param deleted: numbers of rows, from 1.
    """
    described = b"".join(
        field.name.ljust(11, b"\0")
        + field.kind
        + bytes(4)
        + bytes([field.width % 256, field.decimals or field.width // 256, field.flags])
        + bytes(13)
        for field in fields
    )
    row_bytes = 1 + sum(field.width for field in fields)
    head = bytes([version, 0x7A, 1, 1]) + struct.pack("<IHH", len(rows), 33 + len(described), row_bytes)
    content = bytearray()
    for number, row in enumerate(rows, 1):
        content += b"*" if number in deleted else b" "
        for field, value in zip(fields, row, strict=True):
            padded = value.rjust(field.width) if field.kind in b"NF" else value.ljust(field.width)
            assert len(padded) == field.width, (field, value)
            content += padded
    path.write_bytes(head + bytes(17) + bytes([language]) + bytes(2) + described + b"\r" + content + b"\x1a")
    return path


def write_shapes(path: Path, count: int) -> Path:
    """A shapefile of points; its .dbf is to be written anew."""
    shapes = [shapely.Point(number, number) for number in range(1, count + 1)]
    geopandas.GeoDataFrame({"id": range(count)}, geometry=shapes, crs=4326).to_file(path)
    path.with_suffix(".cpg").unlink()
    return path


def write_fpt(path: Path, memos: Sequence[bytes], *, block: int = 64) -> list[int]:
    """FoxPro's file of memos; returns the block of each."""
    content = struct.pack(">IHH", 0, 0, block).ljust(512, b"\0")
    blocks = []
    for memo in memos:
        blocks.append(len(content) // block)
        record = struct.pack(">II", 1, len(memo)) + memo
        content += record.ljust(-(-len(record) // block) * block, b"\0")
    path.write_bytes(content)
    return blocks


def write_dbt(path: Path, memos: Sequence[bytes], *, fourth: bool = False) -> list[int]:
    """dBase III's or IV's file of memos; returns the block of each."""
    content = bytes(20) + struct.pack("<H", 512 if fourth else 0)
    content = content.ljust(512, b"\0")
    blocks = []
    for memo in memos:
        blocks.append(len(content) // 512)
        record = b"\xff\xff\x08\0" + struct.pack("<I", len(memo) + 8) + memo if fourth else memo + b"\x1a\x1a"
        content += record.ljust(-(-len(record) // 512) * 512, b"\0")
    path.write_bytes(content)
    return blocks
