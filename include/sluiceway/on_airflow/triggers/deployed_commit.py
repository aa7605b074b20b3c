"""DeployedCommitTrigger: the wait of DeployedCommitSensor, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluiceway.deploy.commit import Sighting
from sluiceway.deploy.gate import Sight, look
from sluiceway.deploy.history import write_sighting
from sluiceway.deploy.pace import Pace
from sluiceway.deploy.spec import read_environment
from sluiceway.errors import SluicewayError
from sluiceway.on_airflow.connections import CONN_ID, warehouse_url
from sluiceway.on_airflow.deploy_runs import waiting
from sluiceway.on_airflow.triggers.connections import resolved_connections


class DeployedCommitTrigger(BaseTrigger):
    """Look until the environment serves the commit, another commit is served that has runs, or the time is over.

    Its one event is the last Sight, with `until` and how often was `asked` (since a restart of the triggerer, if there
    was one). Whether the other commit is the newer is for the task to say, which may read its runs.

    :param environment: its name.
    :param commit_sha: the commit the run waits for.
    :param dag_id: whose waiting runs may supersede it.
    :param until: when the time is over, in seconds since 1970.
    :param asked: how often the task has looked before.
    :param passed_over: runs that do not supersede it, for as long as the environment serves their commit.
    :param served: that commit.
    :param conn_id: the Airflow connection of the warehouse.
    """

    def __init__(
        self,
        *,
        environment: str,
        commit_sha: str,
        dag_id: str,
        until: float,
        asked: int = 1,
        passed_over: Sequence[str] = (),
        served: str | None = None,
        conn_id: str = CONN_ID,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.environment = environment
        self.commit_sha = commit_sha
        self.dag_id = dag_id
        self.until = until
        self.asked = asked
        self.passed_over = list(passed_over)
        self.served = served
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "environment": self.environment,
            "commit_sha": self.commit_sha,
            "dag_id": self.dag_id,
            "until": self.until,
            "asked": self.asked,
            "passed_over": self.passed_over,
            "served": self.served,
            "conn_id": self.conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait first: the sensor has just looked."""
        spec = await asyncio.to_thread(read_environment, self.environment)
        connections = await resolved_connections(spec)
        pace = Pace(spec.poll_s)
        wait, asked = spec.poll_s, self.asked
        served, passed_over = self.served, frozenset(self.passed_over)
        while True:
            await asyncio.sleep(max(0.0, min(wait, self.until - time.time())))
            seen = await look(spec, connections, self.commit_sha, partial(waiting, self.dag_id), self._write)
            asked += 1
            if seen.commit is not None and seen.commit != served:
                served, passed_over = seen.commit, frozenset()
            if self._is_event(seen, passed_over) or time.time() >= self.until:
                told = {**seen.model_dump(), "asked": asked, "until": self.until}
                yield TriggerEvent(told)  # type: ignore[no-untyped-call]
                return
            self.log.info("%s; waiting for %s", seen.said, self.commit_sha)
            wait = pace.after_answer() if seen.commit is not None else pace.after_error()

    @staticmethod
    def _is_event(seen: Sight, passed_over: frozenset[str]) -> bool:
        return seen.outcome == "reached" or (seen.outcome == "contested" and not passed_over.issuperset(seen.runs))

    def _write(self, seen: Sighting) -> None:
        try:
            write_sighting(warehouse_url(self.conn_id), self.environment, seen)
        except (SluicewayError, AirflowException, AirflowRuntimeError, OSError) as error:
            # the order of two commits is then less well known, and the wait goes on
            self.log.warning("What %s serves could not be written down: %s", self.environment, error)
