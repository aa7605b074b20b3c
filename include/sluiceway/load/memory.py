"""Gives memory back to the system as soon as a batch is done with."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 << 10


def keep_memory_low() -> None:
    """Let no allocator of this process keep what it no longer needs.

    Arrow's own keeps 30 to 40 MB and is no faster here. glibc's raises by itself the size from which it asks the
    system for each block alone; the batches that two threads hand to a third then leave holes behind, and a load of
    ten times the rows took a third more memory.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux" and (tune := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        tune(_M_MMAP_THRESHOLD, _LARGE_BYTES)
