"""How far a sensor has seen. It holds for one place only: when the file names another one, looking begins anew."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import JsonValue


def resume(cursor: JsonValue, place: str) -> dict[str, Any] | None:
    """What was known of `place`; None before the first look at it."""
    if not isinstance(cursor, dict) or cursor.get("place") != _mark(place):
        return None
    known = cursor["known"]
    assert isinstance(known, dict)
    return known


def remember(place: str, known: dict[str, Any]) -> JsonValue:
    """The cursor that says so."""
    return {"place": _mark(place), "known": known}


def _mark(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:16]
