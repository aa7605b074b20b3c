"""What looks find and webhooks bring: flows make it, and the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

UNTIMED = "body:"
"""Begins the key of an event whose sender signs no time: the ledger never forgets it, else it could be replayed."""


@dataclass(frozen=True)
class Event:
    """Something that happened at the watched place."""

    key: str
    """Its identity among the events of its trigger: the same happening seen twice has the same key."""
    facts: Mapping[str, JsonValue]
    """What the run is told: path, size, old and new value, ..."""


@dataclass(frozen=True)
class Look:
    """What one look found: the events since the cursor, oldest first, and the cursor behind them."""

    events: tuple[Event, ...]
    cursor: JsonValue
    again_s: float | None = None
    """After so many seconds another look can tell more: something has not come to rest."""


@dataclass(frozen=True)
class Signed:
    """A request that its sender has signed."""

    key: str
    """Of its event: the same key a second time is a replay."""
    digest: str
    """SHA-256 of what was signed, in hex: a replay under another delivery id, which nobody signs, has the same."""
    delivery: str | None
    """The sender's name of this delivery."""
