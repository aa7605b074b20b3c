"""Waiting for what another thread or session does."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_S = 30


def wait_until(condition: Callable[[], bool]) -> None:
    """Asks again and again, and fails once it took too long."""
    deadline = time.monotonic() + MOST_S
    while not condition():
        assert time.monotonic() < deadline, f"it has not come within {MOST_S} s"
        time.sleep(0.02)
