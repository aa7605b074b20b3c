"""The graph that refreshes tables: what one run of master_etl, and of every flow of type tables, does in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup, TriggerRule, chain

from sluiceway.ids import PLANNING_TASK, VERDICT_TASK, of_group
from sluiceway.on_airflow import pods
from sluiceway.on_airflow.assets import ALIAS
from sluiceway.on_airflow.graphs import refresh_tasks as tasks
from sluiceway.on_airflow.graphs.flow_events import take_events
from sluiceway.on_airflow.graphs.split import load_in_parts
from sluiceway.on_airflow.operators.load_table import LoadTableOperator
from sluiceway.on_airflow.operators.verdict import VerdictOperator
from sluiceway.on_airflow.retries import final_retries, load_retries
from sluiceway.on_airflow.sensors.deployed_commit import DeployedCommitSensor
from sluiceway.on_airflow.step import PublishOperator, RecordedStepOperator, recorded_step, step
from sluiceway.tables.needs import Needs

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.definitions.mappedoperator import MappedOperator

ALWAYS = TriggerRule.ALL_DONE
NOTHING = Needs()


def refresh(
    *,
    own: Needs = NOTHING,
    groups: Mapping[str, Needs] | None = None,
    parts: Needs | None = None,
    takes_events: bool = False,
) -> BaseOperator:
    """Add the graph to the DAG of the `with` block.

    Airflow gives all that are mapped from one task one queue and one pod: so each group of tables that need another has
    a task that loads its tables, and one that lists them, beside those of the others.

    :param own: what the tables need whose files ask for nothing.
    :param groups: what the others need, by the name of their group.
    :param parts: what the parts need of tables whose files say `split`; None: there are none.
    :param takes_events: whether a run begins by taking the events of its flow's triggers.
    :returns: the task that decides the run's colour.
    """
    opened = step(tasks.opened)
    gate = DeployedCommitSensor(task_id="deploy_gate", closing=[VERDICT_TASK])
    # what its loads tell of goes through the alias, which Airflow knows by this before two of them make it at once
    plans: dict[str | None, RecordedStepOperator] = {None: recorded_step(tasks.plan, outlets=[ALIAS])}
    plans |= {each: _plan_of(each) for each in groups or {}}

    with TaskGroup("pre", tooltip="Sources and warehouse are fit for the run; beside sub") as pre:
        recorded_step(tasks.check_sources)
        recorded_step(tasks.check_warehouse)

    with TaskGroup("sub", tooltip="One task, one process and one transaction per table") as sub:
        loads = [_load(plan, of, groups[of] if groups and of else own, own) for of, plan in plans.items()]
        in_parts = load_in_parts(parts, own) if parts is not None else None
        loads += [in_parts.merge] if in_parts else []
        cleanup = [
            recorded_step(clean, trigger_rule=ALWAYS) for clean in (tasks.cleanup_staging, tasks.cleanup_history)
        ]
        for load in loads:
            load >> cleanup

    with TaskGroup("final", tooltip="Only when pre and sub are good") as final:
        # a group of which this run has no table is skipped, and no other is bad; so is what would be loaded in parts
        rule = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS if len(plans) > 1 or in_parts else TriggerRule.ALL_SUCCESS
        validate = recorded_step(tasks.validate, trigger_rule=rule, **final_retries())
        aggregate = recorded_step(tasks.aggregate, operator=PublishOperator, trigger_rule=rule, **final_retries())
        validate >> aggregate

    verdict = VerdictOperator(task_id=VERDICT_TASK)
    verdict.as_teardown(setups=opened, on_failure_fail_dagrun=True)
    begin = [opened, recorded_step(take_events), gate] if takes_events else [opened, gate]
    # the cleanups run whatever happened to the tables and beside final: what is published does not wait for them
    plan = plans[None]
    chain(*begin, [*plans.values()], pre)
    # every table is planned by the first; what a load says of one that is not planned yet would be lost
    plan >> sub
    [pre, *loads] >> final
    # by an arrow of its own, too: where validate is marked success before the loads, publishing waits for them
    [pre, *loads] >> aggregate
    # over direct arrows alone the verdict waits for a task that runs again: those between are good and stay so
    [*begin[1:], *plans.values(), pre, *loads, *cleanup, validate, aggregate] >> verdict
    if in_parts:
        [*in_parts.before] >> verdict
    return verdict


def _plan_of(group: str) -> RecordedStepOperator:
    return RecordedStepOperator(
        task_id=of_group(PLANNING_TASK, group),
        step=tasks.plan_of(group),
        doc_md=f"The tables of this run that workers of the group {group} load.",
    )


def _load(plan: BaseOperator, of: str | None, needs: Needs, own: Needs) -> MappedOperator:
    """One task per table of a plan.

    :param of: the group whose tables these are; None: of no group of its own.
    :param needs: what these tables need.
    :param own: the flow's, which limit those whose files say no limit.
    """
    return LoadTableOperator.partial(
        task_id=of_group("load_table", of),
        pool="warehouse",
        map_index_template="{{ task.table }}",
        **load_retries(),
        memory=own.memory,
        cpu=own.cpu,
        **pods.arguments(needs),
    ).expand(table=plan.output)
