"""Prints one run: the sentence first, then what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sluiceway.amounts import counted, size
from sluiceway.cli.console import lines, out, plain
from sluiceway.cli.records import print_records
from sluiceway.ledger.commit_statuses import CommitStatus
from sluiceway.ledger.rejects import Reject
from sluiceway.ledger.store import Run
from sluiceway.run.report.model import RunReport, TableReport

SHOWN = 5
COUNTS = ("extracted", "inserted", "updated", "unchanged", "deleted", "rejected")


def run(report: RunReport) -> None:
    """Sentence, remark, whatever it is red for with the address of its log, and the tables."""
    out.print(f"[bold]{plain(str(report.key))}[/]: {report.verdict.status}. {plain(report.verdict.sentence)}")
    if report.remark:
        out.print(plain(report.remark))
    out.print(
        f"commit {plain(report.commit_sha or '(none)')}, started {report.started_at:%Y-%m-%d %H:%M:%S} UTC "
        f"by {plain(report.trigger_kind)}"
    )
    if report.tables:
        _print_tables(report.tables)
    for table in report.tables:
        if table.note:
            out.print(f"\n{plain(table.name)}: {lines(table.note)}")
        if table.error:
            _problem(table.name, table.error_type, table.error, table.log_url)
    for task in report.tasks:
        _problem(task.name, task.error_type, task.error, task.log_url)
    for view in report.withheld:
        out.print(f"\n[yellow]{plain(view.name)}[/] was not published: {plain(view.reason)}")


def others(runs: Sequence[Run]) -> None:
    """How many older runs the commit has."""
    if runs:
        names = ", ".join(f"{each.key} ({each.status})" for each in runs[:SHOWN])
        more = f" and {len(runs) - SHOWN:,} more" if len(runs) > SHOWN else ""
        out.print(f"\n{counted(len(runs), 'other run')} of this commit: {plain(names + more)}")


def not_told(statuses: Iterable[CommitStatus]) -> None:
    """Why GitHub does not say yet what became of the commit."""
    for status in statuses:
        if status.problem:
            out.print(f"\nGitHub was not told of the commit ({plain(status.environment)}): {plain(status.problem)}")


def rejects(found: Mapping[str, Iterable[Reject]]) -> None:
    """The first rows of each table that were not loaded."""
    for name, some in found.items():
        out.print(f"\nRejects of {plain(name)}:")
        for reject in some:
            out.print(f"  row {reject.row_number}: {plain(reject.reason)}")


def _print_tables(tables: Iterable[TableReport]) -> None:
    numbers = ("tries", *COUNTS, "rows", "seconds", "memory")
    rows = [
        (
            table.name,
            table.status,
            str(table.tries) if table.tries > 1 else "",
            *(f"{getattr(table, name):,}" for name in COUNTS),
            f"{table.table_rows:,}" if table.table_rows is not None else "",
            f"{table.seconds:.1f}" if table.seconds is not None else "",
            size(table.peak_rss_bytes) if table.peak_rss_bytes else "",
        )
        for table in tables
    ]
    print_records(("table", "status", *numbers), rows, right=numbers)


def _problem(name: str, kind: str | None, error: str, log_url: str | None) -> None:
    out.print(f"\n[red]{plain(name)}[/]: {lines(f'{kind}: {error}' if kind else error)}")
    if log_url:
        out.print(f"  log: {plain(log_url)}")
