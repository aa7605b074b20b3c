"""What the DAG run_watch does: it looks for runs that were changed after their verdict, or have ended without one, and
tells GitHub what became of their commits."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from sluiceway.ids import VERDICT_TASK
from sluiceway.on_airflow.connections import warehouse_url
from sluiceway.on_airflow.graphs.flows import judged_dags
from sluiceway.on_airflow.recorded import opening_of_run
from sluiceway.run.reconcile import ENDED, is_shown
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.comms import DagRunResult

    from sluiceway.ledger.store import Run
    from sluiceway.run.opening import Opening
    from sluiceway.run.reconcile import Seen
    from sluiceway.run.watching import Watched

NEWEST = 50
"""Judged runs that are looked at; all that have no verdict are, too."""
GOOD = frozenset({"success", "superseded"})
OVER = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})
"""States of a verdict after which its run ends."""
NOT_FOUND = 404

log = logging.getLogger(__name__)


def compare_runs(_context: Context) -> int:
    """Compare what the ledger says of the newest runs with what Airflow shows, and put the ledger right."""
    from sluiceway.run import watching

    url, changed = warehouse_url(), 0
    runs = sorted(watching.watched_runs(url, newest=NEWEST), key=lambda watched: watched.run.dag_id)
    for dag_id, found in groupby(runs, key=lambda watched: watched.run.dag_id):
        for run, seen, opening in _changed(dag_id, list(found)):
            if opening is not None and seen.has_ended and not is_shown(run, seen):
                watching.take_in_run(url, opening, seen)
                log.warning(
                    "%s has the id of a deleted run, and has ended without a word; it is in the ledger now", run.key
                )
                changed += 1
            elif (truth := watching.reconcile_run(url, run, seen)) is not None:
                log.warning("%s was %s and is %s: %s", run.key, run.status, truth.status, truth.text)
                changed += 1
    return changed + _take_in(url, judged_dags() | {watched.run.dag_id for watched in runs})


def tells_commits() -> bool:
    """Whether GitHub is to be told of commits. Where a file is wrong it is, too: the task says what is wrong."""
    from sluiceway.deploy.spec import read_environment
    from sluiceway.errors import ConfigError, SettingsError

    name = load_settings().environment
    try:
        return name is not None and read_environment(name).github is not None
    except (ConfigError, SettingsError):
        return True


def tell_commits(_context: Context) -> int:
    """Tell GitHub what became of the commits whose runs have begun or ended, as the environment's file says."""
    from sluiceway.deploy.commit_status import tell_due
    from sluiceway.deploy.spec import read_environment
    from sluiceway.on_airflow.connections import connections
    from sluiceway.on_airflow.links import report_url

    environment = read_environment(str(load_settings().environment))
    if environment.github is None:
        return 0
    return tell_due(warehouse_url(), environment, connections, report_url)


def _take_in(url: str, dag_ids: set[str]) -> int:
    """Give a row to each run that ended before any task of it began; how many there were."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    from sluiceway.run import watching

    taken = 0
    for dag_id in sorted(dag_ids):
        ended = RuntimeTaskInstance.get_dr_count(dag_id=dag_id, states=list(ENDED))
        if ended == watching.runs_looked_through(url, dag_id):
            continue
        verdicts = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[VERDICT_TASK])
        over = [run_id for run_id, states in verdicts.items() if states.get(VERDICT_TASK) in OVER]
        for key in watching.take_in(url, dag_id, ended, over, partial(_ended_run, dag_id)):
            log.warning("%s has ended without a word, and is in the ledger now", key)
            taken += 1
    return taken


def _ended_run(dag_id: str, run_id: str) -> tuple[Opening, Seen] | None:
    """What Airflow has of a run that has ended; None: it goes on, or is gone."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found = _dag_run(dag_id, run_id)
    if found is None or found.state.value not in ENDED:
        return None
    tasks = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return opening_of_run(found), _seen(found, tasks)


def _changed(dag_id: str, watched: list[Watched]) -> Iterable[tuple[Run, Seen, Opening | None]]:
    """The runs of a DAG that Airflow, or a task that went on, shows otherwise; with what opens the run that it has.

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
            yield run, Seen(state=None), None
        else:
            yield run, _seen(found, tasks), opening_of_run(found)


def _seen(found: DagRunResult, tasks: dict[str, str | None]) -> Seen:
    from sluiceway.run.reconcile import Seen

    return Seen(
        state=found.state.value,
        tasks=tasks,
        enqueued_at=found.run_after,
        started_at=found.start_date,
        ended_at=found.end_date,
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
