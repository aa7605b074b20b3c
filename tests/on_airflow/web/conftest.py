from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from tests.on_airflow.web.door import FLOWS, HOOK_DAGS, SECRET, SECRET_BEFORE, STANDARD, STANDARD_BEFORE, Door
from tests.warehouses import Warehouses

ROOT = Path(__file__).parents[3]
PASSWORDS = {"reader": "reads", "stranger": "knocks", "starter": "starts"}
START_SECONDS = 180
PATIENT_S = 60.0
"""For an answer: Airflow imports much at a first question, and makes `/openapi.json` only then."""
DAGS = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param
for flow_id in ("orders", "closed", "twice", "plain", "asleep", "strict"):
    params = {"count": Param(1, type="integer")} if flow_id == "strict" else None
    with DAG(flow_id, schedule=None, params=params, is_paused_upon_creation=flow_id == "asleep") as dag:
        globals()[flow_id] = dag
with DAG("stock", schedule=None):
    EmptyOperator(task_id="count")
"""
TABLE_DAGS = """
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task
for dag_id in ("master_etl", "shop"):
    with DAG(dag_id, schedule=None):
        opened, plan = EmptyOperator(task_id="opened"), EmptyOperator(task_id="plan")
        with TaskGroup("sub") as sub:
            @task
            def load_table(table): ...
            load = load_table.expand(table=["a", "b"])
        with TaskGroup("final") as final:
            aggregate = EmptyOperator(task_id="aggregate")
        verdict = EmptyOperator(task_id="verdict")
        verdict.as_teardown(setups=opened, on_failure_fail_dagrun=True)
        opened >> plan >> load >> aggregate >> verdict
"""


@pytest.fixture(scope="package")
def reports_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the API server looks for reports."""
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="package")
def door(
    tmp_path_factory: pytest.TempPathFactory, postgres: Cluster, warehouses: Warehouses, reports_dir: Path
) -> Iterator[Door]:
    """An API server with the plugin and with DAGs that no scheduler runs.

    `reader` may read DAG runs, `starter` start them, `stranger` neither.
    """
    home = tmp_path_factory.mktemp("airflow")
    (home / "config" / "flows").mkdir(parents=True)
    for name, flow in FLOWS.items():
        (home / "config" / "flows" / f"{name}.toml").write_text(flow, encoding="utf-8")
    (home / "dags").mkdir()
    (home / "dags" / "flows.py").write_text(DAGS, encoding="utf-8")
    (home / "dags" / "hooks.py").write_text(HOOK_DAGS, encoding="utf-8")
    (home / "dags" / "tables.py").write_text(TABLE_DAGS, encoding="utf-8")
    with warehouses.lend() as database, metadata_database(postgres) as metadata:
        warehouse = postgres.url("sluiceway_loader", database)
        variables = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW_CONN_WAREHOUSE": warehouse.replace("postgresql:", "postgres:"),
            "AIRFLOW_CONN_HOOK_SECRET": json.dumps({"conn_type": "http", "password": SECRET}),
            "AIRFLOW_CONN_HOOK_BEFORE": json.dumps({"conn_type": "http", "password": SECRET_BEFORE}),
            "AIRFLOW_CONN_HOOK_STANDARD": json.dumps({"conn_type": "http", "password": STANDARD}),
            "AIRFLOW_CONN_HOOK_STANDARD_BEFORE": json.dumps({"conn_type": "http", "password": STANDARD_BEFORE}),
            "AIRFLOW_CONN_HOOK_UNSET": json.dumps({"conn_type": "http"}),
            "SLUICEWAY_CONFIG_DIR": str(home / "config"),
            "SLUICEWAY_REPORTS_DIR": str(reports_dir),
        }
        with serving(home, metadata, "prepare", **variables) as url:
            yield Door(home, url, variables, metadata, lambda role: postgres.url(role, database))


@pytest.fixture(scope="package")
def server(door: Door) -> str:
    """Its URL."""
    return door.url


@pytest.fixture(scope="package")
def without_ledger(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an API server beside it, of the same Airflow, whose warehouse nobody answers for."""
    variables = {**door.variables, "AIRFLOW_CONN_WAREHOUSE": "postgres://sluiceway_loader@127.0.0.1:1/none"}
    with serving(tmp_path_factory.mktemp("without-ledger"), door.metadata_url, **variables) as url:
        yield url


@contextmanager
def metadata_database(postgres: Cluster) -> Iterator[str]:
    """URL of an empty database for Airflow: SQLite lets one request write at a time, and the others time out."""
    name = f"airflow_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER airflow").format(sql.Identifier(name)))
        yield postgres.url("airflow", name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def serving(home: Path, metadata: str, *arguments: str, **variables: str) -> Iterator[str]:
    """URL of an API server with its log in `home`.

    :param metadata: postgresql:// URL of Airflow's database.
    :param arguments: of serve.py, after the port.
    """
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "SLUICEWAY_"))} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "reader:viewer,stranger:,starter:user",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata.replace("postgresql:", "postgresql+psycopg2:"),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, long enough for HS512, worth nothing to anybody 1234",
        "PYTHONPATH": str(ROOT / "include"),
        "SLUICEWAY_ENV_FILE": str(home / "none.env"),
        **variables,
    }
    log = home / f"server-{port}.log"
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve.py")), str(port), *arguments],
            env=env,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/api/v2/version", timeout=5).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"The API server did not start:\n{log.read_text()}")


def logged_in(server: str, user: str) -> Iterator[httpx.Client]:
    password = PASSWORDS.get(user, user)
    answer = httpx.post(f"{server}/auth/token", json={"username": user, "password": password}, timeout=PATIENT_S)
    token = answer.raise_for_status().json()["access_token"]
    session = {"_token": token}
    with httpx.Client(base_url=server, cookies=session, headers={"Accept": "text/html"}, timeout=PATIENT_S) as client:
        yield client


@pytest.fixture(scope="package")
def fab(
    tmp_path_factory: pytest.TempPathFactory, postgres: Cluster, warehouses: Warehouses, reports_dir: Path
) -> Iterator[Door]:
    """An API server whose users FAB manages: serve.py has who may read the runs of which DAG."""
    home = tmp_path_factory.mktemp("airflow-fab")
    (home / "config").mkdir()
    (home / "dags").mkdir()
    (home / "dags" / "tables.py").write_text(TABLE_DAGS, encoding="utf-8")
    with warehouses.lend() as database, metadata_database(postgres) as metadata:
        warehouse = postgres.url("sluiceway_loader", database)
        variables = {
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW_CONN_WAREHOUSE": warehouse.replace("postgresql:", "postgres:"),
            "SLUICEWAY_CONFIG_DIR": str(home / "config"),
            "SLUICEWAY_REPORTS_DIR": str(reports_dir),
        }
        with serving(home, metadata, "prepare", "users", **variables) as url:
            yield Door(home, url, variables, metadata, lambda role: postgres.url(role, database))


@pytest.fixture
def reader(server: str) -> Iterator[httpx.Client]:
    """A browser of a user who may read DAG runs."""
    yield from logged_in(server, "reader")


@pytest.fixture
def starter(server: str) -> Iterator[httpx.Client]:
    """A browser of a user who may start runs, and mark and clear their tasks."""
    yield from logged_in(server, "starter")


@pytest.fixture
def stranger(server: str) -> Iterator[httpx.Client]:
    """A browser of a user without a role."""
    yield from logged_in(server, "stranger")
