"""What a Parquet file becomes, found before a value of it is unpacked: its pages' headers, and its dictionaries.

A text that stands once in a dictionary may be referred to by all rows, a page of a few bytes may unpack to gigabytes,
and a number that is repeated costs nothing at all: the file's own size says nothing about what its rows take.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sluiceway.errors import SourceTooLargeError, quoted
from sluiceway.sources.bounds import (
    ROW_BYTES,
    SMALL_BYTES,
    check_batch,
    check_columns,
    check_ratio,
    check_rows,
    check_value,
    longest_value,
)
from sluiceway.sources.formats.archive import MAX_RATIO
from sluiceway.sources.formats.parquet_pages import Page, pages_of
from sluiceway.tables.spec import TableSpec

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
_OFFSET_BYTES = 4
"""That a text takes besides its letters."""


def check_schema(spec: TableSpec, file: pq.ParquetFile, place: str) -> None:
    """See that there are not too many columns and rows; raises SourceTooLargeError."""
    check_columns(spec, file.schema_arrow.names, place)
    check_rows(spec, file.metadata.num_rows, place)


def rows_at_once(spec: TableSpec, file: pq.ParquetFile, path: Path, names: Sequence[str], most: int) -> int:
    """How many rows of these columns may be unpacked at once: no more than `most`.

    :raises SourceTooLargeError: the file becomes more than its table's file allows.
    """
    leaves = [
        position for position in range(len(file.schema)) if file.schema.column(position).path.split(".")[0] in names
    ]
    _check_pages(spec, file, path, leaves)
    longest = _longest_in_dictionaries(spec, file, path, leaves)
    _check_becomes(spec, file, path, leaves, longest)
    together = sum(longest.values())
    return max(1, min(most, SMALL_BYTES // max(1, together)))


def _check_pages(spec: TableSpec, file: pq.ParquetFile, path: Path, leaves: Sequence[int]) -> None:
    largest = dict.fromkeys(leaves, Page(0, 0))
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in range(file.metadata.num_row_groups):
            chunks = file.metadata.row_group(group)
            for leaf in leaves:
                largest[leaf] = max((largest[leaf], *pages_of(content, chunks.column(leaf))))
    for leaf, page in largest.items():
        if page.size > max(SMALL_BYTES, MAX_RATIO * page.packed):
            name = file.schema.column(leaf).path
            raise SourceTooLargeError(
                f"{spec.name}: {path.name}: a page of column {quoted(name)} unpacks to {page.size:,} bytes from "
                f"{page.packed:,}, like a bomb; write the file anew with pages of 1 MB, as is usual"
            )
    together = sum(page.size for page in largest.values())
    check_batch(spec, together, path.name, "the pages that its rows are read from take")


def _longest_in_dictionaries(
    spec: TableSpec, file: pq.ParquetFile, path: Path, leaves: Sequence[int]
) -> dict[int, int]:
    """Of each column with texts or bytes that stand in a dictionary, the longest of them."""
    found: dict[int, int] = {}
    for group in range(file.metadata.num_row_groups):
        chunks = file.metadata.row_group(group)
        wanted = [leaf for leaf in leaves if _has_dictionary(chunks.column(leaf))]
        for leaf, length in _dictionaries(path, file, group, wanted):
            check_value(spec, length, path.name, f"column {quoted(file.schema.column(leaf).path)} holds a value of")
            found[leaf] = max(found.get(leaf, 0), length)
    return found


def _has_dictionary(chunk: Any) -> bool:
    return bool(chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page and chunk.num_values)


def _dictionaries(path: Path, file: pq.ParquetFile, group: int, leaves: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The longest value of each dictionary; with the first row of a group all of it comes."""
    names = [file.schema.column(leaf).path for leaf in leaves]
    if not names:
        return
    with pq.ParquetFile(path, read_dictionary=names, buffer_size=1 << 16, pre_buffer=False) as opened:
        for leaf, name in zip(leaves, names, strict=True):
            for batch in opened.iter_batches(batch_size=1, row_groups=[group], columns=[name], use_threads=False):
                for values in batch.columns:
                    yield leaf, max((longest_value(each) or (0, 0))[1] for each in _dictionaries_in(values))
                break


def _dictionaries_in(values: Any) -> Iterator[pa.Array]:
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _dictionaries_in(values.storage)
    elif pa.types.is_dictionary(kind):
        yield values.dictionary
    elif pa.types.is_struct(kind):
        for position in range(kind.num_fields):
            yield from _dictionaries_in(values.field(position))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _dictionaries_in(values.values)
    elif pa.types.is_map(kind):
        yield from _dictionaries_in(values.keys)
        yield from _dictionaries_in(values.items)
    else:
        yield values


def _check_becomes(
    spec: TableSpec, file: pq.ParquetFile, path: Path, leaves: Sequence[int], longest: dict[int, int]
) -> None:
    became = ROW_BYTES * file.metadata.num_rows
    for group in range(file.metadata.num_row_groups):
        for leaf in leaves:
            column = file.schema.column(leaf)
            width = _WIDTHS.get(column.physical_type, max(column.length, _OFFSET_BYTES))
            if column.max_repetition_level:
                # a row may hold any number of them, and cannot be read in pieces
                width = max(width, longest.get(leaf, 0))
            became += width * file.metadata.row_group(group).column(leaf).num_values
    check_ratio(spec, became, path.stat().st_size, path.name, "once it is unpacked")
