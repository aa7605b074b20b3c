"""The graph that refreshes tables: what one run of master_etl, and of every flow of type tables, does in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup, TriggerRule, chain

from sluiceway.ids import VERDICT_TASK
from sluiceway.on_airflow.graphs import refresh_tasks as tasks
from sluiceway.on_airflow.graphs.flow_events import take_events
from sluiceway.on_airflow.operators.load_table import LoadTableOperator
from sluiceway.on_airflow.operators.verdict import VerdictOperator
from sluiceway.on_airflow.sensors.deployed_commit import DeployedCommitSensor
from sluiceway.on_airflow.step import recorded_step, step

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

ALWAYS = TriggerRule.ALL_DONE


def refresh(*, takes_events: bool = False) -> BaseOperator:
    """Add the graph to the DAG of the `with` block.

    :param takes_events: whether a run begins by taking the events of its flow's triggers.
    :returns: the task that decides the run's colour.
    """
    opened = step(tasks.opened)
    gate = DeployedCommitSensor(task_id="deploy_gate", closing=[VERDICT_TASK])
    plan = recorded_step(tasks.plan)

    with TaskGroup("pre", tooltip="Sources and warehouse are fit for the run; beside sub") as pre:
        recorded_step(tasks.check_sources)
        recorded_step(tasks.check_warehouse)

    with TaskGroup("sub", tooltip="One task, one process and one transaction per table") as sub:
        load_table = LoadTableOperator.partial(
            task_id="load_table",
            pool="warehouse",
            map_index_template="{{ task.table }}",
        ).expand(table=plan.output)
        cleanup = [
            recorded_step(clean, trigger_rule=ALWAYS) for clean in (tasks.cleanup_staging, tasks.cleanup_history)
        ]
        load_table >> cleanup

    with TaskGroup("final", tooltip="Only when pre and sub are good") as final:
        validate, aggregate = recorded_step(tasks.validate), recorded_step(tasks.aggregate)
        validate >> aggregate

    verdict = VerdictOperator(task_id=VERDICT_TASK)
    verdict.as_teardown(setups=opened, on_failure_fail_dagrun=True)
    begin = [opened, recorded_step(take_events), gate] if takes_events else [opened, gate]
    # the cleanups run whatever happened to the tables and beside final: what is published does not wait for them
    chain(*begin, plan, [pre, sub])
    [pre, load_table] >> final
    # by an arrow of its own, too: where validate is marked success before the loads, publishing waits for them
    [pre, load_table] >> aggregate
    # over direct arrows alone the verdict waits for a task that runs again: those between are good and stay so
    [*begin[1:], plan, pre, load_table, *cleanup, validate, aggregate] >> verdict
    return verdict
