"""Up to where a column that grows from row to row has come: what is after the database's now does not count yet.

A row from the future would else be the newest for years, and hide every row that comes after it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_TIMESTAMPTZ, _TIMESTAMP, _DATE = 1184, 1114, 1082
"""PostgreSQL's numbers of its types: values of them that Python has no time for come as text."""


@dataclass(frozen=True)
class Clock:
    """A database's now."""

    now: datetime
    """In UTC."""
    zone: tzinfo
    """Of times that say none."""

    @classmethod
    def of(cls, said: Any, zone: str | None) -> Clock:
        """As a database says it; this machine's now where its driver gives no time. A zone unknown here is UTC."""
        if isinstance(said, str) and _ISO.fullmatch(said):
            said = datetime.fromisoformat(said)
        now = said if isinstance(said, datetime) else datetime.now(UTC)
        try:
            found: tzinfo = ZoneInfo(zone or "UTC")
        except (ValueError, OSError, LookupError):
            found = UTC
        return cls(now.astimezone(UTC) if now.tzinfo is not None else now.replace(tzinfo=UTC), found)

    def last_before(self, value: Any, kind: int | None, seconds: float) -> Any:
        """The last value that lies so many seconds before now, of the same kind as `value`; None if that is no time.

        :param kind: PostgreSQL's number of the value's type.
        """
        at = self.now - timedelta(seconds=seconds)
        local = at.astimezone(self.zone).replace(tzinfo=None)
        if isinstance(value, datetime):
            return at if value.tzinfo is not None else local
        if isinstance(value, date):
            return local.date()
        if kind is not None and isinstance(value, str):
            return {_TIMESTAMPTZ: at, _TIMESTAMP: local, _DATE: local.date()}.get(kind)
        return _in_text(value, at, local) if isinstance(value, str) else None


def _in_text(value: str, at: datetime, local: datetime) -> str | None:
    if _ISO.fullmatch(value) is None:
        return None
    try:
        like = datetime.fromisoformat(value)
    except ValueError:
        return None
    if len(value) == len("2024-05-01"):
        return local.date().isoformat()
    moment = at.astimezone(like.tzinfo) if like.tzinfo is not None else local
    return moment.strftime(f"%Y-%m-%d{value[10]}%H:%M:%S")


def is_after(value: Any, last: Any) -> bool:
    """Whether a value comes after `last`, which Clock.last_before gave for it."""
    if isinstance(value, str) and not isinstance(last, str):
        # infinity, or a year after 9999; else before the year 1
        return not (value.startswith("-") or value.endswith(" BC"))
    return bool(value > last)


def is_endless(value: Any) -> bool:
    """Whether it comes after every number."""
    return isinstance(value, float | Decimal) and (math.isnan(value) or value == math.inf)
