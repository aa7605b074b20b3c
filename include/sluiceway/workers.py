"""The Celery workers that take Airflow's tasks, as Celery itself tells of them: no Airflow and no database is asked.

A worker that is gone tells nothing: what Airflow believes that it runs shows that it was there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from sluiceway.errors import BrokerUnavailableError

ANSWER_S = 2.0
"""How long a worker has to answer."""
HEARTBEATS_S = 3.0
"""A worker sends one every 2 s."""


class Task(BaseModel):
    """A task that a worker has: a try of one, by Airflow's names."""

    model_config = ConfigDict(frozen=True)

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        place = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id} {self.run_id} {self.task_id}{place}"


class Worker(BaseModel):
    """One worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The name of its machine, unless it was given another."""
    answers: bool = True
    queues: tuple[str, ...] = ()
    slots: int | None = None
    tasks: tuple[Task, ...] = ()
    uptime_s: float | None = None
    heartbeat_age_s: float | None = None
    """Since the last that was heard in the seconds of listening; None: none was."""


def of_broker(url: str, running: Iterable[Mapping[str, Any]] = ()) -> list[Worker]:
    """Every worker that answers, and those that do not and that Airflow believes to run something, by name.

    :param url: of the broker, such as `redis://:PASSWORD@HOST:6379/0`
    :param running: task instances in the words of Airflow's REST API
    :raises BrokerUnavailableError: it does not answer.
    """
    from celery import Celery
    from kombu.exceptions import OperationalError

    app = Celery(broker=url, broker_connection_retry=False)
    try:
        inspect = app.control.inspect(timeout=ANSWER_S)
        stats = inspect.stats() or {}
        queues, active = inspect.active_queues() or {}, inspect.active() or {}
        heard = _heartbeats(app, set(stats)) if stats else {}
    except (OperationalError, OSError) as error:
        raise BrokerUnavailableError(
            f"Celery's broker does not answer: {error}. SLUICEWAY_BROKER_URL says where it is, or "
            "AIRFLOW__CELERY__BROKER_URL."
        ) from error
    finally:
        app.close()
    answering = [_worker(node, stats[node], queues.get(node, ()), active.get(node, ()), heard) for node in stats]
    return sorted([*answering, *_silent(answering, running)], key=lambda worker: worker.name)


def _worker(
    node: str,
    stats: Mapping[str, Any],
    queues: Iterable[Mapping[str, Any]],
    active: Iterable[Mapping[str, Any]],
    heard: Mapping[str, float],
) -> Worker:
    return Worker(
        name=node.partition("@")[2],
        queues=tuple(sorted(queue["name"] for queue in queues)),
        slots=stats["pool"].get("max-concurrency"),
        tasks=tuple(task for each in active if (task := _task(each)) is not None),
        uptime_s=stats.get("uptime"),
        heartbeat_age_s=max(0.0, time.time() - heard[node]) if node in heard else None,
    )


def _task(active: Mapping[str, Any]) -> Task | None:
    """What Airflow gave to the worker: its one argument is JSON. None: it is a task of something else."""
    arguments: Sequence[Any] = active.get("args") or ()
    try:
        return Task.model_validate(json.loads(arguments[0])["ti"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _heartbeats(app: Any, nodes: set[str]) -> dict[str, float]:
    """When each was heard of last, as Unix time by this machine's clock."""
    heard: dict[str, float] = {}
    end = time.monotonic() + HEARTBEATS_S

    def hear(event: Mapping[str, Any]) -> None:
        heard[event["hostname"]] = time.time()

    with app.connection() as connection:
        receiver = app.events.Receiver(connection, handlers={"worker-heartbeat": hear})
        events = receiver.itercapture(limit=None, timeout=HEARTBEATS_S, wakeup=False)
        try:
            while time.monotonic() < end and set(heard) < nodes:
                next(events)
        except (TimeoutError, StopIteration):
            pass  # nobody said anything
    return heard


def _silent(answering: Iterable[Worker], running: Iterable[Mapping[str, Any]]) -> list[Worker]:
    names = {worker.name for worker in answering}
    lost: dict[str, list[Task]] = {}
    for task in running:
        if task["hostname"] and task["hostname"] not in names:
            named = {**task, "run_id": task["dag_run_id"]}
            lost.setdefault(task["hostname"], []).append(Task.model_validate(named))
    return [Worker(name=name, answers=False, tasks=tuple(tasks)) for name, tasks in lost.items()]
