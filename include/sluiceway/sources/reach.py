"""Which machines the address in a file may have asked: none of the deployment's own network that nobody has declared.

A name is looked up once, and what is connected to is the address that was judged: a server of names that answers
otherwise a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from sluiceway.certificates import trusted
from sluiceway.errors import PrivateAddressError
from sluiceway.settings import load_settings

Address = IPv4Address | IPv6Address
_TRANSLATED = ip_network("64:ff9b::/96")
"""NAT64: the last four bytes are an address of version 4."""


def judged(host: str, port: int | None) -> list[str]:
    """The addresses of a host that may be connected to, in the order in which to try them.

    :raises PrivateAddressError: there is none but of this network.
    :raises OSError: nobody knows the name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    allowed = [each for each in addresses if _may_be_asked(host, each)]
    if not allowed:
        of_name = "" if addresses[0] == host else f" is {addresses[0]}, which"
        raise PrivateAddressError(
            f"{host}{of_name} is an address of this network, and no file may have one asked that is not declared; "
            f"declare it in SLUICEWAY_PRIVATE_HOSTS if it is meant"
        )
    return allowed


def _may_be_asked(host: str, shown: str) -> bool:
    address = ip_address(shown.partition("%")[0])
    if all(each.is_global and not each.is_multicast for each in _all_of(address)):
        return True
    names, networks = load_settings().private()
    return host.casefold().rstrip(".") in names or any(address in network for network in networks)


def _all_of(address: Address) -> list[Address]:
    """An address, and the one of version 4 that it stands for."""
    if isinstance(address, IPv4Address):
        return [address]
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if address in _TRANSLATED:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    # ::ffff:1.2.3.4 itself is called reserved
    return [inner] if inner is not None and address.ipv4_mapped else [address, *([inner] if inner is not None else [])]


class OutsideTransport(httpx.HTTPTransport):
    """Sends requests to machines that `judged` allows.

    :param proxy: what sends them on; it is the deployment's own, and looks names up itself: what can be looked up here
        is judged all the same.
    """

    def __init__(self, proxy: str | None = None) -> None:
        super().__init__(proxy=proxy, verify=trusted())
        self._by_proxy = proxy is not None
        if not self._by_proxy:
            # httpcore takes a backend, and httpx has no parameter to hand one on
            self._pool._network_backend = _JudgedBackend(self._pool._network_backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's own."""
        if self._by_proxy:
            _judge_for_proxy(request.url)
        return super().handle_request(request)


class AsyncOutsideTransport(httpx.AsyncHTTPTransport):
    """The same for who awaits."""

    def __init__(self, proxy: str | None = None) -> None:
        super().__init__(proxy=proxy, verify=trusted())
        self._by_proxy = proxy is not None
        if not self._by_proxy:
            self._pool._network_backend = _AsyncJudgedBackend(self._pool._network_backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's own."""
        if self._by_proxy:
            await asyncio.to_thread(_judge_for_proxy, request.url)
        return await super().handle_async_request(request)


def _judge_for_proxy(url: httpx.URL) -> None:
    # a name that the proxy alone knows is its business
    with suppress(OSError):
        judged(url.host, url.port)


def proxy_of(url: httpx.URL) -> str | None:
    """The environment's, which httpx forgets where a transport is one's own."""
    return None if proxy_bypass(url.host) else getproxies().get(url.scheme)


class _JudgedBackend(httpcore.NetworkBackend):
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
        try:
            addresses = judged(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        *others, last = addresses
        for address in others:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _AsyncJudgedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.to_thread(judged, host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        *others, last = addresses
        for address in others:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
