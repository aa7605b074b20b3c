"""Which rows a load has in hand, written where the process that watches it can read it once the load has died.

A crash in a geometry library, or an end for want of memory, leaves no word; the rows are what a person needs to find
the shape that did it. One load at a time in a process and those it forks.
"""

from __future__ import annotations

import mmap
import struct

from sluiceway.amounts import counted

_MARKS = struct.Struct("<qqq")
_shared = mmap.mmap(-1, _MARKS.size)
"""A process that is forked writes into the same memory: rows read, and the first and last row in hand (0: none)."""


def forget() -> None:
    """Before a load begins."""
    _MARKS.pack_into(_shared, 0, 0, 0, 0)


def has_read(rows: int) -> None:
    """So many rows have come from the source so far; those behind them are read next."""
    struct.pack_into("<q", _shared, 0, rows)


def takes_in_hand(first: int, last: int) -> None:
    """These rows are cast and cleaned now; by their numbers in the source."""
    struct.pack_into("<qq", _shared, 8, first, last)


def lets_go() -> None:
    """No row is cast or cleaned at the moment."""
    takes_in_hand(0, 0)


def told() -> str:
    """Where the load was, as a sentence with a blank before it; empty where it had read nothing."""
    rows, first, last = _MARKS.unpack_from(_shared)
    if first:
        return f" It had rows {first:,} to {last:,} in hand, and had read {rows:,}."
    return f" It had read {counted(rows, 'row')}, and was to read on or to write." if rows else ""
