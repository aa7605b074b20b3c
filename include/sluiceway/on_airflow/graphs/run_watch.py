"""What the DAG run_watch does: it looks for runs that were changed after their verdict, or have ended without one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from sluiceway.on_airflow.connections import warehouse_url

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.comms import DagRunResult

    from sluiceway.ledger.store import Run
    from sluiceway.run.reconcile import Seen
    from sluiceway.run.steps import Watched

NEWEST = 50
"""Judged runs that are looked at; all that have no verdict are, too."""
GOOD = frozenset({"success", "superseded"})
NOT_FOUND = 404

log = logging.getLogger(__name__)


def compare_runs(_context: Context) -> int:
    """Compare what the ledger says of the newest runs with what Airflow shows, and put the ledger right."""
    from sluiceway.run import steps

    url, changed = warehouse_url(), 0
    runs = sorted(steps.watched_runs(url, newest=NEWEST), key=lambda watched: watched.run.dag_id)
    for dag_id, found in groupby(runs, key=lambda watched: watched.run.dag_id):
        for run, seen in _changed(dag_id, list(found)):
            truth = steps.reconcile_run(url, run, seen)
            if truth is not None:
                log.warning("%s was %s and is %s: %s", run.key, run.status, truth.status, truth.text)
                changed += 1
    return changed


def _changed(dag_id: str, watched: list[Watched]) -> Iterable[tuple[Run, Seen]]:
    """The runs of a DAG that Airflow, or a task that went on, shows otherwise.

    One question answers for all runs that are as they were.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from sluiceway.run.reconcile import Seen
    from sluiceway.run.verdict import judged_states

    runs = [run for run, _ in watched]
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run.run_id for run in runs])
    as_expected = {
        state
        for state in ("success", "failed")
        if (ids := [run.run_id for run in runs if _expected(run) == state])
        and RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=ids, states=[state]) == len(ids)
    }
    for run, wrote_since in watched:
        tasks = states.get(run.run_id, {})
        is_same = run.judged is None or (judged_states(tasks) == run.judged and not wrote_since)
        if _expected(run) in as_expected and is_same and run.remark is None:
            continue
        found = _dag_run(dag_id, run.run_id)
        if found is None:
            yield run, Seen(state=None)
        else:
            yield (
                run,
                Seen(state=found.state.value, tasks=tasks, started_at=found.start_date, ended_at=found.end_date),
            )


def _expected(run: Run) -> str | None:
    """The state that Airflow shows for such a run; None for one that has no verdict."""
    if run.status == "running":
        return None
    return "success" if run.status in GOOD else "failed"


def _dag_run(dag_id: str, run_id: str) -> DagRunResult | None:
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        found = SUPERVISOR_COMMS.send(GetDagRun(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == NOT_FOUND:
            return None
        raise
    assert isinstance(found, DagRunResult)
    return found
