"""master_etl: refreshes the warehouse after a deploy. One run at a time; what one run does, in order.

CI triggers it with run id deploy__<sha> and conf {"commit_sha": "<sha>"}. docs/master_etl.md explains each step.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, TaskGroup, TriggerRule

from sluiceway.deploy.build import build_tags
from sluiceway.operators import master
from sluiceway.operators.load_table import LoadTableOperator
from sluiceway.operators.retries import retry_arguments
from sluiceway.operators.step import step
from sluiceway.operators.verdict import VerdictOperator
from sluiceway.sensors.deployed_commit import DeployedCommitSensor

ALWAYS = TriggerRule.ALL_DONE

with DAG(
    dag_id="master_etl",
    description="Refreshes the PostGIS warehouse after a deploy",
    schedule=None,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={"owner": "data-platform", **retry_arguments()},
    params=master.params(),
    on_failure_callback=master.close_ledger_after_failure,
    tags=["sluiceway", "master", *build_tags()],
    doc_md=__doc__,
):
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

    # the cleanups run whatever happened to the tables and beside final: what is published does not wait for them
    gate >> plan >> [pre, sub]
    [pre, load_table] >> final >> verdict
    # one failure ends validate and aggregate at once: the report waits for everything else itself
    [pre, load_table, *cleanup] >> report
