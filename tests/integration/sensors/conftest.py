"""The one Airflow of all that is watched: it stops after the last of its tests, for idle ones take the processors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, DAG_ID, ROWS, csv_of, name_of, write_table
from tests.integration.sensors.deploy.staging import (
    SCHEDULED_WATCH,
    WATCH,
    WITHOUT_TRIGGERER,
    Staging,
    sha_of,
)
from tests.integration.sensors.flows.landing import LIGHT
from tests.integration.sensors.triggerers import Triggerers, own_triggerers
from tests.stand_ins.github import TOKEN, GitHub
from tests.stand_ins.version_endpoint import VersionEndpoint


@pytest.fixture(scope="package")
def hub() -> Iterator[GitHub]:
    """What stands for GitHub; the connection `github` leads there."""
    with GitHub() as stand_in:
        yield stand_in


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory, hub: GitHub) -> Iterator[Staging]:
    """An Airflow whose environment `staging` is a version endpoint, and that has no flows yet."""
    folder = tmp_path_factory.mktemp("sensors")
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "flows", "environments"):
        (config / name).mkdir(parents=True)
    write_table(config, name_of(1), csv_of(ROWS))
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_ENVIRONMENT": "staging",
        "AIRFLOW_CONN_GITHUB": json.dumps({"conn_type": "http", "host": hub.uri, "password": TOKEN}),
        **CALM,
        # another triggerer takes over soon when one is killed
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    }
    with VersionEndpoint(commit=sha_of("first")) as endpoint:
        (config / "environments" / "staging.toml").write_text(f'kind = "http"\nurl = "{endpoint.uri}/text"\n')
        with (
            Stack.running(folder / "stack", dags=_dags(folder), env=env, postgres=THROWN_AWAY) as stack,
            AirflowApi(stack.url, stack.username, stack.password) as api,
            closing(Staging(stack, api, config, endpoint=endpoint)) as staging,
        ):
            yield staging


@pytest.fixture(scope="package")
def triggerers(running: Staging) -> Iterator[Triggerers]:
    """Those that tests may kill."""
    with own_triggerers(running.stack) as found:
        yield found


def _dags(folder: Path) -> Path:
    """The product's, two of them once more for a place without a triggerer, and light ones for flows."""
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    (dags / "light.py").write_text(LIGHT, encoding="utf-8")
    told = 'import os\n\nos.environ["SLUICEWAY_DEPLOY_WATCH"] = "schedule"\nfrom airflow.sdk import'
    for dag_id, copied_id in ((DAG_ID, WITHOUT_TRIGGERER), (WATCH, SCHEDULED_WATCH)):
        copy = (dags / f"{dag_id}.py").read_text(encoding="utf-8").replace("from airflow.sdk import", told, 1)
        copy = copy.replace(f'dag_id="{dag_id}",', f'dag_id="{copied_id}",')
        (dags / f"{copied_id}.py").write_text(copy, encoding="utf-8")
    return dags
