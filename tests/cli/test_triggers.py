"""`sluiceway triggers list|show|test|next`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.cli.app import app
from sluiceway.events import Look
from sluiceway.flows.check import TAKE_EVENTS, TASKS
from sluiceway.flows.files import read_flow
from sluiceway.flows.look import look_now
from sluiceway.flows.trigger import SensorTrigger
from sluiceway.ledger import events
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import from_environment
from tests.flows.configured import CLI, HOOK, NIGHTLY, after, configured, flow

HOURLY = '[[triggers]]\nid = "hourly"\ntype = "schedule"\nschedule = "30 * * * *"\n'


@pytest.fixture
def run(tmp_path: Path, setting: Callable[..., None]) -> Callable[..., Result]:
    """Types a command in a deployment whose flow `orders` watches a folder."""
    (tmp_path / "in").mkdir()
    watch = (
        f'[[triggers]]\nid = "files"\ntype = "sensor"\nsensor_type = "directory"\npath = "{tmp_path / "in"}"\n'
        "settle_seconds = 0\n"
    )
    hook = HOOK + 'params = { order = "order.id" }\nonly = { state = "new" }\n'
    closed = CLI + 'enabled = false\ndescription = "closed"\n'
    text = flow(watch, NIGHTLY, HOURLY, hook, closed)
    setting(config_dir=configured(tmp_path, orders=text, idle=flow(CLI)).config_dir)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["triggers", *arguments])

    return run


def of(result: Result, trigger_id: str) -> dict[str, object]:
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    listed = found["triggers"] if isinstance(found, dict) else found
    return next(each for each in listed if each["trigger_id"] == trigger_id)


def looked(url: str) -> None:
    """Look as the triggerer does."""
    trigger = read_flow("orders").trigger("files")
    assert isinstance(trigger, SensorTrigger)
    look_now(url, trigger, from_environment)


def test_list_shows_every_trigger_without_a_warehouse_too(run: Callable[..., Result]) -> None:
    result = run("list")
    assert result.exit_code == 0
    for name in ("orders", "idle", "files", "sensor.directory", "unseen", "nightly", "hook", "manual", "disabled"):
        assert name in result.stdout
    assert "SLUICEWAY_WAREHOUSE_URL" in result.stderr


def test_list_warns_of_a_trigger_that_follows_a_task_which_is_no_more(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "include" / "config" / "flows" / "follower.toml"
    file.write_text(flow(after("orders", more='source_task_id = "final.report"\n')))
    result = run("list", "--json")
    assert of(result, "after")["state"] == "waiting"
    assert "triggers.after.source_task_id = 'final.report': 'orders' has no such task" in result.stderr
    file.write_text(flow(after("orders", more='source_task_id = "verdict"\n')))
    assert "triggers.after" not in run("list").stderr


def test_list_shows_what_the_ledger_knows(run: Callable[..., Result], warehouse_url: str, tmp_path: Path) -> None:
    looked(warehouse_url)
    (tmp_path / "in" / "a.csv").write_text("1")
    looked(warehouse_url)
    found = of(run("list", "--json", "--warehouse", warehouse_url), "files")
    assert (found["state"], found["unclaimed_events"]) == ("waiting", 1)
    with connect(warehouse_url) as session:
        events.claim(session, "orders", "scheduled__1")
        events.record_error(session, "orders", "files", "the folder is gone")
    found = of(run("list", "--json", "--warehouse", warehouse_url), "files")
    assert (found["state"], found["last_run_id"], found["last_error"]) == (
        "failing",
        "scheduled__1",
        "the folder is gone",
    )


def test_list_and_show_warn_of_what_a_sensor_cannot_see(
    run: Callable[..., Result], warehouse_url: str, tmp_path: Path
) -> None:
    looked(warehouse_url)
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "in" / "closed" / "a.csv")
    with connect(warehouse_url) as session:
        known = events.state(session, "orders", "files")
        assert isinstance(known.cursor, dict)
        # as a look leaves it that may not follow the link
        cursor = {**known.cursor, "known": {**known.cursor["known"], "unseen": ["link.csv"]}}  # type: ignore[dict-item]
        events.record_look(session, known, Look((), cursor), config_hash=known.config_hash)
    said = f"{tmp_path / 'in' / 'link.csv'}: cannot be read by the user that looks"
    result = run("list", "--json", "--warehouse", warehouse_url)
    assert f"warning: orders.files: {said}" in " ".join(result.stderr.split())
    assert str(of(result, "files")["warning"]).startswith(said)
    shown = run("show", "orders", "files", "--json", "--warehouse", warehouse_url)
    assert str(of(shown, "files")["warning"]).startswith(said)
    for trigger in ((), ("files",)):
        read = run("show", "orders", *trigger, "--warehouse", warehouse_url)
        assert f"warning: {said}" in " ".join(read.stdout.split()), "who reads it is told too"
    file = tmp_path / "include" / "config" / "flows" / "orders.toml"
    file.write_text(file.read_text().replace("settle_seconds = 0", "enabled = false"))
    assert of(run("list", "--json", "--warehouse", warehouse_url), "files")["warning"] is None, "nobody looks any more"


def test_a_test_says_that_a_file_still_settles(run: Callable[..., Result], warehouse_url: str, tmp_path: Path) -> None:
    file = tmp_path / "include" / "config" / "flows" / "orders.toml"
    file.write_text(file.read_text().replace("settle_seconds = 0", "settle_seconds = 3600"))
    looked(warehouse_url)
    (tmp_path / "in" / "a.csv").write_text("1")
    found = of(run("test", "orders", "files", "--json", "--warehouse", warehouse_url), "files")
    assert not found["fires"]
    assert "something has not settled" in str(found["reason"])


def test_show_gives_what_is_declared_and_the_cursor(run: Callable[..., Result], warehouse_url: str) -> None:
    looked(warehouse_url)
    found = of(run("show", "orders", "files", "--json", "--warehouse", warehouse_url), "files")
    declared = found["declared"]
    assert isinstance(declared, dict)
    assert declared["settle_seconds"] == 0
    assert found["cursor"] is not None
    shown = run("show", "orders", "--warehouse", warehouse_url).stdout
    assert "orders (tables)" in shown
    assert "starts when: files | nightly | hourly | hook | manual" in shown


def test_show_of_a_flow_that_there_is_not_names_the_nearest(run: Callable[..., Result]) -> None:
    result = run("show", "order")
    assert result.exit_code == 2
    assert "did you mean 'orders'?" in result.stderr


def test_the_first_look_of_a_test_finds_nothing_new(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in" / "a.csv").write_text("1")
    found = of(run("test", "orders", "files", "--json"), "files")
    assert (found["fires"], found["events"]) == (False, [])
    assert "first look" in str(found["reason"])


def test_a_test_looks_with_the_cursor_of_the_ledger_and_writes_nothing(
    run: Callable[..., Result], warehouse_url: str, tmp_path: Path
) -> None:
    looked(warehouse_url)
    (tmp_path / "in" / "a.csv").write_text("1")
    for _ in range(2):
        found = of(run("test", "orders", "files", "--json", "--warehouse", warehouse_url), "files")
        assert found["fires"]
        (event,) = found["events"]  # type: ignore[misc]
        assert event["path"] == str(tmp_path / "in" / "a.csv")
    with connect(warehouse_url) as session:
        assert events.count_unclaimed(session, "orders") == 0


def test_a_test_of_a_place_that_cannot_be_seen_ends_with_1(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "in").rmdir()
    result = run("test", "orders", "files")
    assert result.exit_code == 1
    assert "files: cannot be seen: " in result.stdout


def test_a_test_of_all_triggers_says_what_each_waits_for(run: Callable[..., Result]) -> None:
    shown = run("test", "orders").stdout
    assert "nightly: would not start: its next time is " in shown
    assert "hook: would not start: it waits for a request; give one with --payload FILE" in shown
    assert "manual: would not start: it is disabled (enabled = false)" in shown
    assert "manual: would start: whoever asks is let through" in run("test", "idle").stdout


def test_a_test_of_a_hook_maps_the_payload(run: Callable[..., Result], tmp_path: Path) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text('{"state": "new", "order": {"id": 42}}')
    found = of(run("test", "orders", "hook", "--payload", str(payload), "--json"), "hook")
    assert (found["fires"], found["params"]) == (True, {"order": 42})
    payload.write_text('{"state": "old"}')
    assert "the payload is not what `only` asks for" in run("test", "orders", "hook", "--payload", str(payload)).stdout


@pytest.mark.parametrize("content", [None, "{"])
def test_a_payload_that_cannot_be_read_says_so(run: Callable[..., Result], tmp_path: Path, content: str | None) -> None:
    payload = tmp_path / "payload.json"
    if content is not None:
        payload.write_text(content)
    result = run("test", "orders", "hook", "--payload", str(payload))
    assert result.exit_code == 2
    assert f"error: {payload}: " in result.stderr


def test_next_merges_the_schedules_of_a_flow_in_order(run: Callable[..., Result]) -> None:
    result = run("next", "orders", "-n", "4", "--after", "2026-10-24T23:00", "--json")
    found = [(each["local"], each["trigger_ids"]) for each in json.loads(result.stdout)]
    # 01:30 UTC is 02:30 in Berlin the second time, in winter's time: one run for both
    assert found == [
        ("2026-10-24T23:30:00+00:00", ["hourly"]),
        ("2026-10-25T00:30:00+00:00", ["hourly"]),
        ("2026-10-25T01:30:00+00:00", ["nightly", "hourly"]),
        ("2026-10-25T02:30:00+00:00", ["hourly"]),
    ]


def test_next_prints_local_time_and_utc(
    run: Callable[..., Result], tmp_path: Path, setting: Callable[..., None]
) -> None:
    setting(config_dir=configured(tmp_path / "other", night=flow(NIGHTLY)).config_dir)
    lines = run("next", "night", "-n", "2", "--after", "2026-03-28").stdout.splitlines()
    assert lines[1].split() == ["Sat", "2026-03-28", "02:30", "CET", "2026-03-28", "01:30", "nightly"]
    assert lines[2].split() == ["Sun", "2026-03-29", "03:30", "CEST", "2026-03-29", "01:30", "nightly"]


def test_next_of_a_flow_without_a_schedule_says_what_to_do(run: Callable[..., Result]) -> None:
    result = run("next", "idle")
    assert result.exit_code == 2
    assert "Flow 'idle' has no schedule that is enabled; add a trigger of type schedule." in result.stderr


def test_the_tasks_that_a_flow_may_follow_are_those_of_the_dag() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags" / "master_etl.py")
    tasks = {task.task_id for task in bag.dags["master_etl"].tasks}
    assert tasks - {TAKE_EVENTS} == set(TASKS)
