"""The stack of these tests: it stops after the last of them, for idle ones take the processors from the others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from dev.docs.page import DOCS
from dev.environment import ROOT
from dev.guard import marked
from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi
from tests.conftest import THROWN_AWAY, let_through
from tests.dev.docs.markdown import blocks
from tests.integration.deployment import CALM, DAG_ID, ROWS, Deployment, csv_of, name_of, write_table
from tests.integration.master.histories import declare

HURRIED_DAG_ID = "hurried_etl"
"""The same DAG with a time limit of 8 s."""
WRONG = "wrong.py"
"""A DAG file that cannot be imported, beside one that makes no DAG: neither hinders the others."""
TABLES = 20
FOLLOWERS = ("city_map", "city_page", "catalogue")
"""The DAGs of docs/how-to/follow.md, of this warehouse's table and view; paused, until a test is about them."""


@pytest.fixture(scope="package")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("integration")
    let_through(folder)
    config = folder / "config"
    (config / "tables").mkdir(parents=True)
    (config / "sql").mkdir()
    for number in range(1, TABLES + 1):
        write_table(config, name_of(number), csv_of(ROWS))
    (config / "sql" / "published.sql").write_text(
        "-- description: What the web service reads\n-- tables: t01\nSELECT id, value FROM t01\n", encoding="utf-8"
    )
    declare(config)
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    master = (dags / f"{DAG_ID}.py").read_text(encoding="utf-8")
    hurried = master.replace(DAG_ID, HURRIED_DAG_ID).replace("timedelta(hours=6)", "timedelta(seconds=8)")
    (dags / f"{HURRIED_DAG_ID}.py").write_text(hurried, encoding="utf-8")
    for block in blocks(DOCS / "how-to" / "follow.md"):
        _, name, text = block.text.split(maxsplit=2)
        text = text.replace("/city_by_country", "/published").replace("/city", "/t01")
        (dags / name).write_text(text.replace(", schedule=", ", is_paused_upon_creation=True, schedule="))
    (dags / "none.py").write_text("from airflow.sdk import DAG\n")
    (dags / WRONG).write_text('from airflow.sdk import DAG\n\nraise RuntimeError("wrong")\n')
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        # a task that is cleared in the moment in which it ends is begun again when its heartbeat is this old
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        **CALM,
    }
    with (
        # a run that is deleted while it is scheduled can end Airflow's scheduler
        Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY, restarts=True) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, config)) as deployment,
    ):
        yield deployment
    assert marked(stack.env["SLUICEWAY_STACK"]) == []


@pytest.fixture
def deployment(_running: Deployment) -> Iterator[Deployment]:
    """The running deployment; sources a test edited are restored after it."""
    yield _running
    _running.restore()
