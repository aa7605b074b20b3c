"""Runs named by their commit, deploy__<sha> and deploy__<sha>__2 and so on, as tasks and triggers may ask for them."""

from __future__ import annotations

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from sluiceway.deploy.commit import FULL

PREFIX = "deploy__"
ATTEMPTS = 9
"""A commit's runs that are looked for: the first and those after failed ones."""
GATE = "deploy_gate"


def run_id_of(commit: str) -> str:
    """The id of a commit's first run."""
    return f"{PREFIX}{commit}"


def run_exists(dag_id: str, commit: str) -> bool:
    """Whether the commit has a run, in any state."""
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=_run_ids(commit)) > 0


def queued_run(dag_id: str, commit: str) -> str | None:
    """The id of a run for that commit which waits for its turn.

    :param commit: 7 to 40 hex digits; fewer than 40 match by prefix.
    """
    ids = _run_ids(commit) if len(commit) == FULL else _run_ids_that_begin(dag_id, commit)
    if not ids or not _queued(dag_id, ids):
        return None
    return next((run_id for run_id in ids if _queued(dag_id, [run_id])), None)


def _run_ids(commit: str) -> list[str]:
    return [run_id_of(commit), *(f"{run_id_of(commit)}__{attempt}" for attempt in range(2, ATTEMPTS + 1))]


def _run_ids_that_begin(dag_id: str, commit: str) -> list[str]:
    """There is no question by prefix, so the gates of all runs are asked for: a gate that never ran has no state."""
    gates = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[GATE])
    return sorted(run_id for run_id, found in gates.items() if run_id.startswith(run_id_of(commit)) and not found[GATE])


def _queued(dag_id: str, run_ids: list[str]) -> bool:
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=run_ids, states=["queued"]) > 0
