"""A process that has imported Airflow, and starts a triggerer for each line on its standard input: the log of that one.

The answer is a line with its pid.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

from dev import components


def run() -> None:
    """`airflow triggerer`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    components.run_command(["triggerer", "--skip-serve-logs"])


def import_triggers() -> None:
    """What a triggerer imports once it watches: two seconds of a processor."""
    import airflow.api_fastapi.execution_api.app
    import airflow.providers.common.messaging.triggers.msg_queue  # noqa: F401

    import sluiceway.sources.google_listing
    import sluiceway.sources.s3_listing
    import sluiceway.triggers.watch  # noqa: F401


if __name__ == "__main__":
    # what a library says while it is imported is no answer
    answers = os.dup(1)
    os.dup2(2, 1)
    components.import_common()
    components.import_jobs()
    import_triggers()
    gc.freeze()
    # nobody waits for those that are killed
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        log = Path(line.strip())
        os.write(answers, f"{components.fork(log.stem, log.parent, run)}\n".encode())
