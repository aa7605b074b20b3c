"""The stack of these tests, with the job of the page and the service that it asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from dev.environment import ROOT
from dev.guard import marked
from dev.stack import Stack
from sluiceway.errors import AirflowApiError
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, Deployment
from tests.integration.jobs import elevation
from tests.stand_ins.web_service import WebService


@pytest.fixture(scope="package")
def service() -> Iterator[WebService]:
    """Who is asked."""
    with elevation.service() as asked:
        yield asked


@pytest.fixture(scope="package")
def deployment(tmp_path_factory: pytest.TempPathFactory, service: WebService) -> Iterator[Deployment]:
    """A running deployment whose first job is switched on."""
    folder = tmp_path_factory.mktemp("jobs")
    let_through(folder)
    config = folder / "config"
    (config / "tables").mkdir(parents=True)
    elevation.declare(config)
    elevation.declare_other(config)
    dags = folder / "dags"
    dags.mkdir()
    for name in ("jobs.py", "run_watch.py"):
        shutil.copy(ROOT / "dags" / name, dags)
    env = {"SLUICEWAY_CONFIG_DIR": str(config), **CALM}
    with (
        Stack.running(
            folder / "stack", dags=dags, env=env | {"AIRFLOW_CONN_ELEVATION": service.uri}, postgres=THROWN_AWAY
        ) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, config)) as running,
    ):
        running.until(lambda: switched_on(api, elevation.JOB))
        yield running
    assert marked(stack.env["SLUICEWAY_STACK"]) == []


def switched_on(api: AirflowApi, dag_id: str) -> bool | None:
    """A job's DAG is paused when it is new; None while Airflow does not know it yet."""
    try:
        api.patch(f"dags/{dag_id}", {"is_paused": False})
    except AirflowApiError:
        return None
    return True
