"""What a start of a flow refuses before anything is sent: params that its run would not understand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.cli.app import app
from sluiceway.errors import ConfigError
from sluiceway.flows import TriggerContext, TriggerService
from sluiceway.flows.check import check
from sluiceway.flows.params import check_conf, run_params
from tests.flows.configured import CLI, FILE, HOOK, configured, flow

SHA = "0123456789abcdef0123456789abcdef01234567"
RIGHT: dict[str, list[Any]] = {
    "commit_sha": [SHA, None],
    "repository": ["owner/app", "group/sub/app", None],
    "actor": ["dependabot[bot]", None],
    "ci_run_url": ["https://ci.example.org/42", None],
    "tables": [["us_state"]],
    "force": [True, False],
}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, setting: Callable[..., None]) -> Path:
    """The flows master_etl and export, written in Python, and orders and idle, of which one keeps events."""
    dag = f'flow_type = "dag"\n{CLI}'
    found = configured(tmp_path, orders=flow(FILE, CLI), idle=flow(CLI), master_etl=dag, export=dag).config_dir
    # an Airflow that must not be asked
    setting(config_dir=found, airflow_url="http://127.0.0.1:1", airflow_username="a", airflow_password="b")
    return found


@pytest.fixture
def trigger() -> Callable[..., Result]:
    """Types `sluiceway trigger --flow-id`."""
    return lambda *arguments: CliRunner().invoke(app, ["trigger", "--flow-id", *arguments])


@pytest.mark.parametrize("flow_id", ["master_etl", "orders", "idle"])
@pytest.mark.parametrize(
    ("param", "said"),
    [
        ("tabels=us_state", "there is no param 'tabels'; did you mean 'tables'?"),
        ('tables=["us_stat"]', "param 'tables': there is no table 'us_stat'; did you mean 'us_state'?"),
        ("tables=us_state", """param 'tables' = 'us_state': write a list of tables, ["a", "b"]"""),
        ("tables=[1]", "param 'tables' = [1]: write a list of tables"),
        ("commit_sha=main", "param 'commit_sha' = 'main': write 40 hex digits in lower case"),
        (f"commit_sha={SHA.upper()}", "write 40 hex digits in lower case"),
        ("commit_sha=1234567", "param 'commit_sha' = 1234567: write 40 hex digits in lower case"),
        ("repository=app", "param 'repository' = 'app': write owner/name"),
        (f"actor={'x' * 101}", "write a text of at most 100 characters"),
        ("ci_run_url=ci", "param 'ci_run_url' = 'ci': write an address, http:// or https://"),
        ("force=yes", "param 'force' = 'yes': write true or false"),
        ("force=1", "param 'force' = 1: write true or false"),
    ],
)
def test_a_param_that_the_run_would_not_understand_is_a_usage_error(
    trigger: Callable[..., Result], flow_id: str, param: str, said: str
) -> None:
    for more in ((), ("--dry-run",)):
        result = trigger(flow_id, "--param", param, *more)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert f"error: A run of {flow_id!r}: " in result.stderr
        assert said in result.stderr


def test_every_wrong_param_is_told_at_once(trigger: Callable[..., Result]) -> None:
    result = trigger("orders", "--param", "forse=true", "--param", "force=3", "--param", 'tables=["a", "b"]')
    assert result.exit_code == 2
    assert result.stderr.count("A run of 'orders': ") == 4


def test_a_flow_loads_its_own_tables_alone_and_at_least_one(trigger: Callable[..., Result]) -> None:
    assert "there is no table 'route'; known: us_state" in trigger("orders", "--param", 'tables=["route"]').stderr
    assert trigger("master_etl", "--param", 'tables=["route"]', "--dry-run").exit_code == 0
    assert "write a list of tables" in trigger("orders", "--param", "tables=[]").stderr
    assert trigger("master_etl", "--param", "tables=[]", "--dry-run").exit_code == 0


@pytest.mark.parametrize("flow_id", ["master_etl", "orders"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_param_is_sent_as_it_is(trigger: Callable[..., Result], flow_id: str, name: str) -> None:
    for value in RIGHT[name]:
        result = trigger(flow_id, "--dry-run", "--param", f"{name}={json.dumps(value)}")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["body"]["conf"] == {name: value}


def test_events_are_params_of_flows_that_keep_them_alone() -> None:
    conf = {"trigger_id": "changed", "events": [{"path": "/x"}]}
    check_conf("orders", conf)
    with pytest.raises(ConfigError, match="there is no param 'trigger_id'"):
        check_conf("idle", conf)


def test_the_params_of_a_dag_that_somebody_wrote_are_its_own(trigger: Callable[..., Result]) -> None:
    assert trigger("export", "--param", "anything=1", "--dry-run").exit_code == 0


def test_the_python_api_refuses_the_same_before_airflow_is_asked() -> None:
    with pytest.raises(ConfigError, match="there is no param 'tabels'"):
        TriggerService().trigger_flow("orders", context=TriggerContext(params={"tabels": []}))


def test_the_default_of_every_param_is_a_right_value() -> None:
    for name, param in run_params(None, ["us_state"]).items():
        assert Draft202012Validator(param.schema).is_valid(param.default), name


def test_the_document_has_every_param() -> None:
    text = (ROOT / "docs" / "reference" / "master_etl.md").read_text(encoding="utf-8")
    table = text[text.index("| param |") : text.index("A bad value is refused")]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(run_params(None))


@pytest.mark.parametrize(
    ("flow_id", "head", "name", "said"),
    [
        (
            "shop",
            'flow_type = "tables"\ntables = ["us_state"]',
            "order_id",
            "runs of 'shop' have no param 'order_id'; known: actor",
        ),
        (
            "shop",
            'flow_type = "tables"\ntables = ["us_state"]',
            "tabels",
            "runs of 'shop' have no param 'tabels'; did you mean 'tables'?",
        ),
        (
            "shop",
            'flow_type = "tables"\ntables = ["us_state"]',
            "event",
            "the param 'event' is filled in with the event",
        ),
        ("master_etl", "", "order_id", "runs of 'master_etl' have no param 'order_id'"),
        ("own", "", "trigger_id", "the param 'trigger_id' is filled in with the event"),
    ],
)
def test_a_webhook_maps_no_param_that_runs_do_not_have(
    tmp_path: Path, flow_id: str, head: str, name: str, said: str
) -> None:
    text = f'{head}\n{HOOK}params = {{ {name} = "a.b" }}\n'
    (problem,) = [
        each for each in check(settings=configured(tmp_path / "checked", **{flow_id: text})) if "params" in each
    ]
    assert f"triggers.hook.params: {said}" in problem


@pytest.mark.parametrize(
    ("flow_id", "head", "name"),
    [
        ("shop", 'flow_type = "tables"\ntables = ["us_state"]', "tables"),
        ("own", "", "order_id"),
        ("master_etl", "", "force"),
    ],
)
def test_a_webhook_maps_params_that_runs_have(tmp_path: Path, flow_id: str, head: str, name: str) -> None:
    text = f'{head}\n{HOOK}params = {{ {name} = "a.b" }}\n'
    assert [
        each for each in check(settings=configured(tmp_path / "checked", **{flow_id: text})) if "params" in each
    ] == []
