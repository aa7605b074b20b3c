"""A real Airflow whose environment `staging` is a version endpoint that the tests deploy to."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.airflow_api import AirflowApi
from sluiceway.errors import AirflowApiError
from tests.conftest import let_through
from tests.integration.conftest import DAG_ID, ROWS, Deployment, csv_of, name_of, write_table
from tests.stand_ins.version_endpoint import VersionEndpoint

WATCH = "deploy_watch"
WITHOUT_TRIGGERER = "master_without_triggerer"
"""The same DAG, told that there is no triggerer."""
SCHEDULED_WATCH = "deploy_watch_without_triggerer"
"""deploy_watch, told the same."""
POLL_S = 1.0
REQUEST_TIMEOUT_S = 2.0
TIMEOUT_S = 60.0
TABLES = [name_of(number) for number in (1, 2, 3)]


def sha_of(text: str) -> str:
    """A commit."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Staging(Deployment):
    """The stack, and what `staging` serves."""

    endpoint: VersionEndpoint = field(kw_only=True)

    def settings(
        self, *, timeout_s: float = TIMEOUT_S, how: str = 'json_path = "build.commit"', path: str = ""
    ) -> None:
        """Write the environment's file."""
        (self.config / "environments" / "staging.toml").write_text(
            f'kind = "http"\nurl = "{self.endpoint.uri}{path}"\n{how}\npoll_s = {POLL_S}\ntimeout_s = {timeout_s}\n'
            f"request_timeout_s = {REQUEST_TIMEOUT_S}\n",
            encoding="utf-8",
        )

    def pause(self, dag_id: str, *, is_paused: bool) -> None:
        self.api.patch(f"dags/{dag_id}", {"is_paused": is_paused})

    @contextmanager
    def watching(self, dag_id: str = WATCH) -> Iterator[None]:
        """deploy_watch is on for as long as the block lasts."""
        self.pause(dag_id, is_paused=False)
        try:
            yield
        finally:
            self.pause(dag_id, is_paused=True)
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

    def runs(self, dag_id: str = DAG_ID) -> dict[str, dict[str, Any]]:
        """The newest runs of a DAG by id."""
        found = self.api.get(f"dags/{quote(dag_id)}/dagRuns", limit=100, order_by="-run_after")
        return {run["dag_run_id"]: run for run in found["dag_runs"]}

    def exists(self, run_id: str) -> bool:
        try:
            self.api.run(DAG_ID, run_id)
        except AirflowApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def settle(self, *dag_ids: str) -> None:
        """Wait until nothing of these DAGs goes on."""
        for dag_id in dag_ids or (DAG_ID, WATCH):
            self.until(lambda name=dag_id: True if all(r["end_date"] for r in self.runs(name).values()) else None)

    def gate_state(self, run_id: str, state: str, dag_id: str = DAG_ID) -> None:
        """Wait until the run's gate is in that state."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/deploy_gate"
        self.until(lambda: True if self.api.get(path)["state"] == state else None)

    def log(self, run_id: str, task: str = "deploy_gate", *, dag_id: str = DAG_ID, attempt: int = 1) -> str:
        return str(
            self.api.get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}", full_content=True)
        )


@pytest.fixture(scope="session")
def _staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    folder = tmp_path_factory.mktemp("staging")
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "environments"):
        (config / name).mkdir(parents=True)
    for name in TABLES:
        write_table(config, name, csv_of(ROWS))
    dags = _dags(folder)
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_RETRY_DELAY_S": "1",
        "SLUICEWAY_ENVIRONMENT": "staging",
        # another triggerer takes over soon when one is killed
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    }
    with VersionEndpoint(commit=sha_of("first")) as endpoint:
        (config / "environments" / "staging.toml").write_text(f'kind = "http"\nurl = "{endpoint.uri}/text"\n')
        with (
            Stack.running(folder / "stack", dags=dags, env=env) as stack,
            AirflowApi(stack.url, stack.username, stack.password) as api,
        ):
            staging = Staging(stack, api, config, endpoint=endpoint)
            # nobody triggers it: the watch finds a commit that was never loaded
            first = f"deploy__{sha_of('first')}"
            staging.until(lambda: True if staging.exists(first) else None)
            for watch in (WATCH, SCHEDULED_WATCH):
                staging.pause(watch, is_paused=True)
            assert staging.wait(first) == "success"
            yield staging


def _dags(folder: Path) -> Path:
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    told = 'import os\n\nos.environ["SLUICEWAY_DEPLOY_WATCH"] = "schedule"\nfrom airflow.sdk import'
    for dag_id, copied_id in ((DAG_ID, WITHOUT_TRIGGERER), (WATCH, SCHEDULED_WATCH)):
        copy = (dags / f"{dag_id}.py").read_text(encoding="utf-8").replace("from airflow.sdk import", told, 1)
        copy = copy.replace(f'dag_id="{dag_id}",', f'dag_id="{copied_id}",')
        (dags / f"{copied_id}.py").write_text(copy, encoding="utf-8")
    return dags


@pytest.fixture
def staging(_staging: Staging) -> Iterator[Staging]:
    """The deployment, whose watch is paused and whose endpoint is well."""
    _staging.endpoint.fault = None
    _staging.settings()
    yield _staging
    _staging.endpoint.fault = None
    _staging.settle()
    _staging.restore()
