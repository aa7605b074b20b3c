"""The graph that refreshes tables: what one run of master_etl, and of every flow of type tables, does in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup, TriggerRule

from sluiceway.operators import master
from sluiceway.operators.flow_events import take_events
from sluiceway.operators.load_table import LoadTableOperator
from sluiceway.operators.step import step
from sluiceway.operators.verdict import VerdictOperator
from sluiceway.sensors.deployed_commit import DeployedCommitSensor

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

ALWAYS = TriggerRule.ALL_DONE


def refresh(*, takes_events: bool = False) -> BaseOperator:
    """Add the graph to the DAG of the `with` block.

    :param takes_events: whether a run begins by taking the events of its flow's triggers.
    :returns: the task that decides the run's colour.
    """
    gate = DeployedCommitSensor(task_id="deploy_gate", closing=["final.report", "verdict"])
    plan = step(master.plan)

    with TaskGroup("pre", tooltip="Sources and warehouse are fit for the run; beside sub") as pre:
        step(master.check_sources)
        step(master.check_warehouse)

    with TaskGroup("sub", tooltip="One task, one process and one transaction per table") as sub:
        load_table = LoadTableOperator.partial(
            task_id="load_table",
            pool="warehouse",
            map_index_template="{{ task.table }}",
        ).expand(table=plan.output)
        cleanup = [step(clean, trigger_rule=ALWAYS) for clean in (master.cleanup_staging, master.cleanup_history)]
        load_table >> cleanup

    with TaskGroup("final", tooltip="Only when pre and sub are good; the report always") as final:
        report = step(master.report, trigger_rule=ALWAYS)
        step(master.validate) >> step(master.aggregate) >> report

    verdict = VerdictOperator(task_id="verdict")

    if takes_events:
        step(take_events) >> gate
    # the cleanups run whatever happened to the tables and beside final: what is published does not wait for them
    gate >> plan >> [pre, sub]
    [pre, load_table] >> final >> verdict
    # one failure ends validate and aggregate at once: the report waits for everything else itself
    [pre, load_table, *cleanup] >> report
    return verdict
