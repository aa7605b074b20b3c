"""What is seen to be wrong: environments, watches, dead letters, tasks, and runs that do not begin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sluiceway.alerts import incidents
from sluiceway.alerts.look import BLIND_FOR, not_begun
from sluiceway.ledger import events, store, tasks
from sluiceway.ledger.rows import RunKey
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect
from tests.alerts.conftest import TABLES, Alerts
from tests.alerts.sinks import HttpSink
from tests.alerts.test_told import HOUR, finished, later, ok
from tests.flows.configured import FILE
from tests.freshness.ledgered import A, B, ran
from tests.stand_ins.version_endpoint import VersionEndpoint

Query = Callable[..., list[tuple[Any, ...]]]


def subjects(sink: HttpSink) -> list[str]:
    return [each.subject for each in sink.arrived()]


@pytest.fixture
def staging(deployment: Path, setting: Callable[..., None]) -> Iterator[VersionEndpoint]:
    """An environment that serves a commit."""
    with VersionEndpoint(commit=A) as endpoint:
        (deployment / "environments" / "staging.toml").write_text(
            f'kind = "http"\nurl = "{endpoint.uri}"\njson_path = "build.commit"\nrequest_timeout_s = 2\n'
        )
        setting(environment="staging")
        yield endpoint


def test_a_deploy_whose_data_does_not_come_is_told_and_so_is_that_it_has_come(
    alerts: Alerts, sink: HttpSink, staging: VersionEndpoint, warehouse_url: str
) -> None:
    finished(warehouse_url, "deploy__1", "success", "loaded", commit=A)
    ok(alerts)
    assert sink.arrived() == []
    staging.commit = B
    ok(alerts)
    assert subjects(sink) == ["[staging] staging is stale"]
    assert f"the data of {B} has not come in time" in sink.arrived()[0].body
    finished(warehouse_url, "deploy__2", "success", "loaded", commit=B, ago=timedelta(0))
    ok(alerts)
    assert subjects(sink)[1:] == ["[staging] recovered: staging is stale"]


def test_a_red_run_of_the_deployed_commit_is_one_incident_with_the_environment(
    alerts: Alerts, sink: HttpSink, staging: VersionEndpoint, warehouse_url: str, query: Query
) -> None:
    assert staging.commit == A
    finished(warehouse_url, "deploy__1", "failed", "failed", commit=A)
    ok(alerts)
    assert len(sink.arrived()) == 1
    ((kinds, about),) = query("SELECT kinds, subjects FROM etl.incident")
    assert kinds == ["red", "stale"]
    assert "environment:staging" in about


def test_an_endpoint_that_does_not_answer_is_told_once_it_has_lasted(
    alerts: Alerts, sink: HttpSink, staging: VersionEndpoint, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "deploy__1", "success", "loaded", commit=A)
    staging.fault = "500"
    ok(alerts)
    assert sink.arrived() == []
    later(query, BLIND_FOR)
    ok(alerts)
    assert subjects(sink) == ["[staging] staging is blind"]
    staging.fault = None
    ok(alerts)
    assert subjects(sink)[1:] == ["[staging] recovered: staging is blind"]


def test_while_nobody_can_see_the_environment_what_is_wrong_with_it_stays_open(
    alerts: Alerts, sink: HttpSink, staging: VersionEndpoint, warehouse_url: str
) -> None:
    finished(warehouse_url, "deploy__1", "success", "loaded", commit=A)
    staging.commit = B
    ok(alerts)
    staging.fault = "500"
    ok(alerts)
    assert subjects(sink) == ["[staging] staging is stale"]


def test_a_trigger_that_cannot_see_is_told_unless_it_is_switched_off(
    alerts: Alerts, sink: HttpSink, deployment: Path, warehouse_url: str, query: Query
) -> None:
    flow = deployment / "flows" / "shop.toml"
    flow.write_text(f'flow_type = "tables"\ntables = ["city_01"]\n{FILE}')
    with connect(warehouse_url) as session:
        events.record_error(session, "shop", "changed", "/data/in cannot be read: Permission denied")
        events.record_error(session, "gone", "changed", "of a flow that has no file")
    ok(alerts)
    later(query, BLIND_FOR)
    ok(alerts)
    assert subjects(sink) == ["shop.changed is blind"]
    assert "/data/in cannot be read: Permission denied" in sink.arrived()[0].body
    flow.write_text(flow.read_text() + "enabled = false\n")
    ok(alerts)
    assert subjects(sink)[1:] == ["recovered: shop.changed is blind"]


def test_dead_letters_are_one_incident_for_each_job_and_class(alerts: Alerts, sink: HttpSink, owner_url: str) -> None:
    def dies(item: str, code: str) -> None:
        with psycopg.connect(owner_url) as owner:
            owner.execute(
                "INSERT INTO etl_jobs.item (job, item, state, last_code, last_error) "
                "VALUES ('resolve_taxa', %s, 'dead', %s, 'no name')",
                (item, code),
            )

    for item in ("a", "b", "c"):
        dies(item, "answer")
    ok(alerts)
    dies("d", "answer")
    ok(alerts)
    assert subjects(sink) == ["resolve_taxa has dead letters"]
    assert "resolve_taxa has 3 dead letters of class answer: no name" in sink.arrived()[0].body
    dies("e", "service")
    ok(alerts)
    assert len(sink.arrived()) == 2
    with psycopg.connect(owner_url) as owner:
        owner.execute("DELETE FROM etl_jobs.item")
    ok(alerts)
    assert subjects(sink)[2:] == ["recovered: resolve_taxa has dead letters, and 1 more"]


def failed_task(url: str, run: RunKey, name: str, error: Exception) -> None:
    with connect(url) as session:
        task = TaskRun(dag_id=run.dag_id, run_id=run.run_id, task_id=name, map_index=-1, try_number=1)
        tasks.begin(session, task)
        tasks.end(session, task, error)
        store.close_run(session, run, "failed", f"{name} failed: {error}", {name: "failed"})


def test_a_task_that_fails_is_a_cause_of_its_own(alerts: Alerts, sink: HttpSink, warehouse_url: str) -> None:
    run = ran(warehouse_url, "r1", ago=HOUR, **dict.fromkeys(TABLES, "loaded"))
    failed_task(warehouse_url, run, "final.aggregate", ValueError("the view does not fit"))
    ok(alerts)
    assert subjects(sink) == ["master_etl is red"]
    assert "Cause: ValueError: the view does not fit" in sink.arrived()[0].body or (
        "final.aggregate failed: the view does not fit" in sink.arrived()[0].body
    )


def test_a_run_of_which_a_part_runs_again_has_not_recovered(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "success", "loaded", ago=2 * HOUR)
    run = ran(warehouse_url, "r2", ago=HOUR, **dict.fromkeys(TABLES, "loaded"))
    failed_task(warehouse_url, run, "final.aggregate", ValueError("the view does not fit"))
    ok(alerts)
    query("UPDATE etl.run SET status = 'running', finished_at = NULL WHERE run_id = 'r2'")
    query("DELETE FROM etl.table_run WHERE run_id = 'r2'")
    assert ok(alerts) == "1 incident is open; 0 messages sent.\n"
    assert len(sink.arrived()) == 1


def test_two_causes_of_one_run_are_two_incidents_in_one_message_also_when_promises_break_by_them(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r0", "success", "loaded", ago=23 * HOUR)
    finished(warehouse_url, "r1", "failed", "failed")
    query("UPDATE etl.table_run SET error = 'the column x is missing' WHERE table_name = 'city_07'")
    ok(alerts)
    assert query("SELECT count(*) FROM etl.incident") == [(2,)]
    assert len(sink.arrived()) == 1
    assert sink.arrived()[0].subject.endswith(", and 1 more")
    query("UPDATE etl.table_run SET finished_at = finished_at - interval '9 h'")
    ok(alerts)
    assert query("SELECT kinds FROM etl.incident") == [(["red", "stale"],), (["red", "stale"],)]
    assert len(sink.arrived()) == 1


def test_each_incident_of_a_run_says_its_own_cause_though_the_sentence_of_the_run_is_cut(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    ran(warehouse_url, "r1", ago=HOUR, status="failed", note="red", city_01="failed", city_02="failed")
    query("UPDATE etl.table_run SET error = 'the column x is missing' WHERE table_name = 'city_02'")
    note = f"2 of 2 tables failed: city_01 ({'long ' * 200}); city_02 (EmptyExtractionError: the column x is missing)."
    query("UPDATE etl.run SET note = %s", note)
    ok(alerts)
    (message,) = sink.arrived()
    assert "city_02 (Empty" not in message.body
    assert "the column x is missing" in message.body


def test_a_table_that_failed_before_runs_of_other_tables_is_still_wrong(
    alerts: Alerts, sink: HttpSink, warehouse_url: str
) -> None:
    finished(warehouse_url, "r0", "success", "loaded", ago=2 * HOUR)
    ran(warehouse_url, "r1", ago=HOUR, status="failed", note="red", city_01="failed")
    ok(alerts)
    ran(warehouse_url, "r2", ago=timedelta(minutes=5), city_02="loaded")
    ok(alerts)
    assert len(sink.arrived()) == 1
    ran(warehouse_url, "r3", ago=timedelta(0), city_01="loaded")
    ok(alerts)
    assert [each.kind for each in sink.arrived()] == ["failure", "success"]


def test_what_a_person_did_at_a_terminal_is_no_incident(alerts: Alerts, sink: HttpSink, warehouse_url: str) -> None:
    ran(warehouse_url, "cli__1", dag_id="cli", ago=HOUR, status="failed", note="red", city_01="failed")
    ok(alerts)
    assert sink.arrived() == []


def open_waiting(url: str, run_id: str, *, is_held: bool = False) -> None:
    with connect(url) as session:
        incidents.write(session, [not_begun(RunKey("master_etl", run_id), None, is_held=is_held)], environment=None)


def test_a_run_that_does_not_begin_is_told_until_it_has(alerts: Alerts, sink: HttpSink, warehouse_url: str) -> None:
    open_waiting(warehouse_url, "deploy__1")
    open_waiting(warehouse_url, "deploy__2")
    ok(alerts)
    ok(alerts)
    assert subjects(sink) == ["master_etl does not begin"]
    with connect(warehouse_url) as session:
        store.open_run(session, RunKey("master_etl", "deploy__2"), None, "deploy")
    ok(alerts)
    assert subjects(sink)[1:] == ["recovered: master_etl does not begin"]


def test_a_run_that_waits_for_another_of_its_dag_is_told_only_once_that_has_ended(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    ran(warehouse_url, "r1", ago=HOUR, status="running", city_01="planned")
    open_waiting(warehouse_url, "deploy__2", is_held=True)
    ok(alerts)
    later(query, timedelta(minutes=5))
    ok(alerts)
    assert sink.arrived() == []
    query("UPDATE etl.run SET status = 'success', finished_at = clock_timestamp() WHERE run_id = 'r1'")
    ok(alerts)
    later(query, timedelta(minutes=2))
    ok(alerts)
    assert subjects(sink) == ["master_etl does not begin"]


def test_json_is_for_programs(alerts: Alerts, warehouse_url: str) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    assert json.loads(alerts("run", "--json").stdout) == {
        "open": 1,
        "sent": 1,
        "failed": [],
        "left_to_airflow": [],
        "waiting": [],
        "heartbeat": None,
    }
