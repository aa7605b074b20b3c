"""`sluiceway status`: is the data as new as the code? Reads, and changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from sluiceway.cli.console import EXIT_FAILED, EXIT_UNKNOWN, err, out, plain, say_error, sentences, write_json
from sluiceway.cli.items import span
from sluiceway.cli.options import JsonOption, WarehouseOption, warehouse_url
from sluiceway.cli.records import print_records
from sluiceway.errors import ConfigError
from sluiceway.settings import load_settings
from sluiceway.spans import lasting

if TYPE_CHECKING:
    from sluiceway.deploy.spec import Environment
    from sluiceway.freshness.model import TableVerdict, Verdict
    from sluiceway.freshness.wait import Outlook

TIMEOUT = "45m"
STATE_CODES = {"in step": 0, "behind": 0, "stale": EXIT_FAILED, "unknown": EXIT_UNKNOWN}
OUTLOOK_CODES = {"reached": 0, "lost": EXIT_FAILED, "waiting": EXIT_FAILED, "unknown": EXIT_UNKNOWN}
COLORS = {"in step": "green", "behind": "yellow", "stale": "red", "unknown": "magenta"}
COLUMNS = ("table", "state", "looked at", "promise", "data from (UTC)", "rows")
EXPLAINED = frozenset({"stale", "unknown", "late"})
"""States of tables of which the sentence is told; the others say enough by themselves."""


def status(
    environment: Annotated[
        str | None,
        typer.Option("--environment", metavar="NAME", help="A file of environments/; else SLUICEWAY_ENVIRONMENT."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the data belongs to --commit, or it is known not to come.")
    ] = False,
    commit: Annotated[
        str | None, typer.Option("--commit", metavar="SHA", help="What to wait for: 7 digits of it, or more.")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help=f"How long: 90s, 45m, 2h; default {TIMEOUT}.")
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether the data is as new as the code: the deployed commit, the data's, and each table against its promise.

    Exit 0: nothing is stale; 1: something is; 3: it is unknown. With --wait 0 when the data belongs to the commit, 1
    when its run ended red or other data came, or the time is over.

    Example: sluiceway status --environment staging

    Example: sluiceway status --wait --commit 1f0c2ab --timeout 45m
    """
    with sentences():
        _check_options(wait, commit, timeout)
        spec, url = _environment(environment), warehouse_url(warehouse)
        code = _wait(str(commit), timeout or TIMEOUT, url) if wait else None
        if code is not None and not as_json:
            raise typer.Exit(code)

        from sluiceway.freshness.ask import ask

        verdict = ask(url, spec, load_settings())
    if as_json:
        from sluiceway.freshness.document import document

        shown = document(verdict, airflow_url=load_settings().airflow_url)
        write_json(shown.model_dump_json(indent=2))
    else:
        _print(verdict)
    raise typer.Exit(STATE_CODES[verdict.state] if code is None else code)


def _check_options(wait: bool, commit: str | None, timeout: str | None) -> None:
    if wait and commit is None:
        raise ConfigError("--wait needs the commit that is waited for: add --commit SHA.")
    if not wait and (commit is not None or timeout is not None):
        name = "--commit" if commit is not None else "--timeout"
        raise ConfigError(f"{name} says what --wait waits for: add --wait, or leave it out.")


def _environment(name: str | None) -> Environment | None:
    from sluiceway.deploy.spec import read_environment

    if name is not None:
        return read_environment(name, named_by="--environment")
    found = load_settings().environment
    return read_environment(found) if found is not None else None


def _wait(commit: str, timeout: str, url: str) -> int:
    """Waits, says for what on the standard error, and gives the exit code."""
    from sluiceway.freshness.ask import facts_or_why
    from sluiceway.freshness.wait import checked, look, wait
    from sluiceway.tables.files import deployed_names

    wanted, limit, names = checked(commit), span("--timeout", timeout), deployed_names()

    def ask() -> Outlook:
        return look(wanted, names, facts_or_why(url, names))

    def tell(sentence: str) -> None:
        err.print(plain(f"Waiting up to {timeout} until the data belongs to {wanted}: {sentence}"))

    outlook = wait(ask, tell, timeout_s=limit.total_seconds())
    if outlook.state == "reached":
        err.print(plain(outlook.sentence))
    elif outlook.state == "lost":
        say_error(f"The data does not come to belong to {wanted}: {outlook.sentence}")
    else:
        say_error(f"The {timeout} are over, and {outlook.sentence}")
    return OUTLOOK_CODES[outlook.state]


def _print(verdict: Verdict) -> None:
    out.print(f"[{COLORS[verdict.state]}]{verdict.state}[/]. {plain(verdict.sentence)}")
    out.print(f"Computed at {verdict.computed_at:%Y-%m-%d %H:%M:%S} UTC.")
    if not verdict.tables:
        return
    out.print()
    print_records(COLUMNS, [_row(each, verdict.computed_at) for each in verdict.tables], right={"rows"})
    for each in verdict.tables:
        if each.state in EXPLAINED:
            out.print(f"\n[bold]{plain(each.table)}[/] is {each.state}: {plain(each.sentence)}")


def _row(table: TableVerdict, at: datetime) -> tuple[str, ...]:
    promise = timedelta(seconds=table.fresh_within_s) if table.fresh_within_s is not None else None
    return (
        table.table,
        table.state,
        f"{lasting(at - table.looked_at)} ago" if table.looked_at is not None else "never",
        lasting(promise) if promise is not None else "",
        f"{table.data_from:%Y-%m-%d %H:%M}" if table.data_from is not None else "",
        f"{table.rows:,}" if table.rows is not None else "",
    )
