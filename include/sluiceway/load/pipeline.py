"""Two sides of a load at the same time: what reads ahead, and what is handed over to the COPY.

Reading, checking and COPY take about as long as each other and all release Python's lock: with threads between them a
load of polygons takes half the time. A queue of few batches keeps the memory bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from queue import Full, Queue
from threading import Event
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1
WAITING = 2
"""Items between two threads."""


def _put(queue: Queue[T], item: T, ended: Callable[[], bool]) -> bool:
    """Wait for a free place; False when the other side has ended meanwhile."""
    while not ended():
        try:
            queue.put(item, timeout=POLL_SECONDS)
        except Full:
            continue
        return True
    return False


@contextmanager
def read_ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """The items, of which the next ones are made in a thread of their own. An error comes after those before it."""
    made: Queue[tuple[T] | None] = Queue(WAITING)
    stopped = Event()

    def make() -> None:
        try:
            for item in items:
                if not _put(made, (item,), stopped.is_set):
                    return
        finally:
            _put(made, None, stopped.is_set)

    def taken(maker: Future[None]) -> Iterator[T]:
        while (found := made.get()) is not None:
            yield found[0]
        maker.result()

    with ThreadPoolExecutor(1, "read ahead") as threads:
        try:
            with closing(taken(threads.submit(make))) as reader:  # type: ignore[type-var]  # a generator has close()
                yield reader
        finally:
            stopped.set()


def hand_over(items: Iterator[T], consume: Callable[[Iterator[T]], int]) -> int:
    """What `consume` returns, which takes the items in a thread of its own.

    An error of `consume` ends the making of items, and an error of the items ends what `consume` gets; the first one
    is raised. `consume` may have seen a part of the items then: its work must be rolled back.
    """
    waiting: Queue[tuple[T] | None] = Queue(WAITING)

    def handed() -> Iterator[T]:
        while (item := waiting.get()) is not None:
            yield item[0]

    with ThreadPoolExecutor(1, "hand over") as threads:
        result = threads.submit(consume, handed())
        try:
            for item in items:
                if not _put(waiting, (item,), result.done):
                    break
        finally:
            _put(waiting, None, result.done)
    return result.result()
