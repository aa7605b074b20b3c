"""A value that a table's file writes, as one of its column's type: what its `[checks]` compare with."""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import PlainValidator

from sluiceway.errors import quoted
from sluiceway.tables.column import SqlType

Typed = bool | int | float | str | Decimal | date | datetime
"""A value as the warehouse would hold it; a uuid as its text."""

_INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def check_written(value: object) -> object:
    """Raises ValueError unless it is a value that TOML has, and a column can have."""
    if not isinstance(value, bool | int | float | str | date):
        raise ValueError("is no text, number, boolean, day or moment; write one")  # pydantic's way
    return value


Written = Annotated[
    bool | int | float | str | date | datetime,
    PlainValidator(check_written, json_schema_input_type=bool | int | float | str | date | datetime),
]
"""A value as TOML writes it. A day and a moment may stand in quotes, too."""


def typed(value: Any, kind: SqlType) -> Typed:
    """The value as one of a column's type, without a rounding.

    :raises ValueError: it is none, as a sentence.
    """
    found: Typed | None = None
    base = kind.base
    if base in _INTEGER_BITS:
        found = _integer(value, _INTEGER_BITS[base])
    elif base == "numeric":
        found = _numeric(value, kind)
    elif base in {"real", "double precision"}:
        found = _float(value, base)
    elif base == "boolean":
        found = value if isinstance(value, bool) else None
    elif base in {"text", "varchar"}:
        fits = isinstance(value, str) and not (kind.args and len(value) > kind.args[0])
        found = value if fits else None
    elif base == "uuid":
        found = _uuid(value)
    elif base in {"date", "timestamp", "timestamptz"}:
        found = _moment(value, base)
    if found is None:
        shown = str(value) if isinstance(value, date) else quoted(value)
        raise ValueError(f"{shown} is no {kind}{_how(value, kind)}")
    return found


def _how(value: Any, kind: SqlType) -> str:
    if kind.base in {"text", "varchar"} and not isinstance(value, str):
        return "; write it in quotes"
    if kind.base in {*_INTEGER_BITS, "numeric", "real", "double precision"} and isinstance(value, str):
        return "; write a number without quotes"
    return {
        "date": "; write a day, such as 2026-08-03",
        "timestamp": "; write a moment without a zone, such as 2026-08-03T14:00:00",
        "timestamptz": "; write a moment, such as 2026-08-03T14:00:00Z",
    }.get(kind.base, "")


def _integer(value: Any, bits: int) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(1 << (bits - 1)) <= value < 1 << (bits - 1) else None


def _numeric(value: Any, kind: SqlType) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    # as it is written: 0.1 is a little more as a double
    number = Decimal(repr(value))
    if kind.args:
        precision, scale = kind.args[0], kind.args[1] if len(kind.args) > 1 else 0
        digits = number.normalize().as_tuple()
        exponent = int(digits.exponent)
        if number and (-exponent > scale or len(digits.digits) + exponent > precision - scale):
            return None
    return number


def _float(value: Any, base: str) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
        if base == "real":
            struct.pack("<f", found)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _uuid(value: Any) -> str | None:
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _moment(value: Any, base: str) -> date | datetime | None:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if _DAY.fullmatch(value) else datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, date):
        return None
    if base == "date":
        return None if isinstance(value, datetime) else value
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if base == "timestamp":
        return moment if moment.tzinfo is None else None
    # as a value that names no zone is cast
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
