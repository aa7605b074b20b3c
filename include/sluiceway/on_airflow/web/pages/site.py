"""What every page shares: the frame around it (base.html), how it is drawn, and the headers that hold it in.

A page is a template that extends base.html and is answered by `page`. It works without its script, which only brings
comfort: times in the reader's zone, Airflow's own light or dark, and links that leave Airflow's frame.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path

from fastapi import Request, status
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from markupsafe import Markup

from sluiceway.errors import shortened
from sluiceway.run.report import html as report
from sluiceway.spans import lasting

FOLDER = Path(__file__).parent
RUN_PAGE, TABLE_PAGE = "/sluiceway/runs/<dag_id>/<run_id>", "/sluiceway/tables/<table>"
"""Where they are, for sentences."""
METHODS = ["GET", "HEAD"]
"""Of whatever is only read."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
STYLE = (report.TEMPLATES / "style.css").read_text(encoding="utf-8") + (FOLDER / "site.css").read_text(encoding="utf-8")
"""The stylesheet of reports, which are files of their own too, and what pages have beyond them."""
SCRIPT = (FOLDER / "site.js").read_text(encoding="utf-8")


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    # a page holds text from sources nobody here wrote: even an escaping mistake must not run or fetch anything, for
    # nothing runs but the one script and nothing styles but the one sheet
    "Content-Security-Policy": f"default-src 'none'; script-src {_hash_of(SCRIPT)}; style-src {_hash_of(STYLE)}; "
    "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def page(request: Request, template: str, *, code: int = status.HTTP_200_OK, **values: object) -> HTMLResponse:
    """A page of this plugin.

    :param template: a file of this folder that extends base.html. It has `root`, where this app is mounted, and
        `airflow`, where Airflow is: paths without a slash at their end.
    """
    drawn = (
        templates()
        .get_template(template)
        .render(
            code=code,
            root=request.scope["root_path"],
            airflow=request.scope.get("app_root_path", ""),
            style=Markup(STYLE),  # noqa: S704 - a file of ours
            script=Markup(SCRIPT),  # noqa: S704
            **values,
        )
    )
    return HTMLResponse(drawn, code, HEADERS)


@cache
def templates() -> Environment:
    """The templates of pages; everything is escaped."""
    found = report.environment(FOLDER)
    found.filters |= {"clock": clock, "span": span, "short_commits": short_commits, "shortened": shortened}
    return found


# a thousand tables are looked at anew by a handful of runs a day
@lru_cache(maxsize=4096)
def clock(at: datetime | None) -> Markup | str:
    """A point in time, in UTC to the minute; the script puts the reader's own time before it. A dash for None."""
    if at is None:
        return "–"
    at = at.astimezone(UTC)
    return Markup(f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%Y-%m-%d %H:%M} UTC</time>')  # noqa: S704 - digits


def span(seconds: float) -> str:
    """A span of time in two units."""
    return lasting(timedelta(seconds=seconds))


def short_commits(text: str) -> str:
    """A text, or a run's id, with no more than the first seven digits of each commit."""
    return _COMMIT.sub(lambda found: found[0][:7], text)
