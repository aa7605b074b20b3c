"""deploy/helm/values.yaml: what the chart's own schema allows, and what this project needs of it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from dev.environment import ROOT
from tests.deployments.files import VALUES, pools, values

SCHEMA = ROOT / ".local" / "chart" / "airflow" / "values.schema.json"
"""The chart is fetched and not kept here: its schema has 800,000 characters."""
FETCH = "helm pull airflow --repo https://airflow.apache.org --version 1.22.0 --untar --untardir .local/chart"


@pytest.fixture
def schema() -> Draft7Validator:
    if not SCHEMA.exists():
        pytest.skip(f"the chart is not there; to check the values by its schema: {FETCH}")
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def wrong(schema: Draft7Validator, given: dict[str, Any]) -> list[str]:
    return [error.json_path for error in schema.iter_errors(given)]


def test_the_values_fit_the_charts_schema(schema: Draft7Validator) -> None:
    assert wrong(schema, values()) == []


def test_a_value_that_the_chart_does_not_know_is_found(schema: Draft7Validator) -> None:
    given = copy.deepcopy(values())
    given["scheduler"]["replica"] = 2
    given["workers"]["celery"]["terminationGracePeriodSeconds"] = "1h"
    assert set(wrong(schema, given)) == {"$.scheduler", "$.workers.celery.terminationGracePeriodSeconds"}


def test_two_of_each_that_recovery_needs() -> None:
    assert {name: values()[name]["replicas"] for name in ("scheduler", "apiServer", "triggerer")} == {
        "scheduler": 2,
        "apiServer": 2,
        "triggerer": 2,
    }
    assert values()["workers"]["celery"]["keda"]["minReplicaCount"] >= 2


def test_the_values_are_those_of_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"FROM apache/airflow:{values()['airflowVersion']}-" in dockerfile


def test_the_migration_comes_before_new_pods_and_makes_the_pools() -> None:
    job = values()["migrateDatabaseJob"]
    assert "pre-upgrade" in job["jobAnnotations"]["helm.sh/hook"]
    assert not job["useHelmHooks"]  # the chart would set its own hook over ours
    script = job["args"][-1]
    assert script.index("ledger migrate") < script.index("airflow db migrate") < script.index("pools set")
    assert dict(re.findall(r"airflow pools set (\w+) (\d+)", script)) == {
        name: str(slots) for name, slots in pools().items()
    }


def test_no_user_and_no_database_come_with_a_default_password() -> None:
    given = values()
    assert given["createUserJob"]["enabled"] is False
    assert given["postgresql"]["enabled"] is False
    assert {"metadataSecretName", "brokerUrlSecretName"} == given["data"].keys()
    assert {"fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName"} < given.keys()
    assert "passwordSecretName" in given["redis"]


def test_each_secret_of_the_values_is_told_on_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text(encoding="utf-8")
    created = set(re.findall(r"create secret generic (\S+)", page))
    assert set(re.findall(r"sluiceway-[a-z]+", VALUES.read_text(encoding="utf-8"))) == created


def test_a_worker_set_of_the_comment_is_yaml() -> None:
    (example,) = re.findall(r"(?m)^ +# heavy tables .*: - (\{.*\})$", VALUES.read_text(encoding="utf-8"))
    assert yaml.safe_load(example)["queue"] == "heavy"
