"""Flows started from code and from the command line, in a real Airflow API server; no scheduler runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.errors import AirflowUnreachableError, ConfigError
from sluiceway.flows import (
    Trigger,
    TriggerContext,
    TriggerRegistry,
    TriggerResult,
    TriggerService,
    TriggerType,
    service,
)
from sluiceway.rest.airflow_api import AirflowApi
from tests.on_airflow.web.conftest import PASSWORDS

FLOWS = {
    "orders": """
flow_type = "dag"
[[triggers]]
id = "manual"
type = "cli"
[[triggers]]
id = "nightly"
type = "schedule"
schedule = "@daily"
[[triggers]]
id = "off"
type = "api"
enabled = false
connection = "hook"
description = "the shop is closed"
""",
    "closed": """
flow_type = "dag"
[[triggers]]
id = "manual"
type = "cli"
enabled = false
""",
    "twice": """
flow_type = "dag"
triggers = [{ id = "one", type = "cli" }, { id = "two", type = "cli" }]
""",
    "plain": 'flow_type = "dag"\n',
    "asleep": 'flow_type = "dag"\n',
    "strict": 'flow_type = "dag"\n',
    "unborn": 'flow_type = "dag"\n',
}
Run = Callable[..., Result]
Setting = Callable[..., None]


@pytest.fixture(autouse=True)
def config(server: str, tmp_path: Path, setting: Setting) -> Path:
    """The flows' files, and settings that name that Airflow."""
    (tmp_path / "flows").mkdir()
    for name, flow in FLOWS.items():
        (tmp_path / "flows" / f"{name}.toml").write_text(flow, encoding="utf-8")
    setting(
        config_dir=tmp_path,
        airflow_url=server,
        airflow_username="starter",
        airflow_password=PASSWORDS["starter"],
    )
    return tmp_path


@pytest.fixture
def runs(server: str) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """The runs of a DAG."""
    with AirflowApi(server, "starter", PASSWORDS["starter"]) as api:
        yield lambda dag_id: api.get(f"dags/{dag_id}/dagRuns", order_by="id", limit=100)["dag_runs"]


@pytest.fixture
def run() -> Run:
    """`sluiceway trigger` in this process."""
    return lambda *arguments: CliRunner().invoke(app, ["trigger", *arguments])


@pytest.fixture
def batch() -> str:
    """An id that no run has."""
    return uuid4().hex


Runs = Callable[[str], list[dict[str, Any]]]


def test_a_flow_is_started_with_its_params_by_its_cli_trigger(runs: Runs, batch: str) -> None:
    result = TriggerService().trigger_flow("orders", context=TriggerContext(params={"n": [1, "ü"]}, batch_id=batch))
    assert result == TriggerResult(True, "manual", "orders", f"cli__manual__{batch} enqueued", f"cli__manual__{batch}")
    found = runs("orders")[-1]
    assert (found["dag_run_id"], found["conf"]) == (result.run_id, {"n": [1, "ü"]})
    assert found["note"] == "Started by the trigger manual (cli)"


def test_the_same_batch_twice_is_one_run(runs: Runs, batch: str) -> None:
    def call(_: int) -> TriggerResult:
        return TriggerService().trigger_flow("plain", context=TriggerContext(batch_id=batch))

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(call, range(10)))
    assert {result.success for result in results} == {True}
    assert {result.run_id for result in results} == {f"cli__cli__{batch}"}
    assert sum("already enqueued, queued" in result.message for result in results) == 9
    assert [each["dag_run_id"] for each in runs("plain")].count(f"cli__cli__{batch}") == 1


def test_without_a_batch_every_call_is_a_run(runs: Runs) -> None:
    before = len(runs("plain"))
    ids = {TriggerService().trigger_flow("plain").run_id for _ in range(3)}
    assert len(ids) == 3 and len(runs("plain")) == before + 3


@pytest.mark.parametrize("trigger_type", ["schedule", TriggerType.SCHEDULE])
def test_a_trigger_is_chosen_by_its_type(trigger_type: TriggerType | str, batch: str) -> None:
    result = TriggerService().trigger_flow("orders", trigger_type, context=TriggerContext(batch_id=batch))
    assert (result.success, result.run_id) == (True, f"schedule__nightly__{batch}")


