"""Runs as Airflow shows them, for the command line: asked for over its REST API, within a few seconds in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import httpx

from sluiceway.errors import AirflowApiError, AirflowUnreachableError, SettingsError
from sluiceway.ledger import store
from sluiceway.ledger.store import Run, RunKey
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.run.marks import EVENTS, Entry, Shown, marks_of
from sluiceway.run.reconcile import Seen
from sluiceway.run.truth import marks_wanted
from sluiceway.settings import Settings

WITHIN_S = 6.0
AT_ONCE = 8


class NotAskedError(AirflowApiError):
    """Airflow is not named, does not answer in time, or answers none of the questions."""


def ask(settings: Settings, runs: Sequence[Run]) -> dict[RunKey, Seen]:
    """Each run as Airflow shows it; a run that the user may not read there is left out, and so is one of no DAG.

    :raises NotAskedError: why Airflow could not be asked.
    """
    asked = [run for run in runs if run.dag_id != store.CLI]
    if not asked:
        return {}
    try:
        with (
            AirflowApi.from_settings(settings, within_s=WITHIN_S) as api,
            ThreadPoolExecutor(min(AT_ONCE, len(asked))) as pool,
        ):
            found = list(pool.map(partial(_seen, api), asked))
    except (AirflowApiError, AirflowUnreachableError, SettingsError) as error:
        raise NotAskedError(f"Airflow was not asked, this is what the ledger says: {error}") from error
    return {run.key: seen for run, seen in zip(asked, found, strict=True) if seen is not None}


def _seen(api: AirflowApi, run: Run) -> Seen | None:
    try:
        shown = api.run(*run.key)
        tasks = api.task_instances(*run.key)
    except AirflowApiError as error:
        if error.status == httpx.codes.NOT_FOUND:
            return Seen(state=None)
        if error.status == httpx.codes.FORBIDDEN:
            return None
        raise
    named = {
        task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}_{task['map_index']}": task for task in tasks
    }
    states = {name: task["state"] for name, task in named.items()}
    # one that was marked before it began has the moment of the mark for its start, and no process
    began_at = {name: at for name, task in named.items() if task["pid"] and (at := _time(task["start_date"]))}
    seen = Seen(
        state=shown["state"],
        tasks=states,
        enqueued_at=_time(shown["run_after"]),
        started_at=_time(shown["start_date"]),
        ended_at=_time(shown["end_date"]),
    )
    return seen.model_copy(update={"marks": _marks(api, run, seen, began_at)})


def _marks(api: AirflowApi, run: Run, seen: Seen, began_at: Mapping[str, datetime]) -> tuple[str, ...]:
    """Who had a hand in it; nobody where the user may not read the audit log."""
    span = marks_wanted(run, seen)
    if span is None:
        return ()
    since = min(filter(None, span))
    try:
        entries = api.event_logs(run.dag_id, EVENTS, since)
    except AirflowApiError as error:
        if error.status == httpx.codes.FORBIDDEN:
            return ()
        raise
    return marks_of(
        [
            Entry(
                event=entry["event"],
                at=entry["when"],
                owner=entry["owner"],
                dag_id=entry["dag_id"],
                run_id=entry["run_id"],
                task_id=entry["task_id"],
                extra=entry["extra"],
            )
            for entry in entries
        ],
        run.key,
        Shown(seen.state, seen.tasks, began_at=began_at),
        **span._asdict(),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
