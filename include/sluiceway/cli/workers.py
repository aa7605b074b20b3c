"""`sluiceway workers`: who takes tasks, and what each does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from sluiceway.cli.console import EXIT_FAILED, err, plain, print_json, sentences
from sluiceway.cli.options import JsonOption
from sluiceway.cli.records import print_records
from sluiceway.errors import AirflowApiError, AirflowUnreachableError, SettingsError
from sluiceway.settings import Settings, load_settings
from sluiceway.spans import age

if TYPE_CHECKING:
    from sluiceway.workers import Worker

WITHIN_S = 6.0
COLUMNS = ("worker", "queues", "slots", "runs", "heartbeat", "up")


def list_workers(as_json: JsonOption = False) -> None:
    """List Celery's workers: queues, slots, what each runs, how old its heartbeat is. Exit 1 where one does not answer.

    A worker that does not answer, and that Airflow believes to run something, is listed as lost.

    Example: sluiceway workers
    """
    from sluiceway import workers

    with sentences():
        settings = load_settings()
        found = workers.of_broker(settings.require_broker_url(), _running(settings))
    if as_json:
        print_json([worker.model_dump(mode="json") for worker in found])
    elif not found:
        err.print("No worker answers.")
    else:
        print_records(COLUMNS, [_row(worker) for worker in found], prose={"runs"}, right={"slots"})
    if not found or not all(worker.answers for worker in found):
        raise typer.Exit(EXIT_FAILED)


def _running(settings: Settings) -> list[dict[str, Any]]:
    """What Airflow believes to run; nothing where it cannot be asked, which is said."""
    from sluiceway.rest.airflow_api import AirflowApi

    try:
        with AirflowApi.from_settings(settings, within_s=WITHIN_S) as api:
            return api.running_tasks()
    except (AirflowApiError, AirflowUnreachableError, SettingsError) as error:
        err.print(f"Airflow was not asked, so that lost workers are not listed: {plain(error)}")
        return []


def _row(worker: Worker) -> tuple[str, ...]:
    if not worker.answers:
        return (worker.name, "", "", _tasks(worker), "does not answer", "")
    heard = "none" if worker.heartbeat_age_s is None else f"{worker.heartbeat_age_s:.0f} s ago"
    return (worker.name, ", ".join(worker.queues), str(worker.slots or ""), _tasks(worker), heard, age(worker.uptime_s))


def _tasks(worker: Worker) -> str:
    return ", ".join(map(str, worker.tasks)) or "nothing"
