"""The tasks that load tables in parts: a deployment whose tables' files say `split` nowhere has none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import TriggerRule

from sluiceway.ids import MERGING_TASK, PART_TASK
from sluiceway.on_airflow import pods
from sluiceway.on_airflow.graphs import refresh_tasks as tasks
from sluiceway.on_airflow.operators.load_part import LoadPartOperator, MergePartsOperator
from sluiceway.on_airflow.retries import load_retries
from sluiceway.on_airflow.step import recorded_step

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from sluiceway.tables.needs import Needs


class InParts(NamedTuple):
    """The tasks, within their group."""

    before: tuple[BaseOperator | MappedOperator, ...]
    """Those that the merge waits for."""
    merge: MappedOperator
    """Loads each table from its parts."""


def load_in_parts(needs: Needs, own: Needs) -> InParts:
    """Add the tasks to the group of the `with` block.

    :param needs: what is enough for each part and each table.
    :param own: the flow's, which limit those whose files say no limit.
    """
    shared: dict[str, Any] = {
        "pool": "warehouse",
        **load_retries(),
        "memory": own.memory,
        "cpu": own.cpu,
        **pods.arguments(needs),
    }
    tables, parts = recorded_step(tasks.split_tables), recorded_step(tasks.plan_parts)
    load = LoadPartOperator.partial(
        task_id=_within(PART_TASK), map_index_template="{{ task.table }} {{ task.part }}/{{ task.of }}", **shared
    ).expand_kwargs(parts.output)
    merge = MergePartsOperator.partial(
        task_id=_within(MERGING_TASK),
        map_index_template="{{ task.table }}",
        # a part that failed fails its own table, which says why, and no other
        trigger_rule=TriggerRule.ALL_DONE,
        **shared,
    ).expand(table=tables.output)
    load >> merge
    return InParts((tables, parts, load), merge)


def _within(task: str) -> str:
    return task.rpartition(".")[2]
