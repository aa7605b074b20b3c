"""The kind `flow` asked for by `triggers test` and from code: it asks a real Airflow how the source has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.errors import SettingsError
from sluiceway.flows import TriggerContext, TriggerRegistry
from sluiceway.rest.airflow_api import AirflowApi
from tests.flows.configured import after, configured, flow
from tests.on_airflow.web.conftest import PASSWORDS

Ended = Callable[..., str]


@pytest.fixture(autouse=True)
def config(server: str, tmp_path: Path, setting: Callable[..., None]) -> None:
    """A flow that follows, and settings that name that Airflow."""
    stock = 'flow_type = "dag"\n[[triggers]]\nid = "manual"\ntype = "cli"\n'
    folder = configured(tmp_path, stock=stock, orders=flow(after("stock"))).config_dir
    setting(config_dir=folder, airflow_url=server, airflow_username="starter", airflow_password=PASSWORDS["starter"])


@pytest.fixture
def ended(server: str) -> Iterator[Ended]:
    """Makes a run of `stock` that has ended so: the run, or only its task."""
    with AirflowApi(server, "starter", PASSWORDS["starter"]) as api:

        def end(state: str, task_id: str | None = None) -> str:
            run_id = f"test__{uuid4().hex}"
            api.trigger("stock", run_id, {})
            run = f"dags/stock/dagRuns/{run_id}"
            if task_id is None:
                api.patch(run, {"state": state})
            else:
                api.patch(f"{run}/taskInstances/{task_id}", {"new_state": state})
            return run_id

        yield end


def fired(since: str, **keys: Any) -> list[str]:
    """The source's runs since then that the trigger fires for."""
    trigger = TriggerRegistry.create_trigger(
        {"id": "after", "type": "flow", "flow_id": "orders", "source_flow_id": "stock", **keys}
    )
    context = TriggerContext(cursor=since)
    assert trigger.should_trigger(context) is bool(context.events)
    assert isinstance(context.cursor, str)
    assert context.cursor > since
    return [str(event.facts["source_run_id"]) for event in context.events]


def now() -> str:
    return datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    ("condition", "states"),
    [("success", ["success"]), ("failure", ["failed"]), ("always", ["success", "failed"])],
)
def test_a_run_that_has_ended_so_is_an_event(ended: Ended, condition: str, states: list[str]) -> None:
    since = now()
    runs = {state: ended(state) for state in ("success", "failed")}
    assert fired(since, condition=condition) == [runs[state] for state in states]


def test_a_run_that_ended_before_the_cursor_is_none(ended: Ended) -> None:
    ended("success")
    assert fired(now()) == []


def test_a_run_that_has_not_ended_is_none(server: str) -> None:
    since = now()
    with AirflowApi(server, "starter", PASSWORDS["starter"]) as api:
        api.trigger("stock", f"test__{uuid4().hex}", {})
    assert fired(since, condition="always") == []


def test_a_task_that_has_ended_so_is_an_event(ended: Ended) -> None:
    since = now()
    failed = ended("failed", "count")
    ended("success", "count")
    assert fired(since, source_task_id="count", condition="failure") == [failed]


def test_the_first_check_asks_nobody_and_finds_nothing(setting: Callable[..., None]) -> None:
    setting(airflow_url="http://127.0.0.1:1")
    trigger = TriggerRegistry.create_trigger(
        {"id": "after", "type": "flow", "flow_id": "orders", "source_flow_id": "stock"}
    )
    assert not trigger.should_trigger(TriggerContext())


def test_without_an_airflow_it_says_what_to_set(setting: Callable[..., None]) -> None:
    setting(airflow_url="")
    with pytest.raises(SettingsError, match="SLUICEWAY_AIRFLOW_URL"):
        fired(now())


def test_triggers_test_shows_the_ends_of_the_last_day(ended: Ended) -> None:
    run_id = ended("success")
    result = CliRunner().invoke(app, ["triggers", "test", "orders"])
    assert result.exit_code == 0, result.stderr
    assert "after: would start: " in result.stdout
    assert run_id in result.stdout


def test_list_shows_the_last_run_that_a_trigger_started(server: str) -> None:
    run_id = f"cli__manual__{uuid4().hex}"
    with AirflowApi(server, "starter", PASSWORDS["starter"]) as api:
        api.trigger("stock", run_id, {})
    result = CliRunner().invoke(app, ["triggers", "list"])
    assert result.exit_code == 0, result.stderr
    assert run_id in result.stdout
