"""A bar for a long load on a terminal: rows, rows/s and, where the source says how many there are, share and time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from sluiceway.cli.progress_log import Tell, clock


class _RowsPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class _TimeLeft(ProgressColumn):
    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        return Text(f"{clock(task.time_remaining)} left" if task.total and task.time_remaining is not None else "")


@contextmanager
def load_progress(console: Console, table: str) -> Iterator[Tell]:
    """What load_table tells its progress to."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        _RowsPerSecond(),
        TimeElapsedColumn(),
        _TimeLeft(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(table, total=None)
        yield lambda rows, total: bar.update(task, completed=rows, total=total)
