"""A stack whose tasks run on Celery: a real Redis, and workers that play machines of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dev import workers
from dev.environment import ROOT
from dev.guard import marked
from dev.stack import Stack
from dev.workers import Worker
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, DAG_ID, ROWS, Deployment, csv_of, name_of, write_table
from tests.load.fields import field_toml, write_fields

TABLES = 9
HEAVY = "t08"
"""On a queue of its own."""
GREEDY = "t09"
"""Of a group that no deployment runs until a test says so: its load wants more memory than it may have."""
WHOLE, PARTED = "field", "parted"
"""Of one and the same file: loaded in one, and in parts."""
FIELDS = int(os.environ.get("FIELDS", "60000"))
"""How many the file has of which both are made; California has 450,000."""
PART = FIELDS // 4
SLOW = """
import time

def transform(batch):
    time.sleep({seconds})
    return batch
"""
HUNGRY = """
def transform(batch):
    held = [b"x" * (32 << 20) for _ in range(64)]
    return batch.head(len(held) * 1000)
"""
FLEET = [*workers.several(3, slots=1), Worker("worker-heavy", 1, ("heavy",))]


@pytest.fixture(scope="package")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("workers")
    let_through(folder)
    config = folder / "config"
    for below in ("tables", "sql", "transforms"):
        (config / below).mkdir(parents=True)
    for number in range(1, TABLES + 1):
        name = name_of(number)
        write_table(config, name, csv_of(ROWS))
        (config / "transforms" / f"{name}.py").write_text(SLOW.format(seconds=1), encoding="utf-8")
    declare(config, HEAVY, 'queue = "heavy"\n')
    declare(config, GREEDY, 'group = "greedy"\nmemory = "512MiB"\n')
    (config / "transforms" / f"{GREEDY}.py").write_text(HUNGRY, encoding="utf-8")
    fields = write_fields(folder / "fields", FIELDS)
    for name, top in ((WHOLE, ""), (PARTED, f'split = "rows:{PART}"')):
        (config / "tables" / f"{name}.toml").write_text(field_toml(fields, top=top), encoding="utf-8")
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "dags" / f"{DAG_ID}.py", dags)
    env = {
        **CALM,
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse,greedy",
        # a lost worker's tasks are begun again after 90 s and 10 s elsewhere
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    }
    with (
        Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY, workers=FLEET) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, config)) as deployment,
    ):
        yield deployment
    assert marked(stack.env["SLUICEWAY_STACK"]) == []


@pytest.fixture
def deployment(_running: Deployment) -> Iterator[Deployment]:
    """The running deployment, with the workers that it began with."""
    yield _running
    workers.change(lambda _: FLEET, _running.stack)


def declare(config: Path, name: str, lines: str) -> None:
    """Put keys before those that a table's file has."""
    path = config / "tables" / f"{name}.toml"
    path.write_text(lines + path.read_text(encoding="utf-8"), encoding="utf-8")
