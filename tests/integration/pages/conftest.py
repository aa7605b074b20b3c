"""One Airflow and one browser for all that is looked at: both end after the last of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from dev import browser as installed
from tests.integration.pages import staging as deployment
from tests.integration.pages.staging import Staging

ZONE = "Asia/Kathmandu"
"""45 minutes off the hour: no other zone's time is taken for its own."""


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    """The deployment that all tests share."""
    with deployment.started(tmp_path_factory.mktemp("pages")) as staging:
        yield staging


@pytest.fixture
def staging(running: Staging) -> Iterator[Staging]:
    """The deployment, with each table's source as it was."""
    yield running
    running.restore()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        # as root there is no sandbox to be had
        launched = playwright.chromium.launch(executable_path=installed.chromium(), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def reader(browser: Browser, running: Staging) -> Iterator[BrowserContext]:
    """The browser of somebody who is logged in; nothing but the stack answers it."""
    context = browser.new_context(timezone_id=ZONE, viewport={"width": 1400, "height": 900})
    context.add_cookies([{"name": "_token", "value": running.stack.token(), "url": running.stack.url}])
    yield context
    context.close()


@pytest.fixture
def tab(reader: BrowserContext, running: Staging) -> Iterator[Page]:
    """A page that asks nobody else, and of ours nothing that the browser refuses or that breaks off."""
    opened = reader.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if is_ours(message) else None)
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.close()
    assert [url for url in asked if not url.startswith((running.stack.url, "data:", "blob:"))] == []
    assert said == []


def is_ours(message: ConsoleMessage) -> bool:
    """Whether it is an error of one of our pages, and not that Airflow answers with a 404."""
    is_of_page = urlsplit(message.location["url"]).path.startswith("/sluiceway")
    return message.type == "error" and is_of_page and "Failed to load resource" not in message.text
