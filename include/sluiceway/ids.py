"""Names that several wings spell: the master DAG, its tasks, and how the ids of runs begin.

deploy/trigger.py says them once more: it is a file of its own, which goes to machines without this package.
"""

from __future__ import annotations

from urllib.parse import quote

MASTER = "master_etl"
"""The DAG that loads all tables."""
DEPLOY_RUNS = "deploy__"
"""Begins the ids of runs for a deployed commit: deploy__<sha>, deploy__<sha>__2 and so on."""
SCHEDULED_RUNS = "scheduled__"
"""Begins the ids that Airflow gives to the runs of a timetable."""

VERDICT_TASK = "verdict"
OPENING_TASK = "opened"
"""The first, the setup whose teardown is the verdict."""
PUBLISHING_TASK = "final.aggregate"
LOADING_TASK = "sub.load_table"
PLANNING_TASK = "plan"
SPLIT_TABLES_TASK = "sub.split_tables"
"""Where a table's file says `split`: lists the tables of the run whose files do."""
PARTS_TASK = "sub.plan_parts"
"""Lists their parts."""
PART_TASK = "sub.load_part"
"""Mapped over the parts."""
MERGING_TASK = "sub.merge_parts"
"""Mapped over the tables; it loads each from its parts."""
SPLIT_TASKS = (SPLIT_TABLES_TASK, PARTS_TASK, PART_TASK, MERGING_TASK)
QUEUE = r"[a-zA-Z][a-zA-Z0-9_-]*"
"""A queue's name, or a group's, ends the ids of the tasks that plan and load its tables; a digit first would be a map
index."""
ENQUEUE_TASK = "enqueue"
"""Of a job's DAG: its items become due."""
WORKING_TASK = "work"
"""Of a job's DAG, mapped over its lanes."""
FOLLOWERS_GROUP = "followers"
"""Of the tasks that tell other flows how the run has ended: no part of what is judged."""


def of_group(task: str, group: str | None) -> str:
    """The id of a planning or loading task for the tables of a group: `sub.load_table_heavy` for those of a queue."""
    return f"{task}_{group}" if group else task


def run_page(dag_id: str, run_id: str) -> str:
    """The path of a run's page, below Airflow's own."""
    return f"/sluiceway/runs/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def triggered_runs(trigger_type: str, trigger_id: str) -> str:
    """Begins the ids of the runs that a trigger starts by name."""
    return f"{trigger_type}__{trigger_id}__"
