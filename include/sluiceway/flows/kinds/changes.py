"""One value that changes: what the sensors of databases, addresses and deployments share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from sluiceway.events import Event, Look
from sluiceway.flows.kinds.cursor import remember, resume
from sluiceway.flows.kinds.storable import event_key

Counts = Callable[[Any, Any], bool]


def differs(old: JsonValue, new: JsonValue) -> bool:
    """Every change counts."""
    return old != new


def compare_value(
    place: str,
    cursor: JsonValue,
    *,
    at: JsonValue,
    value: JsonValue,
    facts: Callable[[Any], Mapping[str, JsonValue]],
    counts: Counts = differs,
) -> Look:
    """An event if `value` is another one than the last.

    A value may come back, and that is a new event: events are numbered from the first look on.

    :param at: when the value was seen, in seconds since 1970.
    :param facts: gives an event's facts, from the old value.
    :param counts: whether the step from the old value to the new one is an event.
    """
    known = resume(cursor, place)
    if known is None:
        return Look((), remember(place, {"since": at, "number": 0, "value": value}))
    old = known["value"]
    if old == value:
        return Look((), cursor)
    if not counts(old, value):
        return Look((), remember(place, {**known, "value": value}))
    number = known["number"] + 1
    event = Event(key=event_key(known["since"], number, value), facts=facts(old))
    return Look((event,), remember(place, {**known, "number": number, "value": value}))
