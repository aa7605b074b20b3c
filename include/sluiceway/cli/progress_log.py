"""How far a long load is, where there is no terminal for a bar: a line in the log every 10 s."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Tell = Callable[[int, int | None], None]
"""Rows so far, and of how many if that is known."""
LOG_SECONDS = 10


def logged_progress(table: str) -> Tell:
    """What load_table tells its progress to; -v shows the log."""
    started = told = time.monotonic()

    def tell(rows: int, total: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < LOG_SECONDS:
            return
        told = now
        speed = rows / (now - started)
        if total:
            left = f", {clock(max(total - rows, 0) / speed)} left" if speed else ""
            log.info("%s: %s of %s rows (%s), %s rows/s%s", table, *_counts(rows, total), f"{speed:,.0f}", left)
        else:
            log.info("%s: %s rows, %s rows/s", table, f"{rows:,}", f"{speed:,.0f}")

    return tell


def _counts(rows: int, total: int) -> tuple[str, str, str]:
    return f"{rows:,}", f"{total:,}", f"{min(rows / total, 1):.0%}"


def clock(seconds: float) -> str:
    """`1:05`, or `2:00:00` with hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
