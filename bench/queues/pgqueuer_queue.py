"""PgQueuer's own worker with a no-op: python pgqueuer_queue.py URL COUNT. It must be installed."""

import asyncio
import json
import sys
import time

import asyncpg
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from pgqueuer.types import QueueExecutionMode

URL, COUNT = sys.argv[1], int(sys.argv[2])


async def main() -> None:
    """Enqueue, then measure the worker alone."""
    driver = AsyncpgDriver(await asyncpg.connect(URL))
    queries = Queries(driver)
    await queries.install()
    for begin in range(0, COUNT, 1000):
        number = min(1000, COUNT - begin)
        await queries.enqueue(["noop"] * number, [None] * number, [0] * number)
    worker = PgQueuer(driver)

    @worker.entrypoint("noop")
    async def noop(_job: Job) -> None:
        """Nothing."""

    started = time.monotonic()
    await worker.run(batch_size=500, mode=QueueExecutionMode.drain)
    print(json.dumps({"items": COUNT, "seconds": time.monotonic() - started}))  # noqa: T201  # read by bench.jobs


asyncio.run(main())
