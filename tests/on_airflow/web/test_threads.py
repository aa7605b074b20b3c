"""The few threads in which routes ask databases: who finds none is told so in time, and what he wanted is not done."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from sluiceway.errors import BusyError
from sluiceway.ledger import warehouse
from sluiceway.ledger.warehouse import Limits
from sluiceway.on_airflow.web import threads as module
from sluiceway.on_airflow.web.threads import Threads

LIMITS = Limits(connect_s=1, lock_s=2, statement_s=3)
LONG_S, SHORT_S = 20.0, 0.05
BUSY = r"^The server is busy\. Try again in a few seconds\.$"
who: ContextVar[str] = ContextVar("who")


def threads(*, count: int = 1, wait_s: float = LONG_S, work_s: float = LONG_S) -> Threads:
    return Threads("few", count=count, wait_s=wait_s, work_s=work_s, limits=LIMITS)


class Slow:
    """Work that goes on until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(LONG_S)
        return "done"


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.may_end.set()


def scene(play: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(play, LONG_S))


async def begun(work: Slow) -> None:
    assert await asyncio.to_thread(work.begun.wait, LONG_S)


async def free_again(some: Threads) -> None:
    """Until the only thread has done what was asked for before."""
    while True:
        try:
            assert await some.run(lambda: "free") == "free"
            return
        except BusyError:
            continue


def test_work_is_done_in_a_thread_of_these_within_the_limits_and_for_who_asked() -> None:
    def look(more: str, *, end: str) -> tuple[str, Limits | None, str]:
        return threading.current_thread().name, warehouse._LIMITS.get(), f"{who.get()}{more}{end}"

    async def play() -> None:
        who.set("anna")
        name, limits, said = await threads().run(look, " asks", end="!")
        assert (name, limits, said) == ("few_0", LIMITS, "anna asks!")

    scene(play())


def test_what_the_work_raises_is_raised_and_the_thread_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 1)

    async def play() -> None:
        some = threads()
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await some.run(lambda: 1 / 0)
        assert await some.run(lambda: "free") == "free"

    scene(play())


def test_who_finds_no_thread_free_in_time_is_told_so_and_his_work_is_never_done(slow: Slow) -> None:
    did: list[str] = []

    async def play() -> None:
        some = threads(wait_s=SHORT_S)
        first = asyncio.ensure_future(some.run(slow))
        await begun(slow)
        with pytest.raises(BusyError, match=BUSY):
            await some.run(did.append, "late")
        slow.may_end.set()
        assert await first == "done", "what has begun in time may take longer than one may wait for a thread"
        await some.run(did.append, "free")

    scene(play())
    assert did == ["free"]


def test_work_that_takes_too_long_is_waited_for_no_more_and_keeps_its_thread_until_it_is_done(slow: Slow) -> None:
    async def play() -> None:
        some = threads(wait_s=SHORT_S, work_s=SHORT_S)
        with pytest.raises(BusyError, match=BUSY):
            await some.run(slow)
        assert slow.begun.is_set()
        with pytest.raises(BusyError):
            await some.run(lambda: "no thread is free")
        slow.may_end.set()
        await free_again(some)

    scene(play())


def test_who_comes_when_many_wait_already_is_refused_at_once(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)

    async def play() -> None:
        some = threads()
        for work in (slow, Slow()):
            inside = [asyncio.ensure_future(some.run(work)) for _ in range(2)]
            await begun(work)
            with pytest.raises(BusyError, match=BUSY):
                await asyncio.wait_for(some.run(lambda: "refused"), LONG_S / 4)
            work.may_end.set()
            assert await asyncio.gather(*inside) == ["done", "done"]
            assert await some.run(lambda: "taken") == "taken"

    scene(play())


def test_what_becomes_of_work_that_nobody_waits_for_is_no_line_of_the_log(slow: Slow) -> None:
    """It may repeat what was sent."""

    def fail() -> None:
        slow()
        raise ValueError("geheim")

    said: list[object] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        some = threads(wait_s=SHORT_S, work_s=SHORT_S)
        with pytest.raises(BusyError):
            await some.run(fail)
        with pytest.raises(BusyError):
            await some.run(lambda: "not even begun")
        slow.may_end.set()
        await free_again(some)
        gc.collect()

    scene(play())
    assert said == []


def test_a_route_that_is_bounded_is_the_same_route_to_who_reads_its_parameters() -> None:
    def route(name: str, count: int = 1) -> str:
        """A page."""
        return name * count

    bound = threads().bounded(route)
    assert inspect.iscoroutinefunction(bound)
    assert (inspect.signature(bound), bound.__doc__) == (inspect.signature(route), "A page.")

    async def play() -> None:
        assert await bound("a", count=3) == "aaa"

    scene(play())
