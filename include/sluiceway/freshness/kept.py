"""What many ask for is made once: kept for two seconds, in one process, by few threads and so by few connections.

Fifty questions a second are one question to the ledger every two seconds, and whoever comes while it is asked waits for
that answer. Waiting holds no thread: an event loop goes on.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

T = TypeVar("T")
KEPT_S = 2.0
THREADS = 4
"""Each asks the ledger by one connection at a time: so many does a process hold at most for all that is shown."""
PACKED_BYTES = 1024
"""What is shorter is not worth packing."""
PACKED_LEVEL = 1
"""The metrics of a thousand tables take 1.6 ms, a seventh more bytes than at level 5, and 2.4 ms less."""


class Memory:
    """Values by key. One that is asked for while it is made, or for `seconds` afterwards, is not made again.

    An error is kept as a value is, so that what cannot be made is not tried by everybody.
    """

    def __init__(
        self, *, seconds: float = KEPT_S, threads: int = THREADS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = Lock()
        self._made: dict[Hashable, tuple[Future[Any], float | None]] = {}
        """Each value, and since when it is there; None: it is being made."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="kept")

    def soon(self, key: Hashable, make: Callable[[], T], *, seconds: float | None = None) -> Future[T]:
        """The value, or that it will be there. `make` must not wait for another value of this memory.

        :param make: called in a thread of the memory's, if the value is not there.
        :param seconds: one that is there for longer is made anew for whoever asks now, and for all who come after.
        """
        with self._lock:
            now = self._clock()
            # whatever is asked for is made of what is asked for, so what is over is let go of here
            self._made = {each: entry for each, entry in self._made.items() if _lasts(entry[1], now, self._seconds)}
            if key in self._made and (seconds is None or _lasts(self._made[key][1], now, seconds)):
                return cast("Future[T]", self._made[key][0])
            coming: Future[T] = self._threads.submit(make)
            self._made[key] = coming, None
        # not under the lock: one that is done already is told at once, in this thread
        coming.add_done_callback(lambda done: self._keep(key, done))
        return coming

    async def get(self, key: Hashable, make: Callable[[], T], *, seconds: float | None = None) -> T:
        """As `soon`, for a coroutine. One that is cancelled takes the value from nobody else."""
        return await asyncio.shield(asyncio.wrap_future(self.soon(key, make, seconds=seconds)))

    def forget(self) -> None:
        """Have everything made anew that is asked for from now on."""
        with self._lock:
            self._made = {}

    def _keep(self, key: Hashable, done: Future[Any]) -> None:
        with self._lock:
            if key in self._made and self._made[key][0] is done:
                self._made[key] = done, self._clock()


def _lasts(since: float | None, now: float, seconds: float) -> bool:
    return since is None or since + seconds > now


class Rendered(NamedTuple):
    """Bytes to answer with, the same packed by gzip where that is worth it, and what tells them from others."""

    body: bytes
    packed: bytes | None
    etag: str
    """As the header has it: a weak one, for a proxy may pack what we do not."""


def rendered(body: bytes) -> Rendered:
    """What is answered often is packed once."""
    packed = gzip.compress(body, PACKED_LEVEL, mtime=0) if len(body) >= PACKED_BYTES else None
    return Rendered(body, packed, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"')
