"""A real Airflow whose environment `staging` is a version endpoint, and what can befall it while somebody looks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql

from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, DAG_ID, ROWS, csv_of, name_of, write_table
from tests.integration.sensors.deploy.staging import Staging as Deploys
from tests.integration.sensors.deploy.staging import sha_of
from tests.stand_ins.version_endpoint import VersionEndpoint

PROMISED = "t03"
"""The table whose file promises something."""
TABLES = 3
ALL_BUT_API = ("scheduler", "triggerer", "dag-processor")


class Staging(Deploys):
    """The stack, what `staging` serves, and how it is ill-treated."""

    def in_step(self) -> str:
        """Have the data belong to the deployed commit; a run only where it does not yet."""
        held = self.query("SELECT count(*) FROM etl.freshness WHERE green_commit_sha = commit_sha")
        commits = self.query("SELECT DISTINCT commit_sha FROM etl.freshness")
        if held == [(3,)] and commits == [(self.endpoint.commit,)]:
            return self.endpoint.commit
        commit = self.deploy(f"{len(self.runs())} runs before it")
        assert self.wait(self.enqueue(commit)) == "success"
        return commit

    def queued(self, run_id: str) -> None:
        """Wait until a run waits in Airflow's queue."""
        self.until(lambda: True if self.runs().get(run_id, {}).get("state") == "queued" else None)

    def forget(self, run_id: str) -> None:
        """Delete a run that has not begun."""
        self.api.delete(f"dags/{DAG_ID}/dagRuns/{run_id}")

    @contextmanager
    def stopped(self, *components: str) -> Iterator[None]:
        """These do not go on for as long as the block lasts."""
        pids = json.loads(self.stack.layout.pids.read_text(encoding="utf-8"))
        for name in components:
            os.kill(int(pids[name]), signal.SIGSTOP)
        try:
            yield
        finally:
            for name in components:
                os.kill(int(pids[name]), signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The master DAG is."""
        self.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
        try:
            yield
        finally:
            self.api.patch(f"dags/{DAG_ID}", {"is_paused": False})

    @contextmanager
    def hours_later(self, hours: int) -> Iterator[None]:
        """All that the ledger knows of loads and deploys is so much older for as long as the block lasts."""
        self._shift(-hours)
        try:
            yield
        finally:
            self._shift(hours)

    def _shift(self, hours: int) -> None:
        # as the owner: who loads may not rewrite what has been
        with psycopg.connect(self.stack.owner_url) as owner:
            shift = sql.SQL("{0} = {0} + {1} * interval '1 hour'")
            for table, columns in (
                ("table_run", ["finished_at"]),
                ("deployment", ["other_seen_at", "first_seen_at", "last_seen_at"]),
            ):
                changes = sql.SQL(", ").join(
                    shift.format(sql.Identifier(column), sql.Literal(hours)) for column in columns
                )
                owner.execute(sql.SQL("UPDATE etl.{} SET {}").format(sql.Identifier(table), changes))

    @contextmanager
    def in_trouble(self) -> Iterator[None]:
        """A sensor of the master's fails, and a job of its name has dead letters, for as long as the block lasts."""
        with psycopg.connect(self.stack.owner_url, autocommit=True) as owner:
            owner.execute(
                "INSERT INTO etl.trigger_state (flow_id, trigger_id, error, error_at) "
                "VALUES (%s, 'new_file', 'EndpointUnavailableError: no such host', now())",
                [DAG_ID],
            )
            owner.execute(
                "INSERT INTO etl_jobs.item (job, item, state, last_error) VALUES (%s, 'x', 'dead', 'unheard of')",
                [DAG_ID],
            )
            try:
                yield
            finally:
                owner.execute("DELETE FROM etl.trigger_state WHERE trigger_id = 'new_file'")
                owner.execute("DELETE FROM etl_jobs.item WHERE job = %s", [DAG_ID])

    @contextmanager
    def ledger_down(self) -> Iterator[None]:
        """The warehouse lets nobody in for as long as the block lasts; Airflow's database beside it does."""
        place = urlsplit(self.stack.warehouse_url)
        password = quote(self.stack.layout.credentials.password("postgres"), safe="")
        name = place.path.removeprefix("/")
        self.close()
        for attribute in ("_warehouse", "_metadata"):
            self.__dict__.pop(attribute, None)
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        url = f"postgresql://postgres:{password}@{place.hostname}:{place.port}/postgres"
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                server.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


@contextmanager
def started(folder: Path) -> Iterator[Staging]:
    """An Airflow with three tables, one of which promises to be two hours old at most."""
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "flows", "environments"):
        (config / name).mkdir(parents=True)
    for number in range(1, TABLES + 1):
        write_table(config, name_of(number), csv_of(ROWS))
    promised = config / "tables" / f"{PROMISED}.toml"
    promised.write_text(f'fresh_within = "2h"\n{promised.read_text(encoding="utf-8")}', encoding="utf-8")
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_ENVIRONMENT": "staging",
        # a deploy's run is begun by the tests alone
        "SLUICEWAY_DEPLOY_WATCH": "off",
        **CALM,
    }
    with (
        VersionEndpoint(commit=sha_of("first")) as endpoint,
        Stack.running(folder / "stack", env=env, postgres=THROWN_AWAY) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Staging(stack, api, config, endpoint=endpoint)) as staging,
    ):
        staging.settings()
        yield staging
