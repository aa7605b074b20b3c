"""Webhooks and `sluiceway trigger --flow-id` on a real Airflow: what starts a run, and that nothing else does."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dev.environment import ROOT
from sluiceway.errors import AirflowApiError
from sluiceway.rest import access
from sluiceway.rest.airflow_api import AirflowApi
from tests.integration.deployment import DAG_ID, Deployment
from tests.signing import signature

FLOW_ID, DOCUMENTED = "hooked", "documented"
PAGE = (ROOT / "docs" / "reference" / "flows.md").read_text(encoding="utf-8")
TABLES = {"us_state": "t01", "us_county": "t02"}
"""Those of the page, and those of this deployment."""
SECRET = "known to the sender alone"
CONNECTION = {"connection_id": "hook_secret", "conn_type": "http", "password": SECRET}
FLOW = """
flow_type = "tables"
tables = ["t01", "t02", "t03"]
[[triggers]]
id = "hook"
type = "api"
connection = "hook_secret"
params = { tables = "load.these" }
[[triggers]]
id = "deployed"
type = "api"
provider = "github"
connection = "hook_secret"
params = { commit_sha = "deployment.sha" }
only = { "deployment_status.state" = "success" }
[[triggers]]
id = "off"
type = "api"
connection = "hook_secret"
enabled = false
[[triggers]]
id = "by_hand"
type = "cli"
"""
TEN_MB = 10 * 1024 * 1024


@pytest.fixture(scope="module")
def _hooked(_running: Deployment) -> Iterator[Deployment]:
    file = _running.config / "flows" / f"{FLOW_ID}.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(FLOW, encoding="utf-8")
    example = file.with_stem(DOCUMENTED)
    example.write_text(documented_flow(), encoding="utf-8")
    _running.touch("flows.py")
    _running.api.post("connections", CONNECTION)
    for dag_id in (FLOW_ID, f"{FLOW_ID}__events", DOCUMENTED, f"{DOCUMENTED}__events"):
        _running.until(lambda dag_id=dag_id: dag_of(_running, dag_id))  # type: ignore[misc]
    yield _running
    file.unlink()
    example.unlink()


def with_tables_of_here(text: str) -> str:
    for named, table in TABLES.items():
        text = text.replace(f'"{named}"', f'"{table}"')
    return text


def documented_flow() -> str:
    """The example of the page, with this deployment's tables and the connection that it has."""
    (text,) = re.findall(r"```toml\n([^`]*census_published[^`]*)```", PAGE)
    # the other flow has a hook of that name
    text = with_tables_of_here(text).replace('id = "deployed"', 'id = "deployed_too"')
    return re.sub(r'connection = "\w+_hook\w*"', 'connection = "hook_secret"', text)


@pytest.fixture
def hooked(_hooked: Deployment, deployment: Deployment) -> Deployment:
    """The deployment, with the flow."""
    return deployment


