"""Sees what a server sends behind the end that it announced: httpx drops it, and a file that is cut looks whole."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from sluiceway.sources.reach import OutsideTransport

WAIT_S = 2.0
"""For a server that does not close the connection although it was asked to."""


class WatchedTransport(OutsideTransport):
    """Answers whose stream `sends_more` can ask. Requests need the header `Connection: close`."""

    def __init__(self, proxy: str | None = None) -> None:
        super().__init__(proxy)
        # httpcore takes a backend, and httpx has no parameter to hand one on
        self._pool._network_backend = _Backend(self._pool._network_backend)


def sends_more(answer: httpx.Response, length: int) -> bool:
    """Whether the server sends more than the `length` bytes of a body that have been read; waits for its end."""
    stream = answer.extensions.get("network_stream")
    return isinstance(stream, _Stream) and stream.has_more_than(length)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """Counts the bytes behind the headers of one answer."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._head: bytes | None = b""
        self._body = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, timeout)
        self._count(data)
        return data

    def _count(self, data: bytes) -> None:
        if self._head is None:
            self._body += len(data)
            return
        self._head += data
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            rest = self._head[end + 4 :]
            # 100 Continue and 103 Early Hints come before the answer
            if re.match(rb"HTTP/1.1 1\d\d", self._head):
                self._head = rest
                continue
            self._head, self._body = None, len(rest)
            return

    def has_more_than(self, length: int) -> bool:
        if self._head is None and self._body == length:
            try:
                self.read(1, WAIT_S)
            except (httpcore.NetworkError, httpcore.TimeoutException):
                return False
        return self._head is None and self._body > length

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
