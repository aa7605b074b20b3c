"""Keeps reports as files: the page of a run as its verdict saw it and, beside it, the same as JSON.

The API server serves the page anew from the ledger; from the files it takes the maps, which cost seconds, and the page
itself when the ledger does not answer.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from html import escape
from pathlib import Path
from urllib.parse import quote

import pydantic

from sluiceway.ledger.store import RunKey
from sluiceway.run.report.html import render
from sluiceway.run.report.model import RunReport, TableMap

_LONGEST_STEM = 180
"""File systems allow 255 bytes; the rest is for the suffix and the temporary name."""
_AS_WRITTEN = "<main>\n"
"""After this a page of a run tells what is to be known of the page itself."""

log = logging.getLogger(__name__)


def report_file(key: RunKey) -> Path:
    """The page's file below the reports' folder: one per run, a folder per DAG."""
    return Path(_safe_name(key.dag_id)) / f"{_safe_name(key.run_id)}.html"


def _safe_name(part: str) -> str:
    """A name of plain characters, never a path and never hidden.

    A long one is cut and ends in `@` and its sha256; `@` stands in no other name, so no two share one.
    """
    stem = quote(part, safe="+:", errors="surrogatepass")
    if stem.startswith("."):
        stem = f"%2E{stem[1:]}"
    if len(stem) > _LONGEST_STEM:
        digest = hashlib.sha256(part.encode(errors="surrogatepass")).hexdigest()
        stem = f"{stem[: _LONGEST_STEM - len(digest) - 1]}@{digest}"
    return stem or "%"


def _write(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".report-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        # it shows rows of sources; mkstemp makes it 0600, and the API server may be another user of the group
        temporary.chmod(0o640)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """With those above it that are missing, for its owner and group alone."""
    for each in (*reversed(folder.parents), folder):
        # two runs may write their first reports at once
        if not each.is_dir():
            each.mkdir(mode=0o750, exist_ok=True)


def write_report(report: RunReport, reports_dir: Path) -> Path:
    """Write the run's page, in place of an earlier one, and return its path. Beside it goes the report as JSON."""
    page = reports_dir / report_file(report.key)
    _make_folder(page.parent)
    _write(page, render(report))
    _write(page.with_suffix(".json"), report.model_dump_json())
    return page


def read_page(key: RunKey, reports_dir: Path, *, why: str) -> str | None:
    """The run's page as it was written, and on it why it is not the page of now; None when there is none.

    :param why: plain text.
    """
    page = reports_dir / report_file(key)
    if not page.is_file():
        return None
    told = f'<p class="stale">{escape(why)}</p>\n'
    return page.read_text(encoding="utf-8").replace(_AS_WRITTEN, f"{_AS_WRITTEN}{told}", 1)


def read_maps(key: RunKey, reports_dir: Path) -> dict[str, TableMap]:
    """The maps that the run drew, by table; none when its report is on another machine, deleted, or of older code."""
    kept = (reports_dir / report_file(key)).with_suffix(".json")
    try:
        report = RunReport.model_validate_json(kept.read_bytes())
    except FileNotFoundError:
        return {}
    except pydantic.ValidationError as error:
        log.warning("%s is of other code: the run's page lacks its maps: %s", kept, error)
        return {}
    return {table.name: table.map for table in report.tables if table.map is not None}


def delete_reports(reports_dir: Path, *, older_than_days: float) -> int:
    """Delete the pages written longer ago than that; returns how many."""
    oldest = time.time() - older_than_days * 86_400
    old = [page for page in reports_dir.rglob("*.html") if page.stat().st_mtime < oldest]
    for page in old:
        page.with_suffix(".json").unlink(missing_ok=True)
        page.unlink(missing_ok=True)
    return len(old)
