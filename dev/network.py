"""A network of its own for workers: each in a network namespace, joined by a bridge, so that one can really be cut off.

Linux, root and iproute2. The servers of the stack listen on the bridge, too; the warehouse has an address of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

BRIDGE = "sluice0"
NET = "10.87.7"
HOST = f"{NET}.1"
"""Of this machine, on the bridge."""
WAREHOUSE = f"{NET}.2"
"""The same machine's second address, for the warehouse alone."""
FIRST = 10
NOWHERE = "02:00:00:00:00:01"
"""A link address that nobody has: what is sent there is lost without a word, as on a broken line."""


@dataclass(frozen=True)
class Network:
    """The namespaces, in order."""

    names: tuple[str, ...]

    def cut(self, name: str) -> None:
        """From everything."""
        _ip("link", "set", self._line(name), "down")

    def mend(self, name: str) -> None:
        _ip("link", "set", self._line(name), "up")

    def cut_from_warehouse(self, name: str) -> None:
        """Packets to the warehouse are lost; everything else is reached."""
        _ip("-n", name, "neigh", "replace", WAREHOUSE, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent")

    def mend_to_warehouse(self, name: str) -> None:
        _ip("-n", name, "neigh", "del", WAREHOUSE, "dev", "eth0")

    def _line(self, name: str) -> str:
        return f"{BRIDGE}-{self.names.index(name)}"


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """A namespace for each name, as long as the block lasts."""
    made = Network(tuple(names))
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        for address in (HOST, WAREHOUSE):
            _ip("address", "add", f"{address}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(names):
            line = f"{BRIDGE}-{number}"
            _ip("netns", "add", name)
            _ip("link", "add", line, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", line, "master", BRIDGE, "up")
            _ip("-n", name, "address", "add", f"{NET}.{FIRST + number}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, stderr=subprocess.DEVNULL)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
