"""Hostile senders: bodies without end, many at once, slow ones."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

from sluiceway.errors import BusyError, WebhookRefusedError
from sluiceway.on_airflow.web import bodies
from sluiceway.on_airflow.web.bodies import Body, Room
from tests.on_airflow.web.door import Door, unique

CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
SLOW = 60
Taken = list[bytes] | None


def coming(*chunks: bytes, headers: dict[str, str] | None = None, then: str = "ends", taken: Taken = None) -> Request:
    """A request with a body of these chunks, which then ends, `stops` coming, or whose sender `leaves`.

    :param taken: gets each chunk that is taken.
    """
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if not left:
            if then == "stops":
                await asyncio.sleep(3600)
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        if taken is not None:
            taken.append(chunk)
        return {"type": "http.request", "body": chunk, "more_body": bool(left) or then != "ends"}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def test_bodies_share_their_room_and_give_it_back() -> None:
    async def scene() -> None:
        room = Room(100)
        with Body(coming(b"x" * 50, b"x" * 10), room) as first:
            assert await first.read(1000) == b"x" * 60
            assert room.free == 40
            with Body(coming(b"x" * 30, b"x" * 30), room) as second:
                with pytest.raises(BusyError):
                    await second.read(1000)
                await second.drain()
                assert (room.free, second.is_at_end) == (40, True)
        assert room.free == 100
        with Body(coming(b"x" * 60), room) as third:
            assert len(await third.read(1000)) == 60
        with Body(coming(b"x" * 60), room) as fourth, pytest.raises(WebhookRefusedError):
            await fourth.read(59)
        assert room.free == 100

    asyncio.run(scene())


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "²", ""])
def test_a_length_that_is_none_is_no_error(length: str) -> None:
    async def scene() -> int:
        with Body(coming(b"{}", headers={"content-length": length}), Room(100)) as body:
            try:
                return len(await body.read(10))
            except WebhookRefusedError as refused:
                return refused.status

    assert asyncio.run(scene()) == (413 if length == "9" * 5000 else 2)


@pytest.mark.parametrize("headers", [{}, {"content-length": "60"}], ids=["chunked", "announced"])
def test_a_body_may_be_exactly_as_large_as_is_allowed_and_as_there_is_room(headers: dict[str, str]) -> None:
    async def scene() -> None:
        room = Room(60)
        with Body(coming(b"x" * 20, b"x" * 40, headers=headers), room) as body:
            assert not body.is_at_end
            assert len(await body.read(60)) == 60
            assert (body.is_at_end, room.free) == (True, 0)
        for size, allowed, refused in ((60, 59, WebhookRefusedError), (61, 61, BusyError)):
            with Body(coming(*[b"x"] * size, headers=headers), room) as body, pytest.raises(refused):
                await body.read(allowed)
            assert room.free == 60

    asyncio.run(scene())


def test_of_a_body_that_is_announced_as_too_large_nothing_is_taken() -> None:
    async def scene() -> None:
        taken: list[bytes] = []
        with Body(coming(b"x", headers={"content-length": "11"}, taken=taken), Room(100)) as body:
            with pytest.raises(WebhookRefusedError, match="larger than 10 bytes") as caught:
                await body.read(10)
            assert (caught.value.status, taken) == (413, [])

    asyncio.run(scene())


@pytest.mark.parametrize(("then", "status"), [("stops", 408), ("leaves", 400)])
def test_a_body_that_does_not_come_to_its_end_is_refused_and_holds_no_room(
    then: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "READ_S", 0.05)

    async def scene() -> None:
        room = Room(100)
        with Body(coming(b"x" * 50, then=then), room) as body:
            with pytest.raises(WebhookRefusedError) as caught:
                await body.read(100)
            assert (caught.value.status, body.is_at_end) == (status, False)
        assert room.free == 100

    asyncio.run(asyncio.wait_for(scene(), 20))


@pytest.mark.parametrize(
    ("chunks", "then", "headers", "taken_bytes", "is_at_end"),
    [
        ([60, 40], "ends", {}, 100, True),
        ([60, 41, 1, 1], "ends", {}, 101, False),
        ([60], "stops", {}, 60, False),
        ([60], "leaves", {}, 60, False),
        ([60], "ends", {"expect": "100-continue"}, 0, False),
    ],
    ids=["little", "much", "stops", "leaves", "waits for leave"],
)
def test_what_is_not_read_is_thrown_away_within_bounds(
    chunks: list[int],
    then: str,
    headers: dict[str, str],
    taken_bytes: int,
    is_at_end: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sender then sees the answer; one who waits for leave has sent nothing yet."""
    monkeypatch.setattr(bodies, "DRAINED_BYTES", 100)
    monkeypatch.setattr(bodies, "DRAIN_S", 0.05)

    async def scene() -> None:
        taken: list[bytes] = []
        with Body(coming(*(b"x" * size for size in chunks), headers=headers, then=then, taken=taken), Room(1)) as body:
            await body.drain()
            assert (sum(map(len, taken)), body.is_at_end) == (taken_bytes, is_at_end)

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_nothing_is_asked_for_after_the_end_of_a_body() -> None:
    async def scene() -> None:
        with Body(coming(b"x"), Room(1)) as body:
            await body.read(1)
            await body.drain()
            assert body.is_at_end

    asyncio.run(scene())


@contextmanager
def connected(door: Door, hook: str, *headers: str) -> Iterator[socket.socket]:
    """A connection on which a request has begun."""
    place = urlsplit(door.url)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=20) as sender:
        lines = (f"POST /sluiceway/hooks/{hook} HTTP/1.1", f"Host: {place.netloc}", *headers, "", "")
        sender.sendall("\r\n".join(lines).encode())
        yield sender


def sent_without_end(door: Door, hook: str) -> tuple[bytes, bool]:
    """The first line of the answer, and whether the server has let go of the connection."""
    answer, until = b"", time.monotonic() + 25
    with connected(door, hook, "Transfer-Encoding: chunked", "X-Signature-256: x", "X-Timestamp: 1") as sender:
        sender.settimeout(0.01)
        while time.monotonic() < until:
            try:
                sender.sendall(CHUNK)
            except TimeoutError:
                pass
            except OSError:
                return answer.split(b"\r\n")[0], True
            try:
                answer += (got := sender.recv(65536))
            except TimeoutError:
                continue
            except OSError:
                return answer.split(b"\r\n")[0], True
            if not got:
                return answer.split(b"\r\n")[0], True
    return answer.split(b"\r\n")[0], False


def test_who_sends_without_end_is_answered_and_cut_off(door: Door) -> None:
    hooks = {"bare": b" 413 ", "nowhere": b" 404 ", "small": b" 413 "}
    with ThreadPoolExecutor(len(hooks)) as senders:
        for (hook, status), (line, is_over) in zip(
            hooks.items(), senders.map(lambda hook: sent_without_end(door, hook), hooks), strict=True
        ):
            assert is_over, f"{hook}: {line!r}"
            assert status in line or not line, f"{hook}: {line!r}"


def test_who_waits_for_leave_to_send_too_much_is_refused_at_once(door: Door) -> None:
    with connected(door, "small", "Content-Length: 1000000", "Expect: 100-continue") as sender:
        answer = sender.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_slow_senders_keep_nobody_else_from_the_webhook(door: Door) -> None:
    with ExitStack() as stack:
        for _ in range(SLOW):
            sender = stack.enter_context(connected(door, "bare", "Content-Length: 1000", "X-Timestamp: 1"))
            sender.sendall(b"{")
        began = time.monotonic()
        assert door.post("bare", unique()).status_code == 202
        assert time.monotonic() - began < 5
