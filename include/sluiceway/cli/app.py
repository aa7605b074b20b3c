"""`sluiceway`: tables and runs from the command line; each group of commands is a file beside this one."""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Annotated

import typer

from sluiceway.cli import (
    access,
    alerts,
    dead_letters,
    jobs,
    ledger,
    pools,
    runs,
    status,
    tables,
    trigger,
    triggers,
    workers,
)
from sluiceway.cli.console import out
from sluiceway.cli.program import Commands, VerboseOption, log_what_is_done, version


@atexit.register
def _leave_at_once() -> None:
    """Spare a search through all that was imported, a tenth of a second. DuckDB would call it a leak, and say so."""
    if "duckdb" not in sys.modules:
        gc.freeze()


app = Commands(help="Refreshes a PostGIS warehouse after every deploy.")


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"sluiceway {version()}")
        raise typer.Exit


@app.callback()
def _main(
    verbose: VerboseOption = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    log_what_is_done(verbose)


app.add_typer(tables.app, name="tables")
app.add_typer(runs.app, name="runs")
app.add_typer(jobs.app, name="jobs")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(alerts.app, name="alerts")
app.add_typer(ledger.app, name="ledger")
app.add_typer(access.app, name="access")
app.add_typer(pools.app, name="pools")
app.add_typer(triggers.app, name="triggers")
app.command("status")(status.status)
app.command("workers")(workers.list_workers)
app.command("trigger")(trigger.trigger_run)
