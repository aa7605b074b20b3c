"""Arrow columns of Python values that come one by one, without pa.array, which would import pandas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sluiceway.sources.formats.texts import text_array

EXACT = 2**53
"""A larger integer among fractions would be rounded: it travels as text."""
_INT64 = range(-(2**63), 2**63)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # moments of a sheet have no zone
_MICROSECOND = dt.timedelta(microseconds=1)


def typed_array(values: Sequence[Any], spell: Callable[[Any], str] = str) -> pa.Array:
    """The values in the type that all of them have, else spelled; nothing is rounded. A column of nulls is text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and all(value in _INT64 for value in values if value is not None):
        return _fixed(pa.int64(), np.int64, values)
    if kinds and kinds <= {int, float} and all(abs(value) <= EXACT for value in values if type(value) is int):
        return _fixed(pa.float64(), np.float64, values)
    if bytes in kinds:
        # what else there is beside them is told with them: a column that holds bytes is none of texts
        return _binary([value if value is None or type(value) is bytes else spell(value).encode() for value in values])
    if kinds == {bool}:
        bits = np.packbits([bool(value) for value in values], bitorder="little").tobytes()
        return pa.Array.from_buffers(pa.bool_(), len(values), [_given(values), pa.py_buffer(bits)])
    if kinds == {dt.datetime}:
        moments = [None if value is None else (value - _EPOCH) // _MICROSECOND for value in values]
        return _fixed(pa.timestamp("us"), np.int64, moments)
    return spelled_array(values, spell)


def spelled_array(values: Sequence[Any], spell: Callable[[Any], str]) -> pa.Array:
    """The values as text."""
    return text_array([value if value is None or isinstance(value, str) else spell(value) for value in values])


def _given(values: Sequence[Any]) -> pa.Buffer:
    """Which values are not null, as Arrow wants it."""
    return pa.py_buffer(np.packbits([value is not None for value in values], bitorder="little").tobytes())


def _fixed(kind: pa.DataType, wide: type[np.generic], values: Sequence[Any]) -> pa.Array:
    plain = np.array([0 if value is None else value for value in values], dtype=wide)
    return pa.Array.from_buffers(kind, len(values), [_given(values), pa.py_buffer(plain.tobytes())])


def _binary(values: Sequence[bytes | None]) -> pa.Array:
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum([len(value or b"") for value in values], out=offsets[1:])
    content = pa.py_buffer(b"".join(value or b"" for value in values))
    return pa.Array.from_buffers(pa.binary(), len(values), [_given(values), pa.py_buffer(offsets.tobytes()), content])