def dag_of(deployment: Deployment, dag_id: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = deployment.api.get(f"dags/{dag_id}")
    except AirflowApiError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return None
    return found


def timed(body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    return {"X-Timestamp": stamp, "X-Signature-256": signature(f"{stamp}.".encode() + body, secret)}


def post(deployment: Deployment, hook: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    address = f"{deployment.stack.url}/sluiceway/hooks/{hook}"
    return httpx.post(address, content=body, headers=headers, timeout=30)


def asking_for(*tables: str, **more: Any) -> bytes:
    return json.dumps({"load": {"these": tables}, "id": uuid4().hex, **more}).encode()


def events(deployment: Deployment) -> int:
    return int(deployment.query(f"SELECT count(*) FROM etl.trigger_event WHERE flow_id = '{FLOW_ID}'")[0][0])


def run_of(deployment: Deployment, answer: httpx.Response, hook: str, *, flow_id: str = FLOW_ID) -> dict[str, Any]:
    """The run of an accepted request, when it has ended."""
    assert answer.status_code == 202, answer.text
    run_id = f"event__{hook}__{answer.json()['event_id']}"
    return deployment.until(
        lambda: run if (run := deployment.runs(flow_id).get(run_id)) and run["state"] in {"success", "failed"} else None
    )


def command(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "sluiceway"), "trigger", "--flow-id", FLOW_ID, *arguments],
        env=dict(deployment.stack.env),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_a_signed_request_starts_one_run_with_its_params(hooked: Deployment) -> None:
    before = hooked.runs(FLOW_ID)
    body = asking_for("t02")
    headers = timed(body)
    run = run_of(hooked, post(hooked, "hook", body, headers), "hook")
    assert (run["state"], run["conf"]["tables"], run["conf"]["trigger_id"]) == ("success", ["t02"], "hook")
    assert list(hooked.ledger(run["run_id"], FLOW_ID)[1]) == ["t02"]
    assert post(hooked, "hook", body, headers).status_code == 409
    assert set(hooked.runs(FLOW_ID)) - set(before) == {run["run_id"]}


def test_the_example_of_the_page_starts_a_green_run(hooked: Deployment) -> None:
    (body,) = re.findall(r"^body='(.*)' now=", PAGE, re.MULTILINE)
    sent = with_tables_of_here(body).encode()
    run = run_of(hooked, post(hooked, "census_published", sent, timed(sent)), "census_published", flow_id=DOCUMENTED)
    assert (run["state"], run["conf"]["tables"]) == ("success", ["t01"])
    assert list(hooked.ledger(run["run_id"], DOCUMENTED)[1]) == ["t01"]


def test_a_deployment_status_of_github_starts_a_run_of_its_commit(hooked: Deployment) -> None:
    sha = hashlib.sha1(uuid4().bytes, usedforsecurity=False).hexdigest()
    body = json.dumps({"deployment_status": {"state": "success"}, "deployment": {"sha": sha}}).encode()
    headers = {
        "X-GitHub-Event": "deployment_status",
        "X-GitHub-Delivery": str(uuid4()),
        "X-Hub-Signature-256": f"sha256={signature(body, SECRET)}",
    }
    run = run_of(hooked, post(hooked, "deployed", body, headers), "deployed")
    assert (run["state"], run["conf"]["commit_sha"]) == ("success", sha)
    assert hooked.ledger(run["run_id"], FLOW_ID)[0].commit_sha == sha


def test_no_refusal_starts_anything(hooked: Deployment) -> None:
    before, seen = hooked.runs(FLOW_ID), events(hooked)
    body = asking_for("t01")
    headers = timed(body)
    big = asking_for("t01", filling="x" * TEN_MB)
    first = post(hooked, "hook", body, headers)
    refused = {
        "bad signature": post(hooked, "hook", body, timed(body, secret="guessed")),
        "no signature": post(hooked, "hook", body, {}),
        "old": post(hooked, "hook", (old := asking_for("t01")), timed(old, at=time.time() - 400)),
        "replayed": post(hooked, "hook", body, headers),
        "ten megabytes": post(hooked, "hook", big, timed(big)),
        "broken": post(hooked, "hook", b"{", timed(b"{")),
        "disabled": post(hooked, "off", body, headers),
        "unknown": post(hooked, "nowhere", body, headers),
    }
    statuses = {name: answer.status_code for name, answer in refused.items()}
    assert statuses == {
        "bad signature": 401,
        "no signature": 401,
        "old": 401,
        "replayed": 409,
        "ten megabytes": 413,
        "broken": 400,
        "disabled": 404,
        "unknown": 404,
    }
    last = asking_for("t03")
    expected = {run_of(hooked, first, "hook")["run_id"]}
    # whatever a refusal had started would be there before the run of what was sent after it
    expected.add(run_of(hooked, post(hooked, "hook", last, timed(last)), "hook")["run_id"])
    assert set(hooked.runs(FLOW_ID)) - set(before) == expected
    assert events(hooked) == seen + 2


def test_the_same_request_twenty_times_at_once_is_one_run(hooked: Deployment) -> None:
    before = hooked.runs(FLOW_ID)
    body = asking_for("t01")
    headers = timed(body)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(hooked, "hook", body, headers), range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 19
    run = run_of(hooked, min(answers, key=lambda answer: answer.status_code), "hook")
    assert set(hooked.runs(FLOW_ID)) - set(before) == {run["run_id"]}


def test_a_paused_flow_refuses_and_takes_the_same_request_when_it_is_on_again(hooked: Deployment) -> None:
    body = asking_for("t01")
    hooked.api.patch(f"dags/{FLOW_ID}", {"is_paused": True})
    try:
        assert post(hooked, "hook", body, timed(body)).status_code == 503
    finally:
        hooked.api.patch(f"dags/{FLOW_ID}", {"is_paused": False})
    assert run_of(hooked, post(hooked, "hook", body, timed(body)), "hook")["state"] == "success"


def test_the_command_starts_a_flow_once_per_batch(hooked: Deployment) -> None:
    batch = uuid4().hex
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(lambda _: command(hooked, "--batch-id", batch, "--param", 'tables=["t03"]'), range(5)))
    assert [each.returncode for each in done] == [0] * 5, [each.stderr for each in done]
    assert {each.stdout for each in done} == {f"cli__by_hand__{batch}\n"}
    assert sum("already enqueued" in each.stderr for each in done) == 4
    run_id = f"cli__by_hand__{batch}"
    assert (
        hooked.until(
            lambda: state if (state := hooked.runs(FLOW_ID)[run_id]["state"]) in {"success", "failed"} else None
        )
        == "success"
    )
    assert list(hooked.ledger(run_id, FLOW_ID)[1]) == ["t03"]


def test_the_command_refuses_a_disabled_trigger_and_starts_nothing(hooked: Deployment) -> None:
    before = hooked.runs(FLOW_ID)
    done = command(hooked, "--trigger-id", "off")
    assert (done.returncode, "is disabled" in done.stderr) == (2, True)
    assert set(hooked.runs(FLOW_ID)) == set(before)


def test_the_triggers_are_shown_with_their_last_run_to_who_may_read_the_flow(hooked: Deployment) -> None:
    body = asking_for("t01")
    run = run_of(hooked, post(hooked, "hook", body, timed(body)), "hook")
    assert command(hooked, "--batch-id", "shown", "--param", 'tables=["t01"]').returncode == 0

    def shown(token: str) -> dict[str, dict[str, Any]]:
        address = f"{hooked.stack.url}/sluiceway/api/triggers"
        answer = httpx.get(address, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
        return {each["trigger_id"]: each for each in answer.json()["triggers"] if each["flow_id"] == FLOW_ID}

    found = shown(hooked.stack.token())
    assert set(found) == {"hook", "deployed", "off", "by_hand"}
    assert (found["hook"]["state"], found["hook"]["last_run_id"]) == ("waiting", run["run_id"])
    assert (found["off"]["state"], found["by_hand"]["last_run_id"]) == ("disabled", "cli__by_hand__shown")
    access.setup(hooked.api, user="ci-hooks", password=SECRET)
    with AirflowApi(hooked.stack.url, "ci-hooks", SECRET) as ci:
        assert ci.get(f"dags/{DAG_ID}")["dag_id"] == DAG_ID
    login = {"username": "ci-hooks", "password": SECRET}
    token = httpx.post(f"{hooked.stack.url}/auth/token", json=login).raise_for_status().json()["access_token"]
    assert shown(token) == {}
    assert httpx.get(f"{hooked.stack.url}/sluiceway/api/triggers").status_code == 401


def test_no_secret_of_a_hook_is_logged(hooked: Deployment) -> None:
    logs = [path for path in hooked.stack.layout.logs.rglob("*") if path.is_file()]
    assert len(logs) > 5
    assert [str(path) for path in logs if SECRET in path.read_text(errors="replace")] == []
