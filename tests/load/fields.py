"""A shapefile of fields with every fault that a load tells apart, and how two loads of it are compared."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Self

from bench.landiq_file import write_shapefile
from sluiceway.ledger.store import TableRun

Query = Callable[..., list[tuple[object, ...]]]

FIELD = """
description = "Fields"
key = "unique_id"
{top}
[source]
kind = "vector"
uri = "{uri}"
null = ["*", "**", "****"]
[columns]
unique_id = {{ source = "UniqueID", type = "text" }}
county = {{ source = "COUNTY", type = "text" }}
crop = {{ source = "MAIN_CROP", type = "varchar(3)" }}
planted = {{ source = "YR_PLANTED", type = "integer" }}
acres = {{ source = "ACRES", type = "numeric(10,4)" }}
[geometry]
type = "MultiPolygon"
[checks]
max_rejects = 0.5
max_shrink = 0.3
"""
COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "rejected", "repaired", "table_rows", "bytes")


def field_toml(path: Path, *, top: str = "") -> str:
    """The file of the table."""
    return FIELD.format(uri=path, top=top)


def write_fields(folder: Path, count: int) -> Path:
    """Fields of which some are deleted, some have the key of a row far away, none, or a value that is no number."""
    path = write_shapefile(folder, count)
    with Fields(path) as rows:
        _spoil(rows, count)
    return path


def _spoil(rows: Fields, count: int) -> None:
    for number in (0, 3, count // 4, count // 4 + 1, count // 2 - 1, count - 1):
        rows.put(number, "", b"*")
    for lost, kept in ((5, count - 3), (6, count // 2 + 7), (count // 4 + 2, 8), (count // 2, count // 2 + 1)):
        rows.put(lost, "UniqueID", rows.get(kept, "UniqueID"))
    rows.put(20, "UniqueID", rows.get(21, "UniqueID"))
    rows.put(count - 9, "UniqueID", rows.get(21, "UniqueID"))
    rows.put(count // 3, "UniqueID", b"")
    for number in (9, count // 2 + 2, count - 5):
        rows.put(number, "MAIN_CROP", b"P999")
    rows.put(count // 2 + 3, "MAIN_CROP", b"P123")
    rows.put(count - 7, "COUNTY", b"KERN")
    rows.put(count - 8, "COUNTY", b"")


class Fields:
    """The rows of a shapefile's .dbf, which are written back at the end of the block."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".dbf")
        self._bytes = bytearray(self._path.read_bytes())
        _, self._header, self._row = struct.unpack_from("<IHH", self._bytes, 4)
        at, self._columns = 1, {"": (0, 1)}
        for start in range(32, self._header - 1, 32):
            name = bytes(self._bytes[start : start + 11]).rstrip(b"\0").decode()
            width = self._bytes[start + 16]
            self._columns[name] = (at, width)
            at += width

    def _place(self, number: int, name: str) -> slice:
        at, width = self._columns[name]
        start = self._header + number * self._row + at
        return slice(start, start + width)

    def get(self, number: int, name: str) -> bytes:
        return bytes(self._bytes[self._place(number, name)])

    def put(self, number: int, name: str, value: bytes) -> None:
        place = self._place(number, name)
        self._bytes[place] = value.ljust(place.stop - place.start)[: place.stop - place.start]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._bytes)


def content(query: Query, table: str) -> list[tuple[object, ...]]:
    """Every row of a table of fields, the geometry byte by byte, without the run that wrote it."""
    return query(f"SELECT unique_id, county, crop, planted, acres, ST_AsBinary(geom) FROM {table} ORDER BY unique_id")


def rejects(query: Query, table: str, run_id: str) -> list[tuple[object, ...]]:
    """Every reject of a run's load, in the order in which they were written."""
    return query(
        'SELECT row_number, column_name, reason, "row"::text, key::text FROM etl.reject '
        "WHERE table_name = %s AND run_id = %s ORDER BY id",
        table,
        run_id,
    )


def accounting(result: TableRun) -> dict[str, object]:
    """What the ledger says of a load, without whose it was and how long it took."""
    kept = {*COUNTS, "status", "fingerprint", "source_columns", "source_rows", "note", "error_type"}
    return result.model_dump(include=kept)
