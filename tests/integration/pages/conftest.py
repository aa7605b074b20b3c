"""One Airflow and one browser for all that is looked at: both end after the last of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from dev import browser as installed
from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, ROWS, csv_of, name_of, write_table
from tests.integration.pages.staging import PROMISED, Staging
from tests.integration.sensors.deploy.staging import sha_of
from tests.stand_ins.version_endpoint import VersionEndpoint

TABLES = 3
ZONE = "Asia/Kathmandu"
"""45 minutes off the hour: no other zone's time is taken for its own."""


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    """An Airflow with three tables, one of which promises to be two hours old at most."""
    folder = tmp_path_factory.mktemp("pages")
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "flows", "environments"):
        (config / name).mkdir(parents=True)
    for number in range(1, TABLES + 1):
        write_table(config, name_of(number), csv_of(ROWS))
    promised = config / "tables" / f"{PROMISED}.toml"
    promised.write_text(f'fresh_within = "2h"\n{promised.read_text(encoding="utf-8")}', encoding="utf-8")
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_ENVIRONMENT": "staging",
        # a deploy's run is begun by the tests alone
        "SLUICEWAY_DEPLOY_WATCH": "off",
        **CALM,
    }
    with VersionEndpoint(commit=sha_of("first")) as endpoint:
        with (
            Stack.running(folder / "stack", env=env, postgres=THROWN_AWAY) as stack,
            AirflowApi(stack.url, stack.username, stack.password) as api,
            closing(Staging(stack, api, config, endpoint=endpoint)) as staging,
        ):
            staging.settings()
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
    """A page that asks nobody else, and whose script and styles the browser does not refuse."""
    opened = reader.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.close()
    assert [url for url in asked if not url.startswith((running.stack.url, "data:"))] == []
    assert said == []
