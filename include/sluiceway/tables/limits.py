"""`memory` and `cpu` of a table's or a flow's file: how much a load may have."""

from __future__ import annotations

import re
from typing import NamedTuple

_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"^(?P<number>\d+(\.\d+)?)(?P<unit>MiB|GiB)$")
_LEAST_BYTES = 512 << 20
_LEAST_CPU, _MOST_CPU = 0.1, 256.0


class Limits(NamedTuple):
    """What a load may have; None: as much as there is."""

    memory: int | None = None
    """Bytes."""
    cpu: float | None = None
    """Processors: 0.5 is half of one's time."""


def memory_bytes(text: str) -> int:
    """Of `4GiB`, `512MiB`.

    :raises ValueError: it is neither.
    """
    if (found := _SIZE.match(text)) is None:
        raise ValueError(f"{text!r} is no size; write it as 4GiB or 512MiB")
    return int(float(found["number"]) * _UNITS[found["unit"]])


def check_memory(text: str) -> str:
    """See that a load can do with so much.

    :raises ValueError: it cannot.
    """
    if memory_bytes(text) < _LEAST_BYTES:
        raise ValueError(f"{text} is less than a task has before it loads anything; write 512MiB or more")
    return text


def check_cpu(count: float) -> float:
    """See that it is a number of processors.

    :raises ValueError: it is too small, or too great.
    """
    if not _LEAST_CPU <= count <= _MOST_CPU:
        raise ValueError(
            f"{count:g} is no number of processors; write 0.5 for half of one's time, 2 for two: from {_LEAST_CPU:g} "
            f"to {_MOST_CPU:g}"
        )
    return count
