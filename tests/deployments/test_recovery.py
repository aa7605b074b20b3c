"""The settings that make recovery short: Airflow knows each of them, and every deployment has the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.celery.get_provider_info import get_provider_info
from airflow.sdk.api.client import Client
from tenacity import wait_random_exponential

from dev.cluster import Cluster
from dev.environment import RECOVERY, ROOT, Layout, Ports, airflow
from tests.deployments.files import SCALE, SYSTEMD, compose, recovery, values

VARIABLE = re.compile(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)")


def option(variable: str) -> tuple[str, str]:
    """The section and the name that a variable sets."""
    found = VARIABLE.fullmatch(variable)
    assert found, f"{variable}: AIRFLOW__SECTION__NAME"
    return found[1].lower(), found[2].lower()


def known() -> dict[tuple[str, str], str]:
    """Every option of the Airflow and the Celery provider that are installed, and its type."""
    from airflow import config_templates

    core = yaml.safe_load((Path(config_templates.__path__[0]) / "config.yml").read_text(encoding="utf-8"))
    return {
        (section, name): about["type"]
        for sections in (core, get_provider_info()["config"])
        for section, content in sections.items()
        for name, about in content["options"].items()
    }


def unknown(variables: Mapping[str, str]) -> list[str]:
    options = known()
    return [variable for variable in variables if option(variable) not in options]


def test_airflow_knows_every_setting() -> None:
    assert unknown(recovery()) == []


def test_a_setting_that_does_not_exist_is_found() -> None:
    assert unknown({"AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUTS": "120"}) == ["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUTS"]
    assert unknown({"AIRFLOW__WORKERS__TASK_QUEUED_TIMEOUT": "120"}) == ["AIRFLOW__WORKERS__TASK_QUEUED_TIMEOUT"]


READ = """
import json
from airflow.providers.celery.executors.celery_executor_utils import OPERATION_TIMEOUT
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from airflow.sdk.api import client
from airflow.sdk.execution_time import supervisor
from airflow.utils.net import get_hostname
print(json.dumps({
    "heartbeats": [supervisor.MIN_HEARTBEAT_INTERVAL, supervisor.MAX_FAILED_HEARTBEATS, supervisor.HEARTBEAT_TIMEOUT],
    "api": [client.API_RETRIES, client.API_RETRY_WAIT_MAX],
    "celery": [OPERATION_TIMEOUT, DEFAULT_CELERY_CONFIG["broker_transport_options"]["visibility_timeout"]],
    "host": get_hostname(),
}))
"""


def test_what_reads_a_setting_takes_its_value(tmp_path: Path) -> None:
    """A value of the wrong type, or one that another file overrides, would show only in a log."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW__")}
    env |= recovery() | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CELERY__BROKER_URL": "redis://localhost:6379/0"}
    done = subprocess.run([sys.executable, "-c", READ], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "heartbeats": [1, 150, 90],
        "api": [20, 15.0],
        "celery": [10.0, 86400],
        "host": os.uname().nodename,
    }


def number(name: str) -> float:
    (value,) = [value for variable, value in recovery().items() if option(variable)[1] == name]
    return float(value)


def test_a_task_outlives_an_api_server_that_comes_back_within_the_heartbeats_timeout() -> None:
    """A result is told for longer than that on average, and a waiting heartbeat hears of its return soon enough."""
    wait = Client.request.retry.wait  # type: ignore[attr-defined]
    assert isinstance(wait, wait_random_exponential)
    longest = number("execution_api_retry_wait_max")
    highest = [min(2.0**attempt, longest) for attempt in range(int(number("execution_api_retries")) - 1)]
    assert sum((wait.min + high) / 2 for high in highest) > number("task_instance_heartbeat_timeout")
    assert longest < number("task_instance_heartbeat_timeout") / 4


def test_failed_heartbeats_kill_no_task_before_the_scheduler_gives_it_up() -> None:
    lasting = number("max_failed_heartbeats") * number("min_heartbeat_interval")
    assert lasting > number("task_instance_heartbeat_timeout")


def test_the_image_has_them() -> None:
    instructions = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (block,) = [line for line in instructions.splitlines() if "HEARTBEAT" in line]
    assert dict(word.split("=") for word in block.removeprefix("ENV ").split()) == recovery()


def test_the_local_stack_has_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    cluster = Cluster(tmp_path / "pg", layout.credentials)
    assert airflow(layout, cluster, Ports(1, 2, 3)).items() >= recovery().items()


def overridden(environment: Mapping[str, Any]) -> list[str]:
    return sorted(environment.keys() & recovery().keys())


def test_compose_has_them() -> None:
    services = compose()["services"]
    of_airflow = {name: each for name, each in services.items() if name.startswith("airflow-") or name == "flower"}
    assert len(of_airflow) == 8
    for name, service in of_airflow.items():
        assert service["env_file"] == [RECOVERY.name], name
        assert overridden(service["environment"]) == [], name


def test_helm_has_them() -> None:
    """As variables: the image's own would win over the values' `config`."""
    variables = {each["name"]: each["value"] for each in values()["env"]}
    assert {name: variables.get(name) for name in recovery()} == recovery()
    in_config = {(section, name) for section, options in values()["config"].items() for name in options}
    assert in_config & {option(variable) for variable in recovery()} == set()


def test_systemd_has_them() -> None:
    for unit in SYSTEMD.glob("airflow-*.service"):
        assert f"EnvironmentFile=/opt/sluiceway/deploy/{RECOVERY.name}\n" in unit.read_text(encoding="utf-8"), unit.name
    others = (SYSTEMD / "sluiceway.env").read_text(encoding="utf-8")
    assert [name for name in recovery() if name in others] == []


def test_the_page_names_each_with_its_value() -> None:
    rows = re.findall(r"^\| `\[(\w+)\] (\w+)` \| [^|]+ \| `([^`]+)` \|", SCALE.read_text(encoding="utf-8"), re.M)
    assert {(section, name): value for section, name, value in rows} == {
        option(variable): value for variable, value in recovery().items()
    }
