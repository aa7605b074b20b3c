"""Runs named by their commit, deploy__<sha> and deploy__<sha>__2 and so on, as tasks and triggers may ask for them.

A trigger may ask less than a task: Airflow's triggerer tells it which runs are there and their states, not their conf.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from sluiceway.deploy.commit import FULL
from sluiceway.deploy.order import WAITING, CommitRun, run_ids
from sluiceway.ids import DEPLOY_RUNS

GATE = "deploy_gate"
NOT_FOUND = 404


def run_exists(dag_id: str, run_id: str) -> bool:
    """Whether there is such a run, in any state."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id]) > 0


def existing(dag_id: str, commit: str) -> list[str]:
    """The ids of the runs named by that commit, in order.

    :param commit: 7 to 40 hex digits; fewer than 40 match by prefix.
    """
    # each run has a gate, and its state is asked for by run id, in one question
    if len(commit) == FULL:
        ids = run_ids(commit)
        found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[GATE], run_ids=ids)
        return [run_id for run_id in ids if run_id in found]
    found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[GATE])
    return sorted(run_id for run_id in found if run_id.startswith(f"{DEPLOY_RUNS}{commit}"))


def waiting(dag_id: str, commit: str) -> list[str]:
    """Those of them that go on, or wait for their turn."""
    return [run_id for run_id in existing(dag_id, commit) if _waits(dag_id, run_id)]


def read(dag_id: str, ids: list[str]) -> list[CommitRun]:
    """The runs with their conf, without those that have gone away. For tasks: no trigger may ask that."""
    found = (_read(dag_id, run_id) for run_id in ids)
    return [run for run in found if run is not None]


def _waits(dag_id: str, run_id: str) -> bool:
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=list(WAITING)) > 0


def _read(dag_id: str, run_id: str) -> CommitRun | None:
    from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        run = SUPERVISOR_COMMS.send(GetDagRun(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == NOT_FOUND:
            return None
        raise
    assert isinstance(run, DagRunResult)
    return CommitRun(
        run_id=run.run_id,
        state=run.state.value,
        enqueued_at=run.run_after,
        ended_at=run.end_date,
        conf=run.conf or {},
    )
