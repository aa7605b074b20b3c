"""What the commands of jobs and of dead letters share: who asks, and ages as people write them."""

from __future__ import annotations

import getpass
from datetime import timedelta

from sluiceway import spans
from sluiceway.errors import ConfigError, quoted, shortened


def who() -> str:
    """The user of this machine who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container's user has no name
        return "unknown"


def span(name: str, text: str) -> timedelta:
    """`30m`, `6h`, `2d` of the option of that name.

    :raises ConfigError: it is none of these, or more than ten years.
    """
    try:
        found = spans.span(text)
    except ValueError as error:
        raise ConfigError(
            f"{name} {quoted(text)} is no time; write a number with s, m, h or d, such as 30m, 6h or 2d."
        ) from error
    if found > spans.LONGEST:
        raise ConfigError(f"{name} {shortened(text)} is too long; the longest is {spans.LONGEST.days}d.")
    return found
