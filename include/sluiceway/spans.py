"""Spans of time as people write and read them: `26h` in a file, `3 h` on a screen."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=3650)
"""Ten years: what is longer is a mistake, and no promise."""
GRACE = 0.1
"""By this share of its promise a table may be older before it is stale: a load takes its time."""


# a thousand tables have a handful of promises between them
@lru_cache(maxsize=1024)
def span(text: str) -> timedelta:
    """Of `90s`, `30m` or `30min`, `6h`, `2d`.

    :raises ValueError: it is none of these.
    """
    found = re.fullmatch(r"([0-9]{1,9})(s|min|m|h|d)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no span of time; write a number with s, m, h or d, such as 45m, 26h or 2d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def check_span(text: str) -> str:
    """The text, if it is a span that a promise can name; raises ValueError."""
    if not timedelta(0) < span(text) <= LONGEST:
        raise ValueError(f"{text!r} must be more than nothing and at most {LONGEST.days} days")
    return text


def lasting(length: timedelta) -> str:
    """The same in two units, for what is compared with another: `1 d 2 h` of 26 hours, `12 min`, `3 min 20 s`."""
    return _lasting(max(int(length.total_seconds()), 0))


# and of ages
@lru_cache(maxsize=1024)
def _lasting(seconds: int) -> str:
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((number for number, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def age(seconds: float | None) -> str:
    """How long that is, in the unit that says most: `40 s`, `12 min`, `6 h`, `3 d`; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
