"""Procrastinate's own worker with a no-op: python procrastinate_queue.py URL COUNT. It must be installed."""

import asyncio
import json
import sys
import time

import procrastinate

URL, COUNT = sys.argv[1], int(sys.argv[2])
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))


@app.task(queue="bench")
async def noop(number: int) -> None:
    """Nothing."""


async def main() -> None:
    """Enqueue, then measure the worker alone."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for begin in range(0, COUNT, 1000):
            await noop.batch_defer_async(*({"number": each} for each in range(begin, min(begin + 1000, COUNT))))
        started = time.monotonic()
        await app.run_worker_async(wait=False, concurrency=20, install_signal_handlers=False)
        print(json.dumps({"items": COUNT, "seconds": time.monotonic() - started}))  # noqa: T201  # read by bench.jobs


asyncio.run(main())
