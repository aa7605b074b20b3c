"""Keeps reports as files: the page of a run and, beside it, the few lines the list of reports shows."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pydantic

from sluiceway.ledger.store import RunStatus
from sluiceway.report.html import render
from sluiceway.report.model import RunReport

_LONGEST_STEM = 180
"""File systems allow 255 bytes; the rest is for the suffix and the temporary name."""


class ReportSummary(pydantic.BaseModel):
    """What the list of reports says about one."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    run_id: str
    status: RunStatus
    sentence: str
    commit_sha: str | None
    started_at: datetime
    seconds: float | None


def report_file_name(run_id: str) -> str:
    """The page's file name: one per run id, of plain characters, never a path.

    A long id is cut and ends in `@` and its sha256; `@` stands in no other name, so no two ids share one.
    """
    stem = quote(run_id, safe="+:", errors="surrogatepass")
    if len(stem) > _LONGEST_STEM:
        digest = hashlib.sha256(run_id.encode(errors="surrogatepass")).hexdigest()
        stem = f"{stem[: _LONGEST_STEM - len(digest) - 1]}@{digest}"
    return f"{stem}.html"


def _write(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".report-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)  # mkstemp makes it 0600, and the API server may be another user
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_report(report: RunReport, reports_dir: Path) -> Path:
    """Write the run's page, in place of an earlier one, and return its path."""
    reports_dir.mkdir(parents=True, exist_ok=True)
    page = reports_dir / report_file_name(report.run_id)
    summary = ReportSummary(
        run_id=report.run_id,
        status=report.verdict.status,
        sentence=report.verdict.sentence,
        commit_sha=report.commit_sha,
        started_at=report.started_at,
        seconds=report.seconds,
    )
    _write(page, render(report))
    _write(page.with_suffix(".json"), summary.model_dump_json())
    return page


def read_report(run_id: str, reports_dir: Path) -> str | None:
    """The run's page, None when there is none."""
    page = reports_dir / report_file_name(run_id)
    return page.read_text(encoding="utf-8") if page.is_file() else None


def recent_reports(reports_dir: Path, *, limit: int = 100) -> list[ReportSummary]:
    """The newest reports first."""
    files = sorted(reports_dir.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    found = [ReportSummary.model_validate_json(file.read_bytes()) for file in files[:limit]]
    return sorted(found, key=lambda summary: summary.started_at, reverse=True)


def delete_reports(reports_dir: Path, *, older_than_days: float) -> int:
    """Delete the pages written longer ago than that; returns how many."""
    oldest = time.time() - older_than_days * 86_400
    old = [page for page in reports_dir.glob("*.html") if page.stat().st_mtime < oldest]
    for page in old:
        page.with_suffix(".json").unlink(missing_ok=True)
        page.unlink()
    return len(old)
