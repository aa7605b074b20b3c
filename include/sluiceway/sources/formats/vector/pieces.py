"""Pieces of a layer: how it is cut, and how the features of one are found among all.

By rows GDAL passes over what comes before. By a column's values it is the features' own numbers that decide: GDAL's
conditions on a shapefile take KERN for Kern, and know nothing of letters in another encoding than its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.errors import SourceUnreadableError, SplitError
from sluiceway.sources.formats.vector.shapefile import live_rows
from sluiceway.sources.piece import MOST_PIECES, Piece
from sluiceway.sources.selection import Numbers, Selection

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}")


def pieces_of_rows(table: str, records: int, rows: int) -> list[Piece]:
    """As many records each.

    :raises SplitError: there would be too many.
    """
    if records > rows * MOST_PIECES:
        raise SplitError(
            f"{table}: split: parts of {rows:,} rows would be {-(-records // rows):,}, and {MOST_PIECES} are the most; "
            f"write rows:{-(-records // MOST_PIECES)} or more"
        )
    return [Piece(first=first, rows=min(rows, records - first)) for first in range(0, records, rows)]


def pieces_of_values(table: str, column: str, values: pa.ChunkedArray) -> list[Piece]:
    """One for each value, in order, and one for null.

    :raises SplitError: there would be too many.
    """
    found = pc.unique(values).to_pylist()
    if len(found) > MOST_PIECES:
        raise SplitError(
            f"{table}: split: column {column!r} holds {len(found):,} different values, and {MOST_PIECES} parts are the "
            'most; name one with fewer, or write "rows:250000"'
        )
    named = sorted(value for value in found if value is not None)
    return [Piece(column=column, value=value) for value in (*named, *([None] if None in found else []))]


def of_records(path: Path, piece: Piece) -> Selection:
    """Of a piece by rows; in a .dbf those that are marked as deleted have no number."""
    last = piece.first + (piece.rows or 0)
    dbf = path.with_suffix(".dbf")
    live = live_rows(dbf) if path.suffix in {".shp", ".dbf"} and dbf.exists() else None
    if live is None or live.all():
        return Selection(np.arange(piece.first + 1, last + 1, dtype=np.int64), skip=piece.first)
    numbers = np.cumsum(live, dtype=np.int64)[piece.first : last]
    return Selection(numbers[live[piece.first : last]], skip=piece.first)


def of_value(piece: Piece, values: pa.ChunkedArray, ids: Numbers, name: str, family: str) -> Selection:
    """Of a piece by a column's value.

    :param values: the column's, of all features in their order.
    :param ids: the features' own numbers.
    :param name: the column's, as GDAL calls it.
    :param family: of its values.
    """
    same = pc.is_null(values) if piece.value is None else pc.equal(values, pa.scalar(piece.value, values.type))
    rows = np.flatnonzero(same.fill_null(False).to_numpy(zero_copy_only=False))
    return Selection(rows + 1, where=_condition(piece.value, name, family), ids=ids[rows])


def _condition(value: str | None, name: str, family: str) -> str | None:
    """In GDAL's SQL, where it is sure to let all of them through; it saves the reading of the others' shapes."""
    if value is None or not _PLAIN_NAME.fullmatch(name):
        return None
    if family == "number" and _INTEGER.fullmatch(value):
        return f'"{name}" = {value}'
    if family == "text" and value and value.isascii() and value == value.strip():
        quoted = value.replace("'", "''")
        return f"\"{name}\" = '{quoted}'"
    return None


def selected(batches: Iterable[pa.RecordBatch], selection: Selection, place: str) -> Iterator[pa.RecordBatch]:
    """The batches of a piece; of the last one only what belongs to it.

    :param batches: with the features' own numbers as their first column, where the selection knows them.
    :raises SourceUnreadableError: the features come in another order than before.
    """
    done, wanted = 0, len(selection.numbers)
    for batch in batches:
        if done >= wanted:
            return
        if selection.ids is None:
            batch = batch.slice(0, wanted - done)
        else:
            ids = batch.column(0).to_numpy(zero_copy_only=False)
            belongs = np.isin(ids, selection.ids)
            if not np.array_equal(ids[belongs], selection.ids[done : done + int(belongs.sum())]):
                raise SourceUnreadableError(
                    f"{place} gives its features in another order than a moment ago; write it anew, or remove split"
                )
            batch = batch.filter(pa.array(belongs))
        done += batch.num_rows
        yield batch
