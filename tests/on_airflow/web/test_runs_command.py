"""`sluiceway runs` beside a real Airflow: what it shows is compared, and what it clears is said."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.ledger.store import RunKey
from tests.on_airflow.web.conftest import PASSWORDS
from tests.on_airflow.web.door import Door
from tests.on_airflow.web.runs import GOOD, SENTENCE, in_airflow, in_ledger
from tests.on_airflow.web.test_runs import Post, good, mark, post

__all__ = ["good", "post"]
Run = Callable[..., Result]


@pytest.fixture
def run(door: Door, setting: Callable[..., None]) -> Run:
    """Runs one command as a user who may start runs."""
    setting(
        airflow_url=door.url,
        airflow_username="starter",
        airflow_password=PASSWORDS["starter"],
        warehouse_url=door.warehouse,
    )
    return lambda *arguments: CliRunner().invoke(app, ["runs", *arguments])


def test_a_run_that_is_as_its_verdict_saw_it_is_shown_so(run: Run, good: RunKey) -> None:
    result = run("show", good.run_id)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{good}: success. {SENTENCE}" in result.stdout
    assert json.loads(run("show", good.run_id, "--json").stdout)["compared_with_airflow"] is True


def test_a_mark_by_a_person_turns_the_exit_code_and_names_the_person(
    run: Run, good: RunKey, starter: httpx.Client
) -> None:
    mark(starter, good, "final.aggregate", "failed")
    result = run("show", good.run_id)
    assert result.exit_code == 1
    assert "Changed after its verdict (final.aggregate marked failed by starter at " in result.stdout
    listed = {each["run_id"]: each for each in json.loads(run("list", "--json").stdout)}
    assert listed[good.run_id]["status"] == "failed" and "by starter" in listed[good.run_id]["remark"]


def test_a_run_that_airflow_no_longer_has_is_shown_as_the_ledger_has_it(run: Run, door: Door) -> None:
    in_ledger(door, RunKey("shop", "gone"))
    in_ledger(door, RunKey("shop", "gone_open"), status="running")
    assert run("show", "gone").exit_code == 0
    lost = run("show", "gone_open")
    assert lost.exit_code == 1 and "Airflow has no such run any more" in lost.stdout


def test_a_retry_clears_what_failed_with_what_follows_and_the_verdict_and_says_so(
    run: Run, starter: httpx.Client, door: Door, post: Post
) -> None:
    key = post("shop")
    in_airflow(
        door, key, state="failed",
        states={"sub.load_table_1": "failed", "final.aggregate": "upstream_failed", "verdict": "failed"},
    )  # fmt: skip
    result = run("retry", key.run_id)
    assert result.exit_code == 0, result.output
    for task in ("sub.load_table[1]", "final.aggregate", "verdict", "opened"):
        assert task in result.stdout
    assert "sub.load_table[0]" not in result.stdout and "plan" not in result.stdout
    found = starter.get(f"/api/v2/dags/shop/dagRuns/{key.run_id}/taskInstances").raise_for_status().json()
    cleared = [(task["task_id"], task["map_index"]) for task in found["task_instances"] if task["state"] is None]
    assert sorted(cleared) == [("final.aggregate", -1), ("opened", -1), ("sub.load_table", 1), ("verdict", -1)]


def test_a_run_of_which_the_verdict_alone_failed_says_what_to_do(run: Run, door: Door, post: Post) -> None:
    key = post("shop")
    in_airflow(door, key, state="failed", states={"verdict": "failed"})
    result = run("retry", key.run_id)
    assert result.exit_code == 1
    assert f"no failed task but its verdict: `sluiceway runs show {key.run_id} --dag shop`" in result.stderr


def test_a_run_whose_time_was_over_is_retried_where_it_was_cut_off(run: Run, door: Door, post: Post) -> None:
    key = post("shop")
    cut = dict.fromkeys(("sub.load_table_1", "final.aggregate", "verdict"), "skipped")
    in_airflow(door, key, state="failed", states={**GOOD, **cut})
    result = run("retry", key.run_id)
    assert result.exit_code == 0 and "sub.load_table[1]" in result.stdout and "plan" not in result.stdout


def test_an_id_that_several_dags_have_is_not_retried_without_the_dag(
    run: Run, starter: httpx.Client, door: Door, post: Post
) -> None:
    key = post("shop")
    body = {"dag_run_id": key.run_id, "logical_date": None}
    starter.post("/api/v2/dags/master_etl/dagRuns", json=body).raise_for_status()
    result = run("retry", key.run_id)
    assert result.exit_code == 2 and "name one of master_etl, shop with --dag" in result.stderr
    assert run("retry", "nobody").exit_code == 2


def test_a_retry_takes_the_first_characters_of_an_id(run: Run, door: Door, post: Post) -> None:
    key = post("shop")
    in_airflow(door, key, state="failed", states={"sub.load_table_1": "failed", "verdict": "failed"})
    result = run("retry", key.run_id[:-1], "--dag", "shop")
    assert (result.exit_code, f"tasks of {key} run again: " in result.stdout) == (0, True), result.output
    several = run("retry", key.run_id[:1])
    assert (several.exit_code, "Several runs begin with" in several.stderr) == (2, True)
