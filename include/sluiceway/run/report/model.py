"""RunReport: everything the page shows and nothing else. Pure; collect.py fills it, html.py draws it.

Sizes are in bytes, times in seconds, timestamps in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluiceway.amounts import counted
from sluiceway.jobs.letters import Letter
from sluiceway.jobs.status import JobStatus, ServiceStatus
from sluiceway.ledger.store import CLI, RunKey, TableStatus
from sluiceway.run.reconcile import Truth
from sluiceway.run.verdict import Verdict

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
    """Of a table that never reported: what became of its task."""
    note: str | None = None
    """What a person should know of a load that is good."""
    log_url: str | None = None
    """Of the newest try of the task that loads it."""
    tries: int = 1
    rejects: tuple[RejectGroup, ...] = ()
    """The most frequent first; may be fewer than there are."""
    map: TableMap | None = None

    @property
    def rejects_listed(self) -> int:
        """How many of the rejects are in `rejects`."""
        return sum(group.count for group in self.rejects)


class TaskReport(_Frozen):
    """A task that failed, was killed, or was marked success although it had; a table tells of its own task."""

    name: str
    """`sub.load_table_3` for a mapped one."""
    state: str | None
    """As Airflow shows it."""
    error_type: str | None
    error: str
    log_url: str | None = None


class WithheldView(_Frozen):
    """A view that the run's tables feed and that it left as it was."""

    name: str
    reason: str


class JobReport(_Frozen):
    """How a job stands when the page is made, and what needs a person."""

    status: JobStatus
    is_own: bool = False
    """Whether the run is the job's."""
    dead: tuple[Letter, ...] = ()
    """The newest dead letters; may be fewer than there are."""
    waiting: tuple[Letter, ...] = ()
    """The newest that wait for a person; may be fewer than there are."""


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


class RunReport(_Frozen):
    """One run of a DAG."""

    verdict: Verdict
    run_id: str
    dag_id: str
    commit_sha: str | None
    """The commit the run was asked for."""
    deployed_sha: str | None
    """The commit staging served when the run began to load."""
    trigger_kind: str
    started_at: datetime
    finished_at: datetime | None
    note: str | None
    """The whole sentence, with every error that `verdict` leaves to the tables and tasks below it."""
    remark: str | None = None
    """What was done to the run in Airflow after its verdict."""
    tables: tuple[TableReport, ...]
    """Failed first, then those that never reported, then by name."""
    tasks: tuple[TaskReport, ...] = ()
    published_at: datetime | None = None
    published: tuple[str, ...] = ()
    """Names of views."""
    withheld: tuple[WithheldView, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    """That jobs have asked."""
    jobs: tuple[JobReport, ...] = ()
    """Of a job's run: the job. Of `sluiceway tables run`: none. Of any other: all that there are."""
    totals: Totals
    compared_at: datetime | None = None
    """When it was compared with what Airflow shows; None: it is as the ledger says."""

    @property
    def key(self) -> RunKey:
        """Which run it is."""
        return RunKey(self.dag_id, self.run_id)

    @property
    def is_of_command_line(self) -> bool:
        """Whether `sluiceway tables run` was the run, which Airflow does not know and no verdict judges."""
        return self.dag_id == CLI

    @property
    def seconds(self) -> float | None:
        """Wall-clock duration, None while the run goes on."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @property
    def failed(self) -> tuple[TableReport, ...]:
        """The tables that turned the run red: those that failed, and those that never reported."""
        if self.verdict.status == "running":
            return tuple(table for table in self.tables if table.status == "failed")
        return tuple(table for table in self.tables if table.status in {"failed", "planned"})

    @property
    def culprits(self) -> tuple[str, ...]:
        """What a red run is red for, by name."""
        tasks = (task.name for task in self.tasks if task.state != "success")
        return (*(table.name for table in self.failed), *tasks)


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


def headline(truth: Truth, tables: Iterable[TableReport], quoted: Iterable[str] = ()) -> Verdict:
    """The verdict on a run: the ledger's own sentence, or how far a run is that has none yet.

    :param quoted: parts of the sentence that are told elsewhere, and are left out of it.
    """
    sentence = truth.sentence or _progress(list(tables), is_open=truth.status == "running")
    for part in quoted:
        sentence = sentence.replace(part, "")
    return Verdict(status=truth.status, sentence=sentence)


def _progress(tables: list[TableReport], *, is_open: bool) -> str:
    failed = sum(table.status == "failed" for table in tables)
    done = sum(table.status in {"loaded", "unchanged"} for table in tables)
    said = f"{done:,} of {counted(len(tables), 'table')} done{f', {failed:,} failed' if failed else ''}"
    return f"{said}; no verdict yet." if is_open else f"{said}."