def test_a_disabled_trigger_refuses_with_its_reason_and_starts_nothing(runs: Runs) -> None:
    result = TriggerService().trigger_flow("orders", trigger_id="off")
    assert (result.success, result.run_id) == (False, None)
    assert "is disabled (enabled = false): the shop is closed." in result.message
    assert TriggerService().trigger_flow("closed").success is False
    assert runs("closed") == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ordres",), r"no .*ordres\.toml; did you mean 'orders'\?"),
        (("orders", None, "manuel"), "has no trigger 'manuel'; did you mean 'manual'"),
        (("orders", "cli", "nightly"), "Trigger 'nightly' of flow 'orders' is schedule, not cli"),
        (("orders", "sensr"), "no type of trigger 'sensr'; did you mean 'sensor'"),
        (("orders", "sensor"), r"has 0 triggers of type sensor \(none\)"),
        (("twice",), r"has 2 triggers of type cli \(one, two\): say which one"),
    ],
)
def test_a_wrong_name_is_a_sentence_with_the_nearest(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TriggerService().trigger_flow(*arguments)


@pytest.mark.parametrize(
    ("flow_id", "said"),
    [
        ("asleep", "is paused: a run would wait for ever"),
        ("unborn", "Airflow has no DAG 'unborn': it is not deployed yet"),
    ],
)
def test_what_airflow_would_not_run_is_no_success(flow_id: str, said: str) -> None:
    result = TriggerService().trigger_flow(flow_id)
    assert (result.success, result.run_id) == (False, None)
    assert said in result.message


def test_params_that_the_dag_refuses_are_no_success(runs: Runs) -> None:
    result = TriggerService().trigger_flow("strict", context=TriggerContext(params={"count": "many"}))
    assert result.success is False and "Invalid input for param count" in result.message
    assert runs("strict") == []


@pytest.mark.parametrize("batch_id", ["", "a b", "a/b", "ü", "x" * 121, "a\n"])
def test_a_batch_that_cannot_name_a_run_is_a_sentence(batch_id: str) -> None:
    with pytest.raises(ConfigError, match="Batch id"):
        TriggerService().trigger_flow("plain", context=TriggerContext(batch_id=batch_id))


@pytest.mark.parametrize("value", [datetime.now(UTC), float("nan")])
def test_a_param_that_is_no_json_is_a_sentence(value: object) -> None:
    with pytest.raises(ConfigError, match="no JSON"):
        TriggerService().trigger_flow("plain", context=TriggerContext(params={"at": value}))


def test_an_airflow_that_does_not_answer_is_a_named_error(setting: Setting) -> None:
    setting(airflow_url="http://127.0.0.1:1")
    with pytest.raises(AirflowUnreachableError):
        TriggerService().trigger_flow("plain")


def test_flows_are_defined_in_code_as_dict_toml_or_file(config: Path, batch: str) -> None:
    service = TriggerService()
    definition = {"id": "plain", "triggers": [{"id": "from_code", "type": "cli"}]}
    (config / "plain.toml").write_text('flow_type = "dag"\n[[triggers]]\nid = "from_file"\ntype = "cli"\n')
    for given, trigger_id in (
        (definition, "from_code"),
        ('id = "plain"\n[[triggers]]\nid = "from_toml"\ntype = "cli"\n', "from_toml"),
        (config / "plain.toml", "from_file"),
    ):
        (trigger,) = service.load_triggers_from_flow(given)
        assert isinstance(trigger, Trigger)
        assert (trigger.config.id, trigger.config.flow_id) == (trigger_id, "plain")
        result = service.trigger_flow("plain", context=TriggerContext(batch_id=batch))
        assert result.run_id == f"cli__{trigger_id}__{batch}"


def test_a_wrong_definition_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="'cly'"):
        TriggerService().load_triggers_from_flow({"id": "plain", "triggers": [{"id": "x", "type": "cly"}]})
    with pytest.raises(ConfigError, match="not valid TOML"):
        TriggerService().load_triggers_from_flow("id = ")


