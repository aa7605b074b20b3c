"""What the shell offers after a Tab: names of tables, flows, triggers and runs. Where one cannot be known, nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import typer

from sluiceway.errors import SluicewayError
from sluiceway.settings import load_settings

WITHIN_S = 0.8
"""How long the ledger has for the ids of runs: with the program's start, a Tab takes about a second."""
NEWEST = 50
Offered = list[tuple[str, str]]


def tables(incomplete: str) -> list[str]:
    """Names of the tables, of all groups."""
    from sluiceway.tables.files import table_files

    try:
        return _beginning(incomplete, (path.stem for path in table_files(load_settings().config_dir)))
    except SluicewayError:
        return []


def flows(incomplete: str) -> list[str]:
    """Ids of the flows."""
    from sluiceway.flows.files import flow_files

    try:
        return _beginning(incomplete, (path.stem for path in flow_files(load_settings().config_dir)))
    except SluicewayError:
        return []


def jobs(incomplete: str) -> list[str]:
    """Names of the jobs."""
    from sluiceway.jobs.files import names

    try:
        return _beginning(incomplete, names())
    except SluicewayError:
        return []


def triggers(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of the triggers of the flow that the line names."""
    from sluiceway.flows.files import read_flow

    try:
        return _beginning(incomplete, read_flow(str(context.params.get("flow_id"))).triggers)
    except SluicewayError:
        return []


def runs(context: typer.Context, incomplete: str) -> Offered:
    """Ids of the newest runs, each with its DAG, if a warehouse is named and answers at once."""
    try:
        url = context.params.get("warehouse") or load_settings().warehouse_url
    except SluicewayError:
        return []
    if not url:
        return []
    found: Offered = []

    def ask() -> None:
        try:
            found.extend(_newest(str(url), context.params.get("dag_id")))
        except SluicewayError:
            return

    # a thread, for the time that a connection may take is whole seconds, and two at least
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WITHIN_S)
    # the shell writes them to the terminal as they are
    return [each for each in [*found] if each[0].startswith(incomplete) and all(map(str.isprintable, each))]


def _newest(url: str, dag_id: str | None) -> Offered:
    from sluiceway.ledger import store
    from sluiceway.ledger.warehouse import connect

    with connect(url) as session:
        return [(run.run_id, run.dag_id) for run in store.runs(session, limit=NEWEST, dag_id=dag_id)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
