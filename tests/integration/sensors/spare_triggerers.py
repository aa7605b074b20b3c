"""A process that has imported Airflow, and starts a triggerer for each line on its standard input: the log of that one.

The answer is a line with its pid.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import httpx

from dev import components

WATCHING = (
    "airflow.providers.common.messaging.triggers.msg_queue",
    "sluiceway.sources.places.google_listing",
    "sluiceway.sources.places.s3_listing",
    "sluiceway.on_airflow.triggers.watch",
)
"""What a triggerer imports once it watches."""


def run() -> None:
    """`airflow triggerer`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    components.run_command(["triggerer", "--skip-serve-logs"])


async def ask(server: httpx.AsyncBaseTransport) -> None:
    """For nothing that needs a database: what is forked has no connection in common."""
    async with httpx.AsyncClient(transport=server, base_url="http://in-process") as client:
        (await client.get("/health")).raise_for_status()


if __name__ == "__main__":
    # what a library says while it is imported is no answer
    answers = os.dup(1)
    os.dup2(2, 1)
    components.import_common()
    components.import_jobs()
    from airflow.jobs import triggerer_job_runner

    for module in WATCHING:
        import_module(module)
    # the server that each would build for itself, the greater part at the first question; in Airflow 3.4 none is common
    if build := getattr(triggerer_job_runner, "in_process_api_server", None):
        triggerer_job_runner.in_process_api_server = cache(build)
        asyncio.run(ask(triggerer_job_runner.in_process_api_server().atransport))
    gc.freeze()
    # nobody waits for those that are killed
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        log = Path(line.strip())
        os.write(answers, f"{components.fork(log.stem, log.parent, run)}\n".encode())
