"""How often an address may ask for what is public: a bucket each, of which a process has no more than so many."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

WINDOW_S = 60.0
ADDRESSES = 10_000
IPV6_PREFIX = 64
"""What one customer has; he may have an address of it for every question."""


class Limit:
    """So many questions at once, and then as many a minute (GCRA). For one event loop: it is not locked.

    :param addresses: so many are remembered, those that asked last; one that is forgotten begins with a full bucket.
    """

    def __init__(self, *, addresses: int = ADDRESSES, clock: Callable[[], float] = time.monotonic) -> None:
        self._addresses, self._clock = addresses, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When each bucket is full again."""

    def wait_s(self, host: str | None, per_minute: int) -> float:
        """Take one from the bucket of an address.

        :returns: 0, or the seconds until it holds one again; then nothing was taken.
        """
        address, now = _counted_as(host), self._clock()
        full_at = max(self._full_at.pop(address, now), now)
        wait = full_at + WINDOW_S / per_minute - WINDOW_S - now
        self._full_at[address] = full_at if wait > 0 else full_at + WINDOW_S / per_minute
        while len(self._full_at) > self._addresses:
            self._full_at.popitem(last=False)
        return max(wait, 0.0)


def _counted_as(host: str | None) -> str:
    """An IPv6 address counts as its network; what is no address, such as a socket's file, as itself."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return host or ""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
