"""One run of master_etl with three tables in BigQuery and the same three in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.ledger.rejects import rejects_of
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, Deployment
from tests.load.bigquery.tables import TABLES
from tests.stand_ins.bigquery import BigQuery

OWN = {"run_id", "table_name", "seconds", "peak_rss_bytes", "finished_at", "published_at", "spec_hash", "worker"}


def declare(config: Path) -> None:
    """Each table twice: `city` in BigQuery, `city_here` in PostgreSQL."""
    (config / "tables").mkdir(parents=True)
    (config / "sql").mkdir()
    for name, (toml, source, _) in TABLES.items():
        (config / "tables" / f"{name}.csv").write_text(source, encoding="utf-8")
        (config / "tables" / f"{name}.toml").write_text(f'target = "bigquery"\n{toml}', encoding="utf-8")
        (config / "tables" / f"{name}_here.toml").write_text(toml, encoding="utf-8")


@pytest.fixture(scope="module")
def dataset() -> Iterator[BigQuery]:
    with BigQuery() as service:
        yield service


@pytest.fixture(scope="module")
def deployment(dataset: BigQuery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("bigquery")
    let_through(folder)
    declare(folder / "config")
    connection = {"conn_type": "google_cloud_platform", "extra": {"rest_endpoint": dataset.uri}}
    env = {
        "SLUICEWAY_CONFIG_DIR": str(folder / "config"),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_BIGQUERY_DATASET": "own.warehouse",
        "SLUICEWAY_BIGQUERY_CONNECTION": "bigquery",
        "AIRFLOW_CONN_BIGQUERY": json.dumps(connection),
        **CALM,
    }
    with (
        Stack.running(folder / "stack", dags=ROOT / "dags", env=env, postgres=THROWN_AWAY) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, folder / "config")) as running,
    ):
        yield running


def test_a_run_is_green_and_its_ledger_is_that_of_postgresql(deployment: Deployment, dataset: BigQuery) -> None:
    run_id = deployment.run()
    run, tables = deployment.ledger(run_id)
    assert deployment.state(run_id) == "success", deployment.shown(run_id)
    assert run.status == "success"
    with connect(deployment.stack.warehouse_url) as session:
        for name in TABLES:
            there, here = tables[name], tables[f"{name}_here"]
            assert there.status == "loaded"
            assert there.model_dump(exclude=OWN) == here.model_dump(exclude=OWN)
            assert rejects_of(session, there) == rejects_of(session, here)
            assert len(dataset.rows(name)) == there.table_rows
    assert dataset.left_over == []
    again, _ = deployment.ledger(deployment.run())
    assert again.status == "success"


def test_a_row_that_is_gone_from_bigquery_is_seen_before_anything_is_published(
    deployment: Deployment, dataset: BigQuery
) -> None:
    run_id = deployment.run(force=True)
    dataset.tables["own.warehouse.city"].rows.pop()
    deployment.clear(run_id, "final.validate", downstream=True)
    deployment.until(lambda: True if deployment.tasks(run_id)["final.validate"]["state"] == "failed" else None)
    deployment.wait(run_id)
    run, _ = deployment.ledger(run_id)
    assert run.status == "failed"
