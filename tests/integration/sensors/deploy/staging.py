"""A real Airflow whose environment `staging` is a version endpoint that the tests deploy to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.integration.deployment import DAG_ID, Deployment, name_of
from tests.stand_ins.version_endpoint import VersionEndpoint

WATCH = "deploy_watch"
WITHOUT_TRIGGERER = "master_without_triggerer"
"""The same DAG, told that there is no triggerer."""
SCHEDULED_WATCH = "deploy_watch_without_triggerer"
"""deploy_watch, told the same."""
POLL_S = 1.0
REQUEST_TIMEOUT_S = 2.0
TIMEOUT_S = 60.0
TABLES = [name_of(1)]


def sha_of(text: str) -> str:
    """A commit."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Staging(Deployment):
    """The stack, and what `staging` serves."""

    endpoint: VersionEndpoint = field(kw_only=True)

    def settings(self, *, timeout_s: float = TIMEOUT_S, poll_s: float = POLL_S, more: str = "") -> None:
        """Write the environment's file.

        :param more: what stands at its end.
        """
        (self.config / "environments" / "staging.toml").write_text(
            f'kind = "http"\nurl = "{self.endpoint.uri}"\njson_path = "build.commit"\npoll_s = {poll_s}\n'
            f"timeout_s = {timeout_s}\nrequest_timeout_s = {REQUEST_TIMEOUT_S}\n{more}",
            encoding="utf-8",
        )

    def pause(self, dag_id: str, *, is_paused: bool) -> None:
        self.api.patch(f"dags/{dag_id}", {"is_paused": is_paused})
        # only then Airflow begins or ends to watch
        (self.touch if is_paused else self.parse)(f"{dag_id}.py")

    @contextmanager
    def watching(self, dag_id: str = WATCH) -> Iterator[None]:
        """deploy_watch is on for as long as the block lasts."""
        self.pause(dag_id, is_paused=False)
        try:
            yield
        finally:
            self.end_watch(dag_id)

    def end_watch(self, dag_id: str) -> None:
        """Pause it when nothing of it goes on: Airflow ends a run of a paused DAG up to a minute late."""
        self.settle(dag_id)
        self.pause(dag_id, is_paused=True)
        # one that was made in between would wait for as long as the DAG is paused
        for run_id in [name for name, run in self.runs(dag_id).items() if run["state"] == "queued"]:
            self.api.patch(f"dags/{dag_id}/dagRuns/{run_id}", {"state": "success"})
        self.settle(dag_id)

    @contextmanager
    def loads_held(self) -> Iterator[None]:
        """Whatever loads t01 waits inside its transaction for as long as the block lasts."""
        with psycopg.connect(self.stack.warehouse_url) as blocker:
            blocker.execute("LOCK TABLE t01 IN ACCESS EXCLUSIVE MODE")
            yield
            blocker.rollback()

    def deploy(self, text: str) -> str:
        """Serve the commit of that name from now on."""
        self.endpoint.commit = sha_of(text)
        return self.endpoint.commit

    def enqueue(self, sha: str, **conf: Any) -> str:
        """The commit's run, as CI starts it."""
        return self.trigger(f"deploy__{sha}", commit_sha=sha, **conf)

    def exists(self, run_id: str) -> bool:
        return run_id in self.runs()

    def settle(self, *dag_ids: str) -> None:
        """Wait until nothing of these DAGs goes on."""
        for dag_id in dag_ids or (DAG_ID, WATCH):

            def going_on(name: str = dag_id) -> list[str]:
                return [run_id for run_id, run in self.runs(name).items() if not run["end_date"]]

            self.until(
                lambda on=going_on: True if not on() else None,
                said=lambda on=going_on, name=dag_id: "\n".join(self.shown(run_id, name) for run_id in on()),
            )

    def gate_waits(self, run_id: str) -> None:
        """Wait until the run's gate waits for its commit: by itself where Airflow's health was slow to be told."""
        self.gate_state(run_id, "deferred", "up_for_reschedule")

    def gate_state(self, run_id: str, *states: str, dag_id: str = DAG_ID) -> None:
        """Wait until the run's gate is in one of these states."""
        found = (
            "SELECT 1 FROM task_instance WHERE dag_id = %s AND run_id = %s AND task_id = 'deploy_gate' "
            "AND state = ANY(%s)"
        )
        self.until(
            lambda: self.metadata(found, dag_id, run_id, list(states)) or None, said=lambda: self.shown(run_id, dag_id)
        )

    def log(self, run_id: str, task: str = "deploy_gate", *, dag_id: str = DAG_ID, attempt: int = 1) -> str:
        return str(
            self.api.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}", full_content=True)
        )
