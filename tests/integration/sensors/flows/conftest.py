"""The flows, and real servers for what they watch."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.integration.deployment import ROWS, csv_of, write_table
from tests.integration.sensors.deploy.staging import Staging
from tests.integration.sensors.flows.landing import BUCKET, FLOW_FILES, TABLE, Landing, flows_of
from tests.integration.sensors.flows.watched import START
from tests.redis_server import redis_server
from tests.stand_ins.google_account import extra_of, new_key, public_key_of
from tests.stand_ins.google_storage import GoogleStorage
from tests.stand_ins.version_endpoint import VersionEndpoint


@contextmanager
def s3_server() -> Iterator[tuple[Any, str]]:
    """moto's S3 with an empty bucket, and its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    s3 = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )
    s3.create_bucket(Bucket=BUCKET)
    yield s3, address
    server.stop()


@pytest.fixture(scope="package")
def landing(running: Staging, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landing]:
    """The deployment."""
    place = tmp_path_factory.mktemp("place")
    for name in ("folder", "each", "many", "killed", "first", "second", "third", "polled", "timed", "renamed"):
        (place / name).mkdir(parents=True)
    (place / "killed.txt").touch()
    key = new_key()
    with (
        s3_server() as (s3, s3_address),
        GoogleStorage(buckets={BUCKET}, private=True, public_key=public_key_of(key)) as google,
        VersionEndpoint(commit="0" * 40) as service,
        VersionEndpoint(commit="0" * 40) as other_service,
        redis_server(place) as (redis, redis_port),
    ):
        s3_at = {"endpoint_url": s3_address, "region_name": "us-east-1"}
        connections: tuple[dict[str, Any], ...] = (
            {"connection_id": "landing", "conn_type": "aws", "login": "key", "password": "secret", "extra": s3_at},
            {"connection_id": "google", "conn_type": "google_cloud_platform", "extra": extra_of(google, key)},
            {"connection_id": "messages", "conn_type": "redis", "host": "127.0.0.1", "port": redis_port},
        )
        for connection in connections:
            running.api.post("connections", connection | {"extra": json.dumps(connection.get("extra", {}))})
        servers = {"s3": s3, "google": google, "redis": redis, "service": service, "other_service": other_service}
        found = Landing(running.stack, running.api, running.config, place=place, **servers)
        found.query("CREATE TABLE order_line (id int PRIMARY KEY, created_at timestamptz)")
        found.query("CREATE INDEX ON order_line (created_at)")
        found.query(f"CREATE TABLE tick AS SELECT timestamptz '{START}' AS at")
        for name, asked in (("shop", service), ("production", other_service)):
            environment = f'kind = "http"\nurl = "{asked.uri}/text"\n'
            (running.config / "environments" / f"{name}.toml").write_text(environment, encoding="utf-8")
        write_table(running.config, TABLE, csv_of(ROWS))
        for name, text in flows_of(place, service.uri, other_service.uri).items():
            (running.config / "flows" / f"{name}.toml").write_text(text, encoding="utf-8")
        found.touch(*FLOW_FILES)
        with closing(found):
            yield found
