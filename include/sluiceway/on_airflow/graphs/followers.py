"""Tells the flows that follow a DAG how it, or one of its tasks, has ended. Costs nothing where nobody follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow.sdk import Asset, BaseOperator, TaskGroup
from airflow.sdk.exceptions import AirflowSkipException

from sluiceway.flows.assets import Outcome, followed
from sluiceway.ids import FOLLOWERS_GROUP
from sluiceway.on_airflow.step import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from pydantic import JsonValue

    from sluiceway.flows.files import Flow

BAD = frozenset({"failed", "upstream_failed"})


def tell_followers(dag: DAG, flows: Iterable[Flow], ends: Sequence[BaseOperator] = ()) -> None:
    """Add a task for every outcome of this DAG that some flow waits for; the last call in a DAG's file.

    These tasks are teardowns: the run's colour does not depend on them, and a failed run stays red.

    :param ends: the tasks that decide the run's colour; default: the DAG's leaves.
    """
    deciding: Sequence[BaseOperator | MappedOperator] = ends or dag.leaves
    known = {task.task_id: task for task in dag.tasks}
    outcomes = sorted({each for each in followed(flows) if each.flow_id == dag.dag_id}, key=str)
    # what follows a task that is not there is found by `triggers check`, and does not break the DAG that it follows
    outcomes = [each for each in outcomes if each.task_id is None or each.task_id in known]
    if not outcomes:
        return
    with TaskGroup(FOLLOWERS_GROUP, tooltip="Wake the flows that follow; skipped when it has ended otherwise"):
        for outcome in outcomes:
            sources = [known[outcome.task_id]] if outcome.task_id else deciding
            tell = StepOperator(
                task_id="__".join([*(outcome.task_id or "").split("."), outcome.condition]).lstrip("_"),
                step=_tell(outcome, [source.task_id for source in sources]),
                outlets=[Asset(outcome.asset)],
            )
            # with the run's setup, where it has one: when a part of the run runs again, its end is told again
            tell.as_teardown(setups=[task for source in sources for task in _setups(source)])
            for source in sources:
                source >> tell


def _setups(source: BaseOperator | MappedOperator) -> Iterator[BaseOperator]:
    return (task for task in source.upstream_list if isinstance(task, BaseOperator) and task.is_setup)


def _tell(outcome: Outcome, sources: list[str]) -> Callable[[Context], str]:
    def tell(context: Context) -> str:
        dag_run = context["dag_run"]
        found = context["ti"].get_task_states(dag_id=dag_run.dag_id, task_ids=sources, run_ids=[dag_run.run_id])
        ended = ending(found.get(dag_run.run_id, {}).values())
        if ended is None or outcome.condition not in {ended, "always"}:
            raise AirflowSkipException(f"{outcome.asset}: ended otherwise ({ended or 'skipped'})")
        extra: dict[str, JsonValue] = {
            "source_run_id": dag_run.run_id,
            "state": ended,
            "conf": dict(dag_run.conf or {}),
        }
        context["outlet_events"][Asset(outcome.asset)].extra = extra
        return ended

    return tell


def ending(states: Iterable[str | None]) -> str | None:
    """What tasks in these states come to; None: they were skipped."""
    found = set(states)
    if found & BAD:
        return "failure"
    return "success" if "success" in found else None
