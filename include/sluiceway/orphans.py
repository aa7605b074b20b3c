"""A task's process ends with the process that supervises it: nobody hears an orphan, and what it loads is loaded twice.

Linux alone can do that (prctl(2), PR_SET_PDEATHSIG); elsewhere an orphan goes on to its end.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


def end_with_parent() -> None:
    """From now on the kernel kills this process when its parent is gone."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        log.warning("This process may outlive its supervisor: %s", os.strerror(ctypes.get_errno()))
