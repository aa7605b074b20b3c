"""The stack of these tests: it stops after the last of them, for idle ones take the processors from the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deploy.staging import SCHEDULED_WATCH, TABLES, WATCH, WITHOUT_TRIGGERER, Staging, sha_of
from tests.integration.deployment import CALM, DAG_ID, ROWS, csv_of, write_table
from tests.stand_ins.version_endpoint import VersionEndpoint


@pytest.fixture(scope="package")
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
        **CALM,
        "SLUICEWAY_ENVIRONMENT": "staging",
        # another triggerer takes over soon when one is killed
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    }
    with VersionEndpoint(commit=sha_of("first")) as endpoint:
        (config / "environments" / "staging.toml").write_text(f'kind = "http"\nurl = "{endpoint.uri}/text"\n')
        with (
            Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY) as stack,
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
