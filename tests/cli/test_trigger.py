"""`sluiceway trigger`: one program, whether it starts the run of a commit or of a flow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.cli.trigger import DEPLOY_OPTIONS, REFUSED
from sluiceway.deploy import trigger
from tests.flows.configured import CLI, configured, flow
from tests.stand_ins.airflow_rest import PASSWORD, USERNAME, AirflowRest

SHA = "0123456789abcdef0123456789abcdef01234567"
Run = Callable[..., Result]


@pytest.fixture
def airflow() -> Iterator[AirflowRest]:
    with AirflowRest() as service:
        service.add_dag()
        yield service


@pytest.fixture
def run(airflow: AirflowRest, tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Types `sluiceway trigger` where that Airflow and a flow `orders` are known."""
    for variable in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_TOKEN", "GITHUB_SHA"):
        monkeypatch.delenv(variable, raising=False)
    config_dir = configured(tmp_path, orders=flow(CLI)).config_dir
    setting(config_dir=config_dir, airflow_url=airflow.uri, airflow_username=USERNAME, airflow_password=PASSWORD)
    return lambda *arguments: CliRunner().invoke(app, ["trigger", *arguments], prog_name="sluiceway")


def options() -> dict[str, Any]:
    """The options of `sluiceway trigger` by their names."""
    command: Any = typer.main.get_command(app)
    return {each.name: each for each in command.commands["trigger"].params}


def test_the_help_shows_the_options_of_both_forms(run: Run) -> None:
    shown = run("--help").stdout
    assert "Usage: sluiceway trigger" in shown
    for option in ("--commit", "--build-id", "--flow-id", "--param", "--dry-run", "--json"):
        assert f" {option} " in shown


def test_every_option_of_the_program_that_ci_runs_is_one_of_this_command() -> None:
    alone = {each.dest for each in trigger.options({})._actions} - {"help", "as_json"}
    assert alone == set(DEPLOY_OPTIONS)
    assert alone <= set(options())


def test_an_option_that_does_not_exist_is_a_usage_error_of_this_program(run: Run, airflow: AirflowRest) -> None:
    result = run("--comit", SHA)
    assert result.exit_code == 2
    assert "Usage: sluiceway trigger" in result.stderr and "--commit" in result.stderr
    assert airflow.requests == []


@pytest.mark.parametrize("arguments", [("--commit", SHA), ("--flow-id", "orders")], ids=["commit", "flow"])
def test_0_is_a_run_that_is_there(run: Run, airflow: AirflowRest, arguments: tuple[str, ...]) -> None:
    airflow.add_dag("orders")
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["run_id"] in airflow.runs
    assert document["run_url"] == f"{airflow.uri}/dags/{document['dag_id']}/runs/{document['run_id']}"


@pytest.mark.parametrize("arguments", [("--commit", SHA), ("--flow-id", "orders")], ids=["commit", "flow"])
@pytest.mark.parametrize("problem", ["silent", "missing", "paused", "locked out"])
def test_1_is_a_run_that_is_not_there(
    run: Run, airflow: AirflowRest, setting: Callable[..., None], problem: str, arguments: tuple[str, ...]
) -> None:
    airflow.dags.clear()
    if problem == "paused":
        for dag_id in ("master_etl", "orders"):
            airflow.add_dag(dag_id, is_paused=True)
    elif problem == "silent":
        setting(airflow_url="http://127.0.0.1:1")
    elif problem == "locked out":
        setting(airflow_password="wrong")
    waits = ("--wait-for-dag", "0", "--timeout", "0.5") if "--commit" in arguments else ()
    result = run(*arguments, *waits)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
    assert airflow.runs == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--commit", "main"),
        ("--commit", SHA, "--timeout", "soon"),
        ("--commit", SHA, "--composer", "etl"),
        ("--commit", SHA, "--dry-run"),
        ("--flow-id", "ordres"),
        ("--flow-id", "orders", "--commit", SHA),
        ("--flow-id", "orders", "--param", "x"),
    ],
    ids=" ".join,
)
def test_2_is_a_wrong_option_or_name_and_nothing_was_asked(
    run: Run, airflow: AirflowRest, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error: " in result.stderr
    assert airflow.requests == []


def test_every_code_of_the_program_alone_is_one_of_these() -> None:
    codes = {each.code for each in trigger.TriggerError.__subclasses__()}
    assert codes == {2} | REFUSED
