"""Tells the log how far a long load is."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluiceway.load.staging import Progress

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10


def log_progress(what: str) -> Progress:
    """Tells the log how far a long load is, every 10 s."""
    started = told = time.monotonic()

    def tell(rows: int, total: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PROGRESS_SECONDS:
            told = now
            share = f" of {total:,} ({rows / total:.0%})" if total else ""
            log.info("%s: %s rows%s read, %s rows/s", what, f"{rows:,}", share, f"{rows / (now - started):,.0f}")

    return tell
