"""Staging, as each test finds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.sensors.deploy.staging import SCHEDULED_WATCH, WATCH, Staging, sha_of


@pytest.fixture(scope="package")
def _staging(running: Staging) -> Staging:
    # nobody triggers it: the watch finds a commit that was never loaded
    first = f"deploy__{sha_of('first')}"
    running.until(lambda: True if running.exists(first) else None)
    for watch in (WATCH, SCHEDULED_WATCH):
        running.end_watch(watch)
    assert running.wait(first) == "success"
    return running


@pytest.fixture
def staging(_staging: Staging) -> Iterator[Staging]:
    """The deployment, whose watch is paused and whose endpoint is well."""
    _staging.endpoint.fault = None
    _staging.settings()
    yield _staging
    _staging.endpoint.fault = None
    _staging.settle()
    _staging.restore()
