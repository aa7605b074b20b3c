"""RunReport: everything the page shows and nothing else. Pure; collect.py fills it, html.py draws it.

Sizes are in bytes, times in seconds, timestamps in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunStatus, TableStatus

_SEVERITY: dict[TableStatus, int] = {"failed": 0, "planned": 1, "loaded": 2, "unchanged": 3}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RejectSample(_Frozen):
    """One source row that was not loaded; values cut to what fits a page."""

    row_number: int | None
    values: tuple[tuple[str, str], ...]
    """Column and value, in the source's order."""


class RejectGroup(_Frozen):
    """The rejects of one table that share column and reason."""

    reason: str
    column_name: str | None
    count: int
    samples: tuple[RejectSample, ...]
    """The first rows by number."""


class TableMap(_Frozen):
    """One table's geometry as SVG path data in a box of `width` by `height` user units."""

    style: Literal["areas", "lines", "dots"]
    """Outlines to fill, outlines to stroke, or strokes `dot` units wide with round caps, one per run of places."""
    width: int
    height: int
    dot: float
    path: str
    sampled: bool
    """Drawn from a part of the rows, because the table is large."""


class TableReport(_Frozen):
    """What the run did to one table."""

    name: str
    description: str
    status: TableStatus
    extracted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    repaired: int = 0
    table_rows: int | None = None
    """Live rows in the warehouse afterwards."""
    source_bytes: int | None = None
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    error_type: str | None = None
    error: str | None = None
    rejects: tuple[RejectGroup, ...] = ()
    """The most frequent first; may be fewer than there are."""
    map: TableMap | None = None

    @property
    def rejects_listed(self) -> int:
        """How many of the rejects are in `rejects`."""
        return sum(group.count for group in self.rejects)


class Totals(_Frozen):
    """Sums over the run's tables."""

    extracted: int
    inserted: int
    updated: int
    unchanged: int
    deleted: int
    rejected: int
    source_bytes: int
    peak_rss_bytes: int
    """The largest of any table."""


class Verdict(_Frozen):
    """The run's colour and the sentence that says why."""

    status: RunStatus
    sentence: str


class RunReport(_Frozen):
    """One run of a DAG."""

    verdict: Verdict
    run_id: str
    dag_id: str | None
    commit_sha: str | None
    """The commit the run was asked for."""
    deployed_sha: str | None
    """The commit staging served when the run began to load."""
    trigger_kind: str
    started_at: datetime
    finished_at: datetime | None
    note: str | None
    tables: tuple[TableReport, ...]
    """Failed first, then those that never reported, then by name."""
    totals: Totals

    @property
    def seconds(self) -> float | None:
        """Wall-clock duration, None while the run goes on."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @property
    def failed(self) -> tuple[TableReport, ...]:
        """The tables that turned the run red."""
        return tuple(table for table in self.tables if table.status == "failed")


def in_order(tables: Iterable[TableReport]) -> tuple[TableReport, ...]:
    """What needs a person first, then by name."""
    return tuple(sorted(tables, key=lambda table: (_SEVERITY[table.status], table.name)))


def total(tables: Iterable[TableReport]) -> Totals:
    """The sums over `tables`."""
    rows = list(tables)
    return Totals(
        extracted=sum(table.extracted for table in rows),
        inserted=sum(table.inserted for table in rows),
        updated=sum(table.updated for table in rows),
        unchanged=sum(table.unchanged for table in rows),
        deleted=sum(table.deleted for table in rows),
        rejected=sum(table.rejected for table in rows),
        source_bytes=sum(table.source_bytes or 0 for table in rows),
        peak_rss_bytes=max((table.peak_rss_bytes or 0 for table in rows), default=0),
    )


def _names(tables: Iterable[TableReport]) -> str:
    names = [table.name for table in tables]
    if len(names) > 5:
        names = [*names[:5], f"{len(names) - 5} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def headline(status: RunStatus, tables: Iterable[TableReport], note: str | None) -> Verdict:
    """The verdict on a run from its ledger row; a run that is still open is red as soon as a table failed."""
    rows = list(tables)
    failed = [table for table in rows if table.status == "failed"]
    silent = [table for table in rows if table.status == "planned"]
    loaded = [table for table in rows if table.status == "loaded"]
    unchanged = len(rows) - len(failed) - len(silent) - len(loaded)
    if failed and status in {"running", "failed", "abandoned"}:
        late = f", {len(silent)} never reported" if silent and status != "running" else ""
        kept = f"; {len(loaded) + unchanged} kept what they loaded" if loaded or unchanged else ""
        return Verdict(status="failed", sentence=f"{len(failed)} of {_count(len(rows), 'table')} failed{late}{kept}.")
    if status == "running":
        done = f"{len(loaded) + unchanged} of {_count(len(rows), 'table')} done"
        return Verdict(status=status, sentence=f"{done}, the verdict is not in yet.")
    if status == "superseded":
        return Verdict(status=status, sentence=note or "Staging moved on to a newer commit; nothing was touched.")
    if status == "abandoned":
        return Verdict(status=status, sentence="The run was ended from outside before its verdict.")
    if status == "failed":
        if silent:
            return Verdict(status=status, sentence=f"{_names(silent)} never reported.")
        sentence = "No table was loaded." if not rows else "Every table is good, and the run failed outside of them."
        return Verdict(status=status, sentence=note or sentence)
    parts = [f"{_count(len(loaded), 'table')} loaded"] if loaded else []
    parts += [f"{unchanged:,} unchanged"] if unchanged else []
    rejected = sum(table.rejected for table in rows)
    parts += [f"{_count(rejected, 'row')} rejected"] if rejected else []
    return Verdict(status=status, sentence=f"{', '.join(parts) or 'no tables'}.".capitalize())
