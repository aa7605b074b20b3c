"""DeployedCommitTrigger: the wait of DeployedCommitSensor, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluiceway.deploy.gate import Sight, look
from sluiceway.deploy.pace import Pace
from sluiceway.deploy.spec import read_environment
from sluiceway.sensors.deploy_runs import queued_run
from sluiceway.triggers.connections import resolved_connections


class DeployedCommitTrigger(BaseTrigger):
    """Look until the environment serves the commit, the commit is superseded, or the time is over.

    Its one event is the last Sight, and how often was `asked` (since a restart of the triggerer, if there was one).

    :param environment: its name.
    :param commit_sha: the commit the run waits for.
    :param dag_id: whose waiting runs supersede it.
    :param until: when the time is over, in seconds since 1970.
    """

    def __init__(self, *, environment: str, commit_sha: str, dag_id: str, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.environment = environment
        self.commit_sha = commit_sha
        self.dag_id = dag_id
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "environment": self.environment,
            "commit_sha": self.commit_sha,
            "dag_id": self.dag_id,
            "until": self.until,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait first: the sensor has just looked."""
        spec = await asyncio.to_thread(read_environment, self.environment)
        connections = await resolved_connections(spec)
        pace = Pace(spec.poll_s)
        wait, asked = spec.poll_s, 1
        while True:
            await asyncio.sleep(max(0.0, min(wait, self.until - time.time())))
            sight: Sight = await look(spec, connections, self.commit_sha, partial(queued_run, self.dag_id))
            asked += 1
            if sight.outcome != "waiting" or time.time() >= self.until:
                yield TriggerEvent({**sight.model_dump(), "asked": asked})  # type: ignore[no-untyped-call]
                return
            self.log.info("%s; waiting for %s", sight.said, self.commit_sha)
            wait = pace.after_answer() if sight.commit is not None else pace.after_error()
