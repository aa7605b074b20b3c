"""`make demo`: what CI does after a deploy, on this machine, with everything shown.

Exit codes: 0 the run is green; 1 it is red or could not be started; 2 TABLES names a table that does not exist.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dev import demo_job
from dev.environment import ROOT
from dev.errors import StackError
from dev.stack import Stack, workers_asked_for
from sluiceway.amounts import size
from sluiceway.deploy.commit import SHORTEST
from sluiceway.errors import AirflowApiError, AirflowUnreachableError, SluicewayError, UnknownTableError
from sluiceway.freshness.ask import ask
from sluiceway.ids import DEPLOY_RUNS
from sluiceway.ledger import store
from sluiceway.ledger.store import TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.run.report.write import report_file
from sluiceway.settings import Settings
from sluiceway.tables import registry

Answer = TypeVar("Answer")

DAG_ID = "master_etl"
POLL_S = 0.5
PARSED_S = 90.0
"""How long Airflow may take to read a file that was saved a moment ago: it does so every 30 s here, and parses then."""
SILENT = 4
"""Questions in a row without an answer, after which the demo gives up: a busy machine may miss one or two."""
FINISHED = frozenset({"success", "failed"})
CONFLICT = 409
MARKS = {
    "loaded": "[green]loaded[/]",
    "unchanged": "[cyan]unchanged[/]",
    "failed": "[red]failed[/]",
    "planned": "[dim]waits[/]",
}

# a pipe has no width: wide enough for the table
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def deployed_commit() -> str:
    """The commit that CI would have deployed: HEAD of this checkout."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise StackError("make demo shows a deploy of a commit, and this folder is no git checkout: git clone it")
    return found.stdout.strip()


def wait_for_tables(api: AirflowApi, tables: Sequence[str], *, within_s: float = PARSED_S) -> None:
    """Wait until Airflow knows the tables: its form lists those it has read, and refuses a run of any other.

    :raises StackError: it does not come to know one.
    """
    deadline = time.monotonic() + within_s
    told = False
    while unknown := sorted(set(tables) - _known_tables(api)):
        names = ", ".join(unknown)
        if time.monotonic() > deadline:
            raise StackError(
                f"TABLES names {names}, which the running Airflow does not know {within_s:.0f} s after it was asked. "
                'Does it read this folder, and its groups (SLUICEWAY_GROUPS)? `make airflow ARGS="dags '
                'list-import-errors"` says what it could not read; `make down`, then `make demo` begins with all files.'
            )
        if not told:
            console.print(f"Airflow has not read the file of {names} yet, it looks every 30 s: waiting for it ...")
            told = True
        time.sleep(POLL_S)


def _known_tables(api: AirflowApi) -> set[str]:
    tables = _answered(lambda: api.get(f"dags/{DAG_ID}/details"))["params"]["tables"]
    return set(tables["schema"]["items"].get("enum", ()))


def enqueue(api: AirflowApi, sha: str, tables: Sequence[str]) -> str:
    """Trigger the commit's run as CI would, or its next attempt when the run exists; returns the run id.

    A run of some tables is no commit's run, and must not be called so.
    """
    conf = {"commit_sha": sha, **({"tables": list(tables)} if tables else {})}
    for run_id in _run_ids(f"demo__{sha[:SHORTEST]}" if tables else f"{DEPLOY_RUNS}{sha}"):
        if _is_made(api, run_id, conf):
            return run_id
        console.print(f"That run exists: {run_id} ({_state(api, run_id)}). Starting the next one.")
    raise AssertionError("unreachable: run ids never end")


def _is_made(api: AirflowApi, run_id: str, conf: dict[str, Any]) -> bool:
    """Ask for the run; False where it was there before."""
    asked = count()

    def ask() -> bool:
        again = next(asked) > 0
        try:
            api.trigger(DAG_ID, run_id, conf)
        except AirflowApiError as error:
            if error.status != CONFLICT:
                raise
            # what was not answered in time may have been done all the same
            return again and _state(api, run_id) not in FINISHED
        return True

    return _answered(ask)


def _state(api: AirflowApi, run_id: str) -> str:
    return str(_answered(lambda: api.run(DAG_ID, run_id))["state"])


def _answered(question: Callable[[], Answer]) -> Answer:
    for _ in range(SILENT - 1):
        try:
            return question()
        except AirflowUnreachableError:
            console.print("Airflow did not answer in time; asking again ...")
    return question()


def _run_ids(first: str) -> Iterator[str]:
    yield first
    yield from (f"{first}__{attempt}" for attempt in count(2))


def follow(api: AirflowApi, warehouse_url: str, run_id: str) -> tuple[str, list[TableRun]]:
    """Show the tables as they finish; returns the run's state and what was done to each table."""
    shown: set[str] = set()
    with Live(console=console, refresh_per_second=4) if console.is_terminal else nullcontext() as live:
        for progress in _progress(api, warehouse_url, run_id):
            tables = progress[1]
            if live is not None:
                live.update(_table(tables))
                continue
            for table in tables:
                if table.status != "planned" and table.table_name not in shown:
                    shown.add(table.table_name)
                    console.print(_line(table, len(shown), len(tables)))
    return progress


