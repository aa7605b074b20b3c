"""`memory` of a table's file: how much its load may have."""

from __future__ import annotations

import re

_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"^(?P<number>\d+(\.\d+)?)(?P<unit>MiB|GiB)$")
_LEAST_BYTES = 512 << 20


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
