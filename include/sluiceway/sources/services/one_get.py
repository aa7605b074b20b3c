"""One request to an address, bounded in time and size, that follows no redirect: how sensors and watches ask."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import httpx

from sluiceway.certificates import trusted
from sluiceway.errors import ConfigError
from sluiceway.sources.place import without_secrets
from sluiceway.sources.reach import AsyncOutsideTransport, proxy_of
from sluiceway.sources.services.api_client import LOCAL_HOSTS

TRY_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
"""Statuses that say "later"."""
LAST_PORT = 65_535


class Answer(NamedTuple):
    """What came."""

    status: int
    said: str
    """The status as the server words it: `404 Not Found`."""
    headers: httpx.Headers
    body: bytes
    """At most as much as was asked for."""
    is_whole: bool
    """Whether that is all."""

    @property
    def leads_to(self) -> str | None:
        """Where a redirect leads."""
        found: str | None = self.headers.get("location")
        return found


def checked(url: str, connection: str | None, where: str = "") -> httpx.URL:
    """The address, to which a connection's secrets go encrypted or not at all.

    :param where: stands before the error's sentence.
    :raises ConfigError: it is no address, or not encrypted.
    """
    try:
        found = httpx.URL(url)
        # what neither httpx nor a resolver takes: an empty label or one of more than 63 characters, a port beyond all
        found.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ConfigError(f"{where}url = {without_secrets(url)!r} is no address: {error}") from error
    if found.port is not None and found.port > LAST_PORT:
        raise ConfigError(f"{where}url = {without_secrets(url)!r} is no address: the last port is {LAST_PORT}")
    if connection is not None and found.scheme != "https" and found.host not in LOCAL_HOSTS:
        raise ConfigError(
            f"{where}url = {without_secrets(url)!r}: what the connection {connection!r} holds would travel "
            f"unencrypted; use https://"
        )
    return found


async def get_once(
    url: httpx.URL, secrets: Mapping[str, str], *, timeout_s: float, max_bytes: int, is_known: bool = True
) -> Answer:
    """As `send_once`, by GET."""
    return await send_once("GET", url, secrets, timeout_s=timeout_s, max_bytes=max_bytes, is_known=is_known)


async def send_once(
    method: Literal["GET", "POST"],
    url: httpx.URL,
    secrets: Mapping[str, str],
    *,
    timeout_s: float,
    max_bytes: int,
    document: Mapping[str, Any] | None = None,
    is_known: bool = True,
) -> Answer:
    """Ask once.

    :param secrets: headers of a connection.
    :param document: sent as JSON.
    :param timeout_s: for all of it.
    :param max_bytes: of the body; with 0 it is not read, and may go on for ever.
    :param is_known: whether the address is one of an environment or a connection, and may be anywhere.
    :raises PrivateAddressError: it may not, and is of this network and not declared.
    :raises TimeoutError: it takes longer.
    :raises httpx.RequestError: nothing whole comes.
    """
    # it logs a line for every request, and here are thousands a day
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # a body is unpacked here, where its size has a bound: of four bytes another packing makes a hundred thousand
    packing = {"Accept-Encoding": "gzip"} if max_bytes else {}
    # httpx bounds each read only: a server that sends a byte now and then would hold it for ever
    async with (
        asyncio.timeout(timeout_s),
        httpx.AsyncClient(
            timeout=timeout_s,
            transport=None if is_known else AsyncOutsideTransport(None if url.host in LOCAL_HOSTS else proxy_of(url)),
            trust_env=url.host not in LOCAL_HOSTS,
            verify=trusted(),
            headers={"User-Agent": "sluiceway", "Cache-Control": "no-cache", **packing, **secrets},
        ) as client,
        client.stream(method, url, json=document) as answer,
    ):
        body = await _beginning(answer, max_bytes) if max_bytes else b""
        said = f"{answer.status_code} {answer.reason_phrase}".strip()
        return Answer(answer.status_code, said, answer.headers, body[:max_bytes], len(body) <= max_bytes)


async def _beginning(answer: httpx.Response, max_bytes: int) -> bytes:
    """The body, unpacked, as far as it is read; more than max_bytes of it when it is longer."""
    packed = answer.headers.get("content-encoding", "identity").strip().lower()
    if packed not in {"identity", "gzip", "x-gzip", ""}:
        raise httpx.DecodingError(f"its body is packed as {packed!r}, which was not asked for", request=answer.request)
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packed.endswith("gzip") else None
    body = bytearray()
    try:
        async for chunk in answer.aiter_raw():
            body += unpacking.decompress(chunk, max_bytes + 1 - len(body)) if unpacking is not None else chunk
            if len(body) > max_bytes:
                return bytes(body)
    except zlib.error as error:
        raise httpx.DecodingError("its body is not packed as it says", request=answer.request) from error
    if body and unpacking is not None and not unpacking.eof:
        raise httpx.DecodingError("its body breaks off", request=answer.request)
    return bytes(body)