def test_one_trigger_is_created_checked_and_activated_by_hand(batch: str) -> None:
    trigger = TriggerRegistry.create_trigger({"id": "mine", "type": "cli", "flow_id": "plain"})
    context = TriggerContext(batch_id=batch)
    assert trigger.should_trigger(context)
    assert service.activate(trigger, context).run_id == f"cli__mine__{batch}"


def test_the_python_api_is_imported_without_airflow_and_without_a_client() -> None:
    code = "import sys, sluiceway.flows; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"airflow", "httpx", "psycopg", "pandas", "sqlalchemy"} == set()


def test_the_command_starts_a_flow_and_prints_its_run_alone(run: Run, runs: Runs, batch: str) -> None:
    arguments = ("--flow-id", "orders", "--batch-id", batch, "--param", 'tables=["a", "b"]', "--param", "who=me=you")
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (0, f"cli__manual__{batch}\n"), done.output
    assert runs("orders")[-1]["conf"] == {"tables": ["a", "b"], "who": "me=you"}
    again = run(*arguments)
    assert (again.exit_code, "already enqueued" in again.stderr) == (0, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ('"1"', "1"), ("true", True), ("", ""), ("NaN", "NaN"), ("12e3456", "12e3456"), ("{", "{"), ("ü", "ü")],
)
def test_a_param_is_json_or_else_text(run: Run, text: str, value: object) -> None:
    done = run("--flow-id", "orders", "--dry-run", "--param", f"p={text}")
    assert json.loads(done.stdout)["body"]["conf"] == {"p": value}


def test_a_dry_run_prints_what_would_be_posted_and_starts_nothing(
    run: Run, runs: Runs, server: str, batch: str
) -> None:
    before = runs("orders")
    done = run("--flow-id", "orders", "--batch-id", batch, "--param", "n=1", "--dry-run")
    assert (done.exit_code, json.loads(done.stdout)) == (
        0,
        {
            "method": "POST",
            "url": f"{server}/api/v2/dags/orders/dagRuns",
            "body": {
                "dag_run_id": f"cli__manual__{batch}",
                "logical_date": None,
                "conf": {"n": 1},
                "note": "Started by the trigger manual (cli)",
            },
        },
    )
    assert runs("orders") == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--flow-id", "closed"), 2, "is disabled (enabled = false)"),
        (("--flow-id", "closed", "--dry-run"), 2, "is disabled (enabled = false)"),
        (("--flow-id", "orders", "--trigger-id", "off"), 2, "the shop is closed"),
        (("--flow-id", "ordres"), 2, "did you mean 'orders'?"),
        (("--flow-id", "orders", "--trigger-id", "manul"), 2, "did you mean 'manual'?"),
        (
            ("--flow-id", "orders", "--bath-id", "1"),
            2,
            "No such option: --bath-id",
        ),
        (("--flow-id", "orders", "--commit", "0" * 40), 2, "--flow-id goes without '--commit'"),
        (("--flow-id", "orders", "--param", "x"), 2, "write NAME=VALUE"),
        (("--flow-id", "orders", "--param", "x=1", "--param", "x=2"), 2, "is given twice"),
        (("--flow-id", "orders", "--batch-id", "a b"), 2, "Batch id 'a b'"),
        (("--trigger-id", "manual"), 2, "add --flow-id"),
        (("--dry-run",), 2, "add --flow-id"),
        (("--flow-id", "asleep"), 1, "is paused"),
        (("--flow-id", "strict", "--param", "count=many"), 1, "Invalid input for param count"),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(
    run: Run, runs: Runs, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = [runs(flow_id) for flow_id in ("orders", "closed", "asleep", "strict")]
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())
    assert [runs(flow_id) for flow_id in ("orders", "closed", "asleep", "strict")] == before


def test_without_a_flow_the_command_is_the_deploy_trigger(run: Run) -> None:
    done = run("--commit", "short")
    assert (done.exit_code, "--commit 'short': give all 40 digits" in done.stderr) == (2, True)
    shown = run("--help")
    assert shown.exit_code == 0
    assert re.search(r"--flow-id +F ", shown.stdout) and re.search(r"--build-id +ID ", shown.stdout)
