"""What the commands of jobs and of dead letters share: who asks, and ages as people write them."""

from __future__ import annotations

import getpass
import re
from datetime import timedelta

from sluiceway.errors import ConfigError

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def who() -> str:
    """The user of this machine who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container's user has no name
        return "unknown"


def span(text: str) -> timedelta:
    """`30m`, `6h`, `2d`.

    :raises ConfigError: it is none of these.
    """
    found = re.fullmatch(r"(\d+)([mhd])", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no age; write a number with m, h or d, such as 30m, 6h or 2d.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def age(seconds: float | None) -> str:
    """The same of seconds: `40 s`, `12 min`, `6 h`, `3 d`; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
