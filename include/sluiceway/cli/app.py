"""`sluiceway`: tables and runs from the command line; each group of commands is a file beside this one.

Exit codes: 0 good; 1 the work failed, or the run that is shown is red; 2 a file, a name or an option is wrong, and
nothing was started; 130 and 143 a load was stopped by Ctrl-C or SIGTERM, and a sentence says what has become of it.
"""

from __future__ import annotations

import atexit
import gc
import logging
import sys
from typing import Annotated

import typer
from rich.logging import RichHandler

from sluiceway.cli import access, ledger, runs, tables, trigger, triggers
from sluiceway.cli.console import err


@atexit.register
def _leave_at_once() -> None:
    """Spare a search through all that was imported, a tenth of a second. DuckDB would call it a leak, and say so."""
    if "duckdb" not in sys.modules:
        gc.freeze()


app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Refreshes a PostGIS warehouse after every deploy."
)


@app.callback()
def _main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )


app.add_typer(tables.app, name="tables")
app.add_typer(runs.app, name="runs")
app.add_typer(ledger.app, name="ledger")
app.add_typer(access.app, name="access")
app.add_typer(triggers.app, name="triggers")
app.command(
    "trigger",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(trigger.trigger_run)
