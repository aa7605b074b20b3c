"""Threads of the plugin's own in Airflow's API server, few of them: the server's are left to the server.

A route that is no coroutine is run by FastAPI in forty threads that all routes share, Airflow's too. Whatever keeps a
route of ours waiting, a lock of the warehouse or a database that does not answer, would have the whole API server wait.
So routes that ask databases run here, and whoever finds no thread free is told so in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from sluiceway.errors import BusyError
from sluiceway.ledger.warehouse import Limits, limited

P = ParamSpec("P")
R = TypeVar("R")
AGAIN_S = 5
"""When to ask again what found no thread free, or a ledger that did not answer."""
MOST_WAITING = 200
"""Who comes when so many are there already is refused at once."""


class Threads:
    """Some threads, and how long one may wait for them.

    :param name: what they do, for who looks at the process.
    :param count: how many.
    :param wait_s: the longest wait for one that is free.
    :param work_s: the longest wait for what it does. It goes on afterwards, and is no free one until it is done.
    :param limits: of each transaction on the warehouse, so that it is done soon.
    """

    def __init__(self, name: str, *, count: int, wait_s: float, work_s: float, limits: Limits) -> None:
        self._wait_s, self._work_s, self._limits = wait_s, work_s, limits
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._inside = 0

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the work returns or raises, of a thread of these.

        :raises BusyError: none was free in time, or the work took too long.
        """
        if self._inside >= MOST_WAITING:
            raise BusyError(self._said())
        self._inside += 1
        try:
            return await self._soon(partial(work, *args, **kwargs))
        finally:
            self._inside -= 1

    def bounded(self, route: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
        """The route, run by these threads."""

        @wraps(route)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.run(route, *args, **kwargs)

        return run

    async def _soon(self, work: Callable[[], R]) -> R:
        job: Future[R] = self._pool.submit(copy_context().run, self._limited, work)
        answer = asyncio.wrap_future(job)
        # what it says to nobody is no line of the log, which may repeat what was sent
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait({answer}, timeout=self._wait_s)
        # a job that has begun cannot be cancelled
        if not done and not job.cancel():
            done, _ = await asyncio.wait({answer}, timeout=self._work_s)
        if not done:
            raise BusyError(self._said())
        return answer.result()

    def _limited(self, work: Callable[[], R]) -> R:
        with limited(self._limits):
            return work()

    def _said(self) -> str:
        return "The server is busy. Try again in a few seconds."


page_threads = Threads("pages", count=8, wait_s=5, work_s=60, limits=Limits(connect_s=5, lock_s=3, statement_s=30))
"""In which pages are made."""
