"""The job that docs/how-to/jobs.md makes, as it stands there, and the service that it asks."""

from __future__ import annotations

from pathlib import Path

from dev.docs.page import DOCS
from tests.dev.docs.markdown import blocks
from tests.stand_ins.web_service import Reply, Request, WebService

JOB = "airport_elevation"
OTHER = "runway_elevation"
"""The same one, beside it and of the same service, every minute."""
PER_SECOND = 2
"""What both declare."""
NIGHTLY = "30 3 * * *"
"""When the page's job starts by itself."""
PAGE = DOCS / "how-to" / "jobs.md"
LINES = 50
"""A job's file has fewer."""


def text_of(language: str) -> str:
    """The page's first block in that language."""
    return next(block.text for block in blocks(PAGE) if block.language == language)


def declare(config: Path) -> None:
    """Write the two files of the page."""
    for folder in ("jobs", "flows"):
        (config / folder).mkdir(exist_ok=True)
    write(config, text_of("python"))
    # at half past three the night's run would take the items of whatever test goes on
    flow = text_of("toml").replace(NIGHTLY, "30 3 29 2 *")
    (config / "flows" / f"{JOB}.toml").write_text(flow, encoding="utf-8")


def declare_other(config: Path) -> None:
    """Write the files of the job beside it."""
    named = {JOB: OTHER, "airport_faa": "runway", NIGHTLY: "* * * * *"}
    for folder, language, ending in (("jobs", "python", "py"), ("flows", "toml", "toml")):
        text = text_of(language)
        for old, new in named.items():
            text = text.replace(old, new)
        (config / folder / f"{OTHER}.{ending}").write_text(text, encoding="utf-8")


def write(config: Path, text: str) -> None:
    """The job's file."""
    (config / "jobs" / f"{JOB}.py").write_text(text, encoding="utf-8")


def answer(request: Request) -> Reply:
    """What open-elevation.com says of one place; south of 89 degrees it knows none."""
    latitude, longitude = map(float, request.params["locations"].split(","))
    if latitude < -89:
        return Reply(400, {"error": "Invalid JSON."})
    place = {"latitude": latitude, "longitude": longitude, "elevation": round(latitude * 10)}
    return Reply(200, {"results": [place]})


def service() -> WebService:
    """The service."""
    return WebService(answer=answer)
