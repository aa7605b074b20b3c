"""The steps of a refresh around LoadTableOperator as functions of the context."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError

from sluiceway.errors import SluicewayError
from sluiceway.ids import PLANNING_TASK, SPLIT_TABLES_TASK, VERDICT_TASK, of_group
from sluiceway.on_airflow.assets import tell_of_views
from sluiceway.on_airflow.connections import connections, warehouse_url
from sluiceway.on_airflow.recorded import opening_of, run_of
from sluiceway.run.reconcile import ENDED
from sluiceway.tables.files import any_split, deployed_names

if TYPE_CHECKING:
    from airflow.sdk import Context

TO_BEGIN = frozenset({None, "scheduled", "queued"})

log = logging.getLogger(__name__)


def opened(context: Context) -> str:
    """Open the run's ledger row.

    The setup of the run, whose teardown is the verdict: Airflow clears both together with any one task between them, so
    that a run of which a part runs again is judged again. A setup that fails takes its teardown with it, so this one
    never does: what keeps the ledger from opening stops the first task behind it, which is judged.

    A run of the release before has no such task: Airflow adds it, alone, once anything of that run is cleared. Where
    the verdict stands, nobody would close the row again.
    """
    from sluiceway.run import steps

    run = run_of(context)
    try:
        states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
        if states.get(VERDICT_TASK) in ENDED:
            return "left as it is: its verdict stands"
        opening = opening_of(context)
        # of a run that begins all have
        pending = None if opening.is_first_try else [task for task, state in states.items() if state in TO_BEGIN]
        steps.open_ledger(warehouse_url(), opening, pending)
    except (SluicewayError, AirflowRuntimeError) as error:
        log.exception("The ledger could not be opened; the next task tries it again")
        return f"{type(error).__name__}: {error}"
    return "opened"


def plan(context: Context) -> list[str]:
    """The tables of this run, and which of them no other task hands out."""
    from sluiceway.run import parts, steps

    run, only = run_of(context), context["params"]["tables"]
    groups, split = steps.groups(), parts.split_tables(only=only) if any_split(deployed_names()) else []
    if groups or split:
        tasks = _tasks(context)
        groups = _with_tasks(groups, tasks)
        split = split if SPLIT_TABLES_TASK in tasks else []
    return steps.plan(warehouse_url(), run, only=only, groups=groups, elsewhere=split)


def plan_of(group: str) -> Callable[[Context], list[str]]:
    """The step that lists the tables of a group."""

    def plan(context: Context) -> list[str]:
        from sluiceway.run import steps

        groups = _with_tasks(steps.groups(), _tasks(context))
        return steps.plan_group(group, only=context["params"]["tables"], groups=groups)

    return plan


def _tasks(context: Context) -> Collection[str]:
    """The ids of the run's tasks."""
    run = run_of(context)
    states: dict[str, dict[str, str | None]] = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    return states.get(run.run_id, {})


def _with_tasks(groups: Collection[str], tasks: Collection[str]) -> list[str]:
    """Those that the run's graph has: a table whose file asks for another since the DAG was read has no task there."""
    return [group for group in groups if of_group(PLANNING_TASK, group) in tasks]


def split_tables(context: Context) -> list[str]:
    """The tables of this run whose files say `split`."""
    from sluiceway.run import parts

    return parts.split_tables(only=context["params"]["tables"])


def plan_parts(context: Context) -> list[dict[str, Any]]:
    """The parts in which this run loads them; none of a table whose source is unchanged."""
    from sluiceway.run import parts

    params = context["params"]
    return parts.plan_parts(
        warehouse_url(),
        run_of(context),
        only=params["tables"],
        force=bool(params.get("force", False)),
        connections=connections,
    )


def check_sources(context: Context) -> None:
    """Every table's source is there."""
    from sluiceway.run import steps

    steps.check_sources(warehouse_url(), run_of(context), connections)


def check_warehouse(_context: Context) -> None:
    """The warehouse answers, and the loading role may do what it must."""
    from sluiceway.run import steps

    steps.check_warehouse(warehouse_url())


def cleanup_staging(_context: Context) -> None:
    """End what lost workers left in the warehouse, and drop the parts that no open run needs."""
    from sluiceway.run import parts, steps

    steps.cleanup_staging(warehouse_url())
    parts.cleanup_parts(warehouse_url())


def cleanup_history(_context: Context) -> None:
    """Forget old runs."""
    from sluiceway.run import steps

    steps.cleanup_history(warehouse_url())


def validate(context: Context) -> None:
    """The warehouse holds what the ledger says."""
    from sluiceway.run import steps

    steps.validate(warehouse_url(), run_of(context), connections)


def aggregate(context: Context) -> list[str]:
    """Publish: refresh the views that the run's tables feed."""
    from sluiceway.run import publishing

    url = warehouse_url()
    published = publishing.aggregate(url, run_of(context))
    tell_of_views(context, url, published.changed)
    return published.views
