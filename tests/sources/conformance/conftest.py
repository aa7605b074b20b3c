"""The bench on which kinds of sources serve their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.sources.conformance.kind import Bench


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks the protocol of Amazon S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner_url: str,
    warehouse_url: str,
) -> Iterator[Bench]:
    """A folder, a database, and servers that end with the test."""
    with ExitStack() as stack:
        # few need it, and it takes a second to start
        s3_endpoint = partial(request.getfixturevalue, "s3_endpoint")
        yield Bench(tmp_path, stack, monkeypatch, owner_url, warehouse_url, s3_endpoint)