def _progress(api: AirflowApi, warehouse_url: str, run_id: str) -> Iterator[tuple[str, list[TableRun]]]:
    while True:
        state = _state(api, run_id)
        with connect(warehouse_url) as session:
            tables = store.table_runs(session, store.RunKey(DAG_ID, run_id))
        yield state, tables
        if state in FINISHED:
            return
        time.sleep(POLL_S)


def _line(table: TableRun, number: int, total: int) -> str:
    return (
        f"{number:>2}/{total} {table.table_name:<26}{table.status:<10}{table.table_rows or 0:>9,} rows  "
        f"+{table.inserted:,} ~{table.updated:,} ={table.unchanged:,} !{table.rejected:,}  {table.seconds or 0:.1f} s"
    )


def _table(tables: Sequence[TableRun]) -> Table:
    done = sum(table.status != "planned" for table in tables)
    view = Table(title=f"{done} of {len(tables)} tables", box=None, pad_edge=False)
    view.add_column("table", no_wrap=True)
    view.add_column("status", no_wrap=True)
    for name in ("extracted", "inserted", "updated", "unchanged", "rejected", "rows", "seconds", "memory"):
        view.add_column(name, justify="right", no_wrap=True)
    for table in tables:
        if table.status == "planned":
            view.add_row(table.table_name, MARKS["planned"])
            continue
        counts = (
            table.extracted,
            table.inserted,
            table.updated,
            table.unchanged,
            table.rejected,
            table.table_rows or 0,
        )
        view.add_row(
            table.table_name,
            MARKS[table.status],
            *(f"{count:,}" for count in counts),
            f"{table.seconds or 0:.1f}",
            size(table.peak_rss_bytes or 0),
        )
    return view


def verdict(
    stack: Stack,
    run_id: str,
    state: str,
    tables: Sequence[TableRun],
    seconds: float,
    job: str | None = None,
    *,
    stays: bool,
) -> None:
    """Print the run's colour and why, the counts, and where to look further.

    :param job: the run of the job that was shown.
    :param stays: whether the stack runs on; no link leads into one that stops.
    """
    with connect(stack.warehouse_url) as session:
        run = store.runs(session, dag_id=DAG_ID, run_id=run_id)
    colour = "green" if state == "success" else "red"
    if not console.is_terminal:
        console.print(_table(tables))
    console.print(f"\n[bold {colour}]{colour.upper()}[/] {run_id} in {seconds:.1f} s")
    if run:
        console.print(escape(run[0].note or "no verdict was spoken"))
    keys = [store.RunKey(DAG_ID, run_id), *([store.RunKey(demo_job.JOB, job)] if job else [])]
    for key in keys:
        report = Path(stack.env["SLUICEWAY_REPORTS_DIR"]) / report_file(key)
        if report.is_file():
            console.print(f"Report: {report}")
    data = ask(stack.warehouse_url, None, Settings(groups=_groups()))
    again = " `sluiceway status` says it again." if stays else ""
    console.print(f"Data:   {data.state}. {escape(data.sentence)}{again}")
    path = f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}"
    if stays:
        console.print(f"Run:    {stack.url}{path}")
        console.print(f"Page:   {stack.url}/sluiceway/ shows how old each table is")
    else:
        console.print("Everything that was started is stopped again. `make up` starts it once more and prints its")
        console.print(f"address; the run is then at {path}, how old each table is at /sluiceway/,")
        console.print("and `sluiceway status` says the same.")


def _groups() -> str:
    """The groups of tables that the stack loads."""
    return os.environ.get("SLUICEWAY_GROUPS") or "quickstart"


def main() -> int:
    """Run the demo; returns the exit code."""
    tables = [name for name in os.environ.get("TABLES", "").replace(",", " ").split() if name]
    try:
        registry.choose(registry.deployed(Settings(groups=_groups())), tables)
        sha = deployed_commit()
        was_up = Stack.attach() is not None
        console.print("Using the stack that `make up` started." if was_up else "Starting PostgreSQL and Airflow ...")
        with Stack.running(workers=workers_asked_for()) as stack:
            with AirflowApi(stack.url, stack.username, stack.password) as api:
                _answered(lambda: api.patch(f"dags/{DAG_ID}", {"is_paused": False}))
                wait_for_tables(api, tables)
                started = time.monotonic()
                run_id = enqueue(api, sha, tables)
                console.print(f"POST {stack.url}/api/v2/dags/{DAG_ID}/dagRuns: {run_id} is enqueued")
                state, done = follow(api, stack.warehouse_url, run_id)
                took = time.monotonic() - started
                job = demo_job.show(stack, api, console) if state == "success" and not tables else None
            verdict(stack, run_id, state, done, took, job, stays=was_up)
        return 0 if state == "success" else 1
    except UnknownTableError as error:
        console.print(f"[red]error:[/] TABLES: {escape(str(error))}")
        return 2
    except (SluicewayError, StackError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
