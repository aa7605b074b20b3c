"""Moments as GDAL hands them over: with and without a zone."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_WITH_ZONE = r"(Z|[+-]\d\d:?\d\d)$"


def is_naive(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.tz is None


def moments(texts: pa.Array) -> pa.Array:
    """Moments as GDAL spells them, 2020-01-02T03:04:05.678+02:00: in UTC where any of them names a zone."""
    zoned = pc.match_substring_regex(texts, _WITH_ZONE)
    if not zoned.true_count:
        return texts.cast(pa.timestamp("ms"))
    utc = pa.timestamp("ms", "UTC")
    named = pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))
    return named.cast(utc)
