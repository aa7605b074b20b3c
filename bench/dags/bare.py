"""bare: the graph of master_etl without Sluiceway, the same tasks and arrows, all of which do nothing.

The peer of bench/master.py and bench/scale.py. conf `{"n": 200}` says how many tasks load_table is mapped over.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseOperator, Context, TaskGroup, TriggerRule, chain


class NoOperator(BaseOperator):
    """Does nothing."""

    template_fields = ()

    def __init__(self, *, table: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table

    def execute(self, context: Context) -> Any:
        """Nothing."""


class PlanOperator(NoOperator):
    """As many names as the conf says."""

    def execute(self, context: Context) -> list[str]:
        """The names."""
        return [f"noop_{number:04}" for number in range(1, context["params"]["n"] + 1)]


with DAG("bare", schedule=None, max_active_runs=1, params={"n": 20}):
    opened, gate, plan = NoOperator(task_id="opened"), NoOperator(task_id="deploy_gate"), PlanOperator(task_id="plan")
    with TaskGroup("pre") as pre:
        NoOperator(task_id="check_sources")
        NoOperator(task_id="check_warehouse")
    with TaskGroup("sub") as sub:
        load_table = NoOperator.partial(
            task_id="load_table", pool="warehouse", map_index_template="{{ task.table }}"
        ).expand(table=plan.output)
        cleanup = [
            NoOperator(task_id=name, trigger_rule=TriggerRule.ALL_DONE)
            for name in ("cleanup_staging", "cleanup_history")
        ]
        load_table >> cleanup
    with TaskGroup("final") as final:
        validate, aggregate = NoOperator(task_id="validate"), NoOperator(task_id="aggregate")
        validate >> aggregate
    verdict = NoOperator(task_id="verdict").as_teardown(setups=opened, on_failure_fail_dagrun=True)
    chain(opened, gate, plan, pre)
    plan >> sub
    [pre, load_table] >> final
    [pre, load_table] >> aggregate
    [gate, plan, pre, load_table, *cleanup, validate, aggregate] >> verdict
