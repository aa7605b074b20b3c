"""What each face says of the same moment. A new face is a function here and a line in FACES."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.pages.staging import Staging

PROGRAM = Path(sys.executable).with_name("sluiceway")
EXIT_CODES = {0: {"in step", "behind"}, 1: {"stale"}, 3: {"unknown"}}
PATH = "/sluiceway/"


class Said(NamedTuple):
    """What a face says."""

    state: str
    tables: dict[str, str] | None
    """None: it names none."""
    why: str = ""


def page(staging: Staging, tab: Page) -> Said:
    """The page, as a person reads it."""
    began = datetime.now(UTC)

    def loaded() -> bool | None:
        answer = tab.goto(staging.stack.url + PATH)
        assert answer is not None and answer.status == 200
        computed = tab.locator("[data-computed] time").get_attribute("datetime")
        # a verdict is kept for two seconds, and is told to the second
        return True if computed is not None and datetime.fromisoformat(computed) > began else None

    staging.until(loaded)
    rows = tab.locator("table.tables tbody tr:not(.why)")
    tables = dict(zip(rows.locator("th").all_inner_texts(), rows.locator("td.state").all_inner_texts(), strict=True))
    return Said(tab.locator("h1").inner_text().lower(), {name: state.strip() for name, state in tables.items()})


def command(staging: Staging, _tab: Page) -> Said:
    """`sluiceway status`, whose exit code must be that of its word."""
    done = subprocess.run(
        [PROGRAM, "status", "--json"],
        env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", **staging.stack.env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    document = json.loads(done.stdout)
    assert document["state"] in EXIT_CODES[done.returncode], done.stderr
    return _said(document)


def status(staging: Staging, tab: Page) -> Said:
    """The document for programs."""
    document = json.loads(_answer(staging, tab, "api/status.json"))
    assert document["page"]["id"] == "sluiceway.staging"
    return _said(document)


def badge(staging: Staging, tab: Page) -> Said:
    """The badge as shields reads it, which must be what its drawing says."""
    message = json.loads(_answer(staging, tab, "badge.json"))["message"]
    assert f"<title>data: {message}</title>" in _answer(staging, tab, "badge.svg")
    return Said(message, None)


def metrics(staging: Staging, tab: Page) -> Said:
    """What Prometheus reads."""
    families = text_string_to_metric_families(_answer(staging, tab, "metrics"))
    (state,) = [
        list(sample.labels.values())
        for family in families
        for sample in family.samples
        if sample.name == "sluiceway_state" and sample.value == 1
    ]
    return Said(state[-1].replace("_", " "), None)


def _said(document: dict[str, Any]) -> Said:
    tables = {each["table"]: each["state"] for each in document["tables"]}
    return Said(document["state"], tables, document["status"]["description"])


def _answer(staging: Staging, tab: Page, path: str) -> str:
    """As the reader's browser is answered; the page that is open stays."""
    answer = tab.request.get(staging.stack.url + PATH + path)
    assert answer.status == 200, f"{path}: {answer.status} {answer.text()}"
    return answer.text()


# the page first: it waits for a verdict of this moment, which the others are drawn of, too
FACES: dict[str, Callable[[Staging, Page], Said]] = {
    "page": page,
    "status.json": status,
    "badge": badge,
    "metrics": metrics,
    "command": command,
}


def agree(staging: Staging, tab: Page, state: str, **tables: str) -> None:
    """Every face says that state, and of these tables theirs; the page is left open."""
    for name, face in FACES.items():
        said = face(staging, tab)
        assert said.state == state, f"{name} says {said.state}: {said.why}"
        if said.tables is not None:
            assert said.tables | tables == said.tables, f"{name} says {said.tables}"
