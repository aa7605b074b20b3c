"""Draws a RunReport as one self-contained page: inline CSS and SVG, no script, nothing fetched."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sluiceway import amounts
from sluiceway.run.report.model import RunReport, TableReport

TEMPLATES = Path(__file__).parent

VERDICT_WORDS = {
    "success": "Green",
    "failed": "Red",
    "running": "Running",
    "superseded": "Superseded",
    "abandoned": "Abandoned",
}

LEGEND = (
    ("inserted", "inserted"),
    ("updated", "updated"),
    ("unchanged", "unchanged"),
    ("rejected", "rejected"),
    ("dropped", "read, then not loaded"),
)


_LOG = re.compile(r" \(log: [^\s)]+\)")
_WEB = re.compile(r"https?://\S+")


class Segment(NamedTuple):
    """A part of a bar, in percent of the longest."""

    kind: str
    start: float
    width: float


class Bar(NamedTuple):
    """One table's bars in the chart."""

    table: TableReport
    rows: tuple[Segment, ...]
    seconds: float
    """In percent of the slowest."""


def bars(tables: tuple[TableReport, ...]) -> list[Bar]:
    """The chart's bars, on one linear scale each for rows and for seconds; a part that is there is never invisible."""
    most = max((table.extracted for table in tables), default=0) or 1
    slowest = max((table.seconds or 0 for table in tables), default=0) or 1
    drawn = []
    for table in tables:
        start = 0.0
        segments = []
        for kind in ("inserted", "updated", "unchanged", "rejected"):
            count = getattr(table, kind)
            if count:
                width = max(100 * count / most, 0.4)
                segments.append(Segment(kind, round(start, 2), round(width, 2)))
                start += width
        if table.status == "failed" and table.extracted and not segments:
            segments.append(Segment("dropped", 0.0, round(max(100 * table.extracted / most, 0.4), 2)))
        seconds = max(100 * table.seconds / slowest, 0.4) if table.seconds else 0.0
        drawn.append(Bar(table, tuple(segments), round(seconds, 2)))
    return drawn


def thousands(number: int | None) -> str:
    """1234567 as 1,234,567; a dash for what is not known."""
    return "–" if number is None else f"{number:,}"


def size(number: int | None) -> str:
    """236 MiB; a dash for what is not known."""
    return "–" if number is None else amounts.size(number)


def duration(seconds: float | None) -> str:
    """0.42 s, 12.3 s, 4 min 05 s, 1 h 02 min; a dash for what is not known."""
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def without_logs(sentence: str) -> str:
    """A verdict's sentence without the addresses of logs, for where there is no room for them."""
    return _LOG.sub("", sentence)


def moment(at: datetime | None) -> str:
    """2026-08-03 14:02:09 UTC."""
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@cache
def environment(pages: Path | None = None) -> Environment:
    """The templates of reports, and of the pages around them; everything is escaped.

    :param pages: the folder of those pages' templates.
    """
    found = Environment(
        loader=FileSystemLoader([TEMPLATES, *([pages] if pages is not None else [])]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "thousands": thousands,
        "size": size,
        "duration": duration,
        "moment": moment,
        "counted": amounts.counted,
    }
    found.filters["quoted"] = partial(quote, safe="")
    found.tests["web_address"] = lambda address: address is not None and _WEB.fullmatch(address) is not None
    found.globals["words"] = VERDICT_WORDS
    return found


def render(report: RunReport) -> str:
    """The page of one run."""
    return environment().get_template("template.html").render(**shown(report))


def shown(report: RunReport) -> dict[str, Any]:
    """What report.html, the part of a page that is a run's, needs."""
    drawn = bars(report.tables)
    kinds = {part.kind for bar in drawn for part in bar.rows}
    return {
        "report": report,
        "bars": drawn,
        "legend": [(kind, label) for kind, label in LEGEND if kind in kinds],
    }
