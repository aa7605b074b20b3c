"""The events of Airflow's assets `warehouse/<table or view>`, by which DAGs of other teams follow what changes there.

Tables are mapped, so that which one a task changes is known in its process alone, and such events go through an alias.
An outlet that the graph declared would cost each task a call to the API server, which asks for nothing else of it: the
task that has something to tell adds it when it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Asset, AssetAlias

from sluiceway.on_airflow.lineage import COUNTS
from sluiceway.on_airflow.recorded import run_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context
    from pydantic import JsonValue

    from sluiceway.ledger.rows import Run, TableRun

ALIAS = AssetAlias("warehouse")
"""Of all tables and views: what is scheduled by it follows each of them.

One task of each graph declares it, so that it is there before the first load tells of anything: where two of them make
it at the same time, Airflow calls the slower one failed, though its rows are loaded.
"""


def warehouse_asset(name: str) -> Asset:
    """The asset of a table or a view: no two of them share a name, wherever the warehouse is."""
    return Asset(f"{ALIAS.name}/{name}")


def tell_of_load(context: Context, url: str, result: TableRun) -> None:
    """Have Airflow tell, once the task has ended well, of each load of the run that changed the table and is not told.

    :param result: what the task's own try did; where it is the run's first and found nothing new, nothing is asked.
    :raises WarehouseUnavailableError: the ledger does not answer: a retry tells of the load.
    """
    from sluiceway.ledger import changes, store
    from sluiceway.ledger.warehouse import connect

    if result.status == "unchanged" and result.try_number == 1:
        return
    with connect(url) as session:
        loads = changes.untold_loads(session, result.key, result.table_name, context["ti"].task_id)
        run = store.run(session, result.key) if loads else None
    for load in loads:
        finished_at = load.finished_at.isoformat() if load.finished_at else None
        counts: dict[str, JsonValue] = {name: getattr(load, name) for name in COUNTS}
        extra = {**_of_run(run), "table": load.table_name, "try_number": load.try_number, "loaded_at": finished_at}
        _tell(context, load.table_name, {**extra, **counts})


def tell_of_views(context: Context, url: str, names: Iterable[str]) -> None:
    """Have Airflow tell of views that the run has published, once the task has ended well.

    :param names: those that may hold something else than before.
    """
    from sluiceway.ledger import publications, store
    from sluiceway.ledger.warehouse import connect

    changed = set(names)
    if not changed:
        return
    with connect(url) as session:
        run = store.run(session, run_of(context))
        published = [each for each in publications.of_run(session, run_of(context)) if each.view_name in changed]
    for view in published:
        _tell(context, view.view_name, {**_of_run(run), "view": view.view_name, "tables": list(view.tables)})


def _of_run(run: Run | None) -> dict[str, JsonValue]:
    """Which run of the ledger it was, and the commits that it was asked for and that were deployed."""
    if run is None:
        return {}
    return {"dag_id": run.dag_id, "run_id": run.run_id, "commit": run.commit_sha, "deployed": run.deployed_sha}


def _tell(context: Context, name: str, extra: dict[str, JsonValue]) -> None:
    task = context["ti"].task
    if ALIAS not in task.outlets:
        task.outlets = [*task.outlets, ALIAS]
    context["outlet_events"][ALIAS].add(warehouse_asset(name), extra)
