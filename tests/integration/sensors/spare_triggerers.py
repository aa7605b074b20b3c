"""A process that has imported Airflow, and starts a triggerer for each line on its standard input: the log of that one.

The answer is a line with its pid.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from dev import components

WATCHING = (
    "airflow.api_fastapi.execution_api.app",
    "airflow.providers.common.messaging.triggers.msg_queue",
    "sluiceway.sources.google_listing",
    "sluiceway.sources.s3_listing",
    "sluiceway.triggers.watch",
)
"""What a triggerer imports once it watches: two seconds of a processor."""


def run() -> None:
    """`airflow triggerer`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    components.run_command(["triggerer", "--skip-serve-logs"])


if __name__ == "__main__":
    # what a library says while it is imported is no answer
    answers = os.dup(1)
    os.dup2(2, 1)
    components.import_common()
    components.import_jobs()
    for module in WATCHING:
        import_module(module)
    gc.freeze()
    # nobody waits for those that are killed
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        log = Path(line.strip())
        os.write(answers, f"{components.fork(log.stem, log.parent, run)}\n".encode())
