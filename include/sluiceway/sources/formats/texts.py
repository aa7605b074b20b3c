"""Values of services as text: JSON with its numbers as they were spelled, and Arrow columns of text."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa


class Number(str):
    """A number of a JSON document in its own spelling: 1.10 stays 1.10, and no integer is too large."""

    __slots__ = ()


def json_text(value: Any) -> str:
    """`value` as JSON. What JSON has no word for (dates, infinity) becomes a text."""
    if isinstance(value, dict):
        inside = ", ".join(f"{_json_string(str(key))}: {json_text(each)}" for key, each in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(json_text(each) for each in value)}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, Number | int) or (isinstance(value, float | Decimal) and math.isfinite(value)):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _json_string(bytes(value).hex())
    return _json_string(str(value))


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def text_array(values: Sequence[str | None]) -> pa.Array:
    """A column of text. pa.array would import pandas: a second and 60 MB in every task.

    :raises UnicodeEncodeError: a text holds half a surrogate pair.
    """
    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    given = np.packbits(np.array([value is not None for value in values], dtype=bool), bitorder="little")
    buffers = [pa.py_buffer(given.tobytes()), pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def not_utf8(values: pa.Array) -> tuple[int, bytes] | None:
    """Where the first text stands that is no UTF-8, and its bytes. None too for what holds no texts.

    Arrow takes the word of a file or a server for it, and so does all that follows, up to PostgreSQL.
    """
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return None
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        for index, raw in enumerate(values.cast(pa.large_binary()).to_pylist()):
            try:
                (raw or b"").decode()
            except UnicodeDecodeError:
                return index, raw
        raise
    return None
