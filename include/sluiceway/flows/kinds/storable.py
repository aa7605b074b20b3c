"""What the ledger can hold of names and values from outside, and the keys of events."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import JsonValue

LONGEST_KEY = 500
"""Characters; a unique index of PostgreSQL takes 2,704 bytes, and a path may have 4,096."""
_EXACT = 2**53


def storable(value: Any) -> JsonValue:
    """The same as JSON that PostgreSQL takes and gives back equal: it refuses NUL, NaN and halves of characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, dict):
        return {str(storable(str(name))): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    if isinstance(value, float) and not abs(value) < _EXACT:
        return repr(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return storable(str(value))


def event_key(*parts: JsonValue) -> str:
    """The parts in one text, which differs when any of them does."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= LONGEST_KEY:
        return text
    return f"{text[:80]}...sha256:{hashlib.sha256(text.encode()).hexdigest()}"
