"""Who is told by a real Airflow: by the end of a run, by freshness_watch, and by the deadline of a run that waits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi
from tests.alerts.sinks import SECRET, Arrived, HttpSink
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, DAG_ID, ROWS, Deployment, csv_of, name_of, write_table

WATCH = "freshness_watch"
TABLE = name_of(1)
START_WITHIN_S = 8
ALERTS = """\
[alerts.team]
connection = "on_call"
tell_of = ["red", "stale", "blind", "dead_letters"]

[alerts.operator]
connection = "starts"
tell_of = ["waiting"]
"""
"""A machine that is busy may be slow to begin any run: that is told elsewhere."""

DEADLINE = """
    SELECT deadline_time FROM deadline WHERE NOT missed
    AND dagrun_id = (SELECT id FROM dag_run WHERE dag_id = 'master_etl' AND run_id = %s)
"""
POSTPONED = """
    UPDATE deadline SET deadline_time = deadline_time + interval '1 h'
    WHERE dagrun_id = (SELECT id FROM dag_run WHERE dag_id = 'master_etl' AND run_id = %s) RETURNING id
"""


@pytest.fixture(scope="module")
def sink() -> Iterator[HttpSink]:
    with HttpSink() as running:
        yield running


@pytest.fixture(scope="module")
def starts() -> Iterator[HttpSink]:
    """Where it is told that a run does not begin."""
    with HttpSink() as running:
        yield running


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, sink: HttpSink, starts: HttpSink) -> Iterator[Deployment]:
    """An Airflow whose alerts arrive at the sinks; freshness_watch is paused."""
    folder = tmp_path_factory.mktemp("alerts")
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "flows"):
        (config / name).mkdir(parents=True)
    write_table(config, TABLE, csv_of(ROWS))
    (config / "alerts.toml").write_text(ALERTS, encoding="utf-8")
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_FRESHNESS_WATCH_S": "3",
        "SLUICEWAY_START_WITHIN_S": str(START_WITHIN_S),
        "AIRFLOW_CONN_ON_CALL": connection_to(sink),
        "AIRFLOW_CONN_STARTS": connection_to(starts),
        **CALM,
    }
    with (
        Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, config)) as running,
    ):
        api.patch(f"dags/{WATCH}", {"is_paused": True})
        yield running


def connection_to(sink: HttpSink) -> str:
    return json.dumps({"conn_type": "apprise", "extra": {"config": {"path": sink.address}}})


@contextmanager
def watching(deployment: Deployment) -> Iterator[None]:
    """freshness_watch looks for as long as the block lasts."""
    deployment.api.patch(f"dags/{WATCH}", {"is_paused": False})
    try:
        yield
    finally:
        deployment.api.patch(f"dags/{WATCH}", {"is_paused": True})


def arrives(deployment: Deployment, sink: HttpSink, known: int) -> Arrived:
    """The message that comes after so many."""
    return deployment.until(lambda: sink.arrived()[known] if len(sink.arrived()) > known else None)


def looked_again(deployment: Deployment) -> Callable[[], bool | None]:
    """Whether freshness_watch has looked twice since: once at least from its beginning on."""
    ended = "SELECT count(*) AS ended FROM dag_run WHERE dag_id = %s AND state = 'success'"
    before = deployment.metadata(ended, WATCH)[0]["ended"]
    return lambda: True if deployment.metadata(ended, WATCH)[0]["ended"] >= before + 2 else None


def logs(deployment: Deployment) -> Iterator[Path]:
    """Every log that Airflow has written."""
    return (path for path in deployment.config.parent.rglob("*.log") if path.is_file())


def test_a_red_run_tells_once_and_its_green_successor_tells_the_recovery(
    deployment: Deployment, sink: HttpSink
) -> None:
    deployment.source(TABLE, "id,value\n")
    first = deployment.trigger()
    assert deployment.wait(first) == "failed"
    message = arrives(deployment, sink, 0)
    assert message.subject == f"{DAG_ID} is red ({TABLE})"
    assert f"Run: {deployment.stack.url}/sluiceway/runs/{DAG_ID}/{first}" in message.body
    assert deployment.wait(deployment.trigger()) == "failed"
    with watching(deployment):
        deployment.until(looked_again(deployment))
    assert len(sink.arrived()) == 1

    deployment.source(TABLE, csv_of(ROWS, value="w"))
    assert deployment.wait(deployment.trigger()) == "success"
    assert arrives(deployment, sink, 1).subject == f"recovered: {DAG_ID} is red ({TABLE})"


def test_freshness_watch_tells_of_a_promise_that_breaks_without_a_run(deployment: Deployment, sink: HttpSink) -> None:
    deployment.restore()
    assert deployment.wait(deployment.trigger()) == "success"
    known = len(sink.arrived())
    path = deployment.config / "tables" / f"{TABLE}.toml"
    right = path.read_text(encoding="utf-8")
    path.write_text(f'fresh_within = "2s"\n{right}', encoding="utf-8")
    with watching(deployment):
        message = arrives(deployment, sink, known)
        deployment.until(looked_again(deployment))
        assert message.subject == f"{TABLE} is stale"
        assert f"no run of {DAG_ID} has come in time" in message.body
        assert len(sink.arrived()) == known + 1
        path.write_text(right, encoding="utf-8")
        assert arrives(deployment, sink, known + 1).subject == f"recovered: {TABLE} is stale"


def test_a_deadline_tells_of_a_run_that_never_begins(deployment: Deployment, starts: HttpSink) -> None:
    deployment.restore()
    with watching(deployment):
        # what was slow to begin before has recovered: one that does not begin now is another incident
        deployment.until(looked_again(deployment))
    known = len(starts.arrived())
    deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
    try:
        run_id = deployment.trigger()
        message = arrives(deployment, starts, known)
    finally:
        deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": False})
    assert message.subject == f"{DAG_ID} does not begin"
    assert f"{DAG_ID}/{run_id} waits in Airflow's queue" in message.body
    assert deployment.wait(run_id) == "success"
    assert arrives(deployment, starts, known + 1).subject == f"recovered: {DAG_ID} does not begin"
    assert len(starts.arrived()) == known + 2


def test_a_run_whose_deadline_has_not_passed_can_be_cleared(deployment: Deployment) -> None:
    deployment.restore()
    deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
    try:
        run_id = deployment.trigger()
        # no test is as fast as START_WITHIN_S on every machine
        deployment.metadata(POSTPONED, run_id)
        (before,) = deployment.metadata(DEADLINE, run_id)
        deployment.clear(run_id)
        (after,) = deployment.metadata(DEADLINE, run_id)
        assert after["deadline_time"] < before["deadline_time"], "it is that of the run as it was queued again"
    finally:
        deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": False})
    assert deployment.wait(run_id) == "success"


def test_no_log_and_no_row_holds_the_address(deployment: Deployment) -> None:
    found = list(logs(deployment))
    assert found
    assert [path for path in found if SECRET in path.read_text(encoding="utf-8", errors="replace")] == []
    assert deployment.query("SELECT count(*) FROM etl.notice WHERE told_at IS NOT NULL")[0][0] > 0
