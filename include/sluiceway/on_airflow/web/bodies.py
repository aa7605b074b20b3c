"""The bodies of requests from anybody: no more of them in memory than is allowed, of one and of all together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from sluiceway.errors import BusyError, WebhookRefusedError

READ_S = 30.0
"""How long a sender may take over its body."""
DRAINED_BYTES = 32 << 20
DRAIN_S = 5.0
"""What of a body that is not read is still taken and thrown away, so that its sender sees the answer."""
HELD_BYTES = 64 << 20
"""Of all bodies together that are being read or worked on."""


class Room:
    """The memory that bodies share."""

    def __init__(self, size: int) -> None:
        self.free = size


class Body:
    """The body of one request. What it holds of the room it gives back when the block ends.

    :param request: nobody else has read its body.
    """

    def __init__(self, request: Request, room: Room) -> None:
        self._room, self._held = room, 0
        self._waits_for_leave = bool(request.headers.get("expect"))
        length = request.headers.get("content-length", "")
        self._announced = int(length[:20]) if length.isascii() and length.isdigit() else 0
        self._chunks: AsyncIterator[bytes] = request.stream()
        self.is_at_end = False

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    async def read(self, max_bytes: int) -> bytes:
        """All of it.

        :raises WebhookRefusedError: it is larger (413), does not come to its end (408), or its sender is gone (400).
        :raises BusyError: other bodies take all the room.
        """
        too_large = WebhookRefusedError(
            f"The body is larger than {max_bytes:,} bytes.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
        if self._announced > max_bytes:
            raise too_large
        content = bytearray()
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in self._chunks:
                    if len(content) + len(chunk) > max_bytes:
                        raise too_large
                    self._hold(len(chunk))
                    content += chunk
        except TimeoutError:
            raise WebhookRefusedError("The body did not come to its end.", status=HTTPStatus.REQUEST_TIMEOUT) from None
        except ClientDisconnect:
            raise WebhookRefusedError("The sender went away.", status=HTTPStatus.BAD_REQUEST) from None
        self.is_at_end = True
        return bytes(content)

    async def drain(self) -> None:
        """Throw away what is still to come of it, within bounds."""
        self._give_back()
        if self.is_at_end or self._waits_for_leave:
            return
        seen = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                async for chunk in self._chunks:
                    seen += len(chunk)
                    if seen > DRAINED_BYTES:
                        return
        except (TimeoutError, ClientDisconnect):
            return
        self.is_at_end = True

    def _hold(self, size: int) -> None:
        if size > self._room.free:
            raise BusyError("Too much is being sent at the moment. Try again in a few seconds.")
        self._room.free -= size
        self._held += size

    def _give_back(self) -> None:
        self._room.free += self._held
        self._held = 0
