"""A process that has imported Airflow, and starts a triggerer for each line on its standard input: the log of that one.

The answer is a line with its pid.
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path

from dev import components


def run() -> None:
    """`airflow triggerer`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    components.run_command(["triggerer", "--skip-serve-logs"])


if __name__ == "__main__":
    components.import_common()
    components.import_jobs()
    gc.freeze()
    # nobody waits for those that are killed
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        log = Path(line.strip())
        components.emit(components.fork(log.stem, log.parent, run))
