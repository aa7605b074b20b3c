"""What CI's role may do on a real Airflow with FAB, and all that it may not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dev.docs.access import CI_MAY, CI_REFUSED
from dev.environment import ROOT
from sluiceway.errors import AccessError, AirflowApiError
from sluiceway.rest import access
from sluiceway.rest.access import RIGHTS, ROLE
from sluiceway.rest.airflow_api import AirflowApi
from tests.integration.deployment import DAG_ID, Deployment
from tests.integration.master.conftest import HURRIED_DAG_ID

PASSWORD = "known to CI alone"
FORBIDDEN = httpx.codes.FORBIDDEN


@pytest.fixture(scope="module")
def ci(_running: Deployment) -> Iterator[AirflowApi]:
    """CI's own session, after one setup."""
    access.setup(_running.api, user="ci", password=PASSWORD)
    with AirflowApi(_running.stack.url, "ci", PASSWORD) as api:
        yield api


@pytest.fixture
def asked(_running: Deployment, ci: AirflowApi) -> Iterator[httpx.Client]:
    """The same user as a plain HTTP client."""
    with httpx.Client(base_url=_running.stack.url, headers={"Authorization": f"Bearer {token_of(_running)}"}) as client:
        yield client


def token_of(deployment: Deployment) -> str:
    answer = httpx.post(f"{deployment.stack.url}/auth/token", json={"username": "ci", "password": PASSWORD})
    return str(answer.raise_for_status().json()["access_token"])


def rights_of(api: AirflowApi) -> set[tuple[str, str]]:
    role = api.auth("GET", f"roles/{ROLE}")
    return {(right["action"]["name"], right["resource"]["name"]) for right in role["actions"]}


def command(deployment: Deployment, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`sluiceway access setup` as an operator runs it."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "sluiceway"), "access", "setup", *arguments],
        env={**deployment.stack.env, **variables},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_ci_reads_and_triggers_the_master_dag_and_reads_its_runs(deployment: Deployment, ci: AirflowApi) -> None:
    assert ci.get(f"dags/{DAG_ID}")["is_paused"] is False
    run_id = f"ci__{uuid4().hex[:8]}"
    assert ci.trigger(DAG_ID, run_id, {"tables": ["t01"]})["state"] == "queued"
    assert deployment.wait(run_id) == "success"
    assert ci.run(DAG_ID, run_id)["state"] == "success"
    found = ci.get(f"dags/{DAG_ID}/dagRuns", run_id_prefix_pattern="ci__")
    assert run_id in {run["dag_run_id"] for run in found["dag_runs"]}


def test_ci_sees_no_other_dag(ci: AirflowApi, deployment: Deployment) -> None:
    assert HURRIED_DAG_ID in {dag["dag_id"] for dag in deployment.api.get("dags")["dags"]}
    assert {dag["dag_id"] for dag in ci.get("dags")["dags"]} == {DAG_ID}


BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v2/dags/{other}/dagRuns"): {"dag_run_id": "not-allowed", "logical_date": None, "conf": {}},
    ("PATCH", "/api/v2/dags/{other}"): {"is_paused": True},
    ("POST", "/api/v2/dags/{master}/clearTaskInstances"): {"dry_run": False, "dag_run_id": "any"},
    ("POST", "/api/v2/connections"): {"connection_id": "stolen", "conn_type": "http"},
    ("POST", "/api/v2/connections/test"): {"connection_id": "stolen", "conn_type": "http"},
    ("POST", "/api/v2/variables"): {"key": "stolen", "value": "x"},
    ("POST", "/api/v2/backfills"): {"dag_id": HURRIED_DAG_ID, "from_date": "2026-01-01", "to_date": "2026-01-02"},
    ("POST", "/auth/fab/v1/users"): dict.fromkeys(("username", "email", "first_name", "last_name", "password"), "x"),
    ("PATCH", "/auth/fab/v1/users/admin"): {"password": "taken over"},
    ("PATCH", "/auth/fab/v1/roles/{role}"): {
        "name": ROLE,
        "actions": [{"action": {"name": "can_read"}, "resource": {"name": "Connections"}}],
    },
}
"""What is sent with some of them: without it they would be refused for another reason."""


def asked_for(path: str) -> str:
    return path.format(other=HURRIED_DAG_ID, master=DAG_ID, role=ROLE)


@pytest.mark.parametrize(("method", "path"), CI_REFUSED)
def test_everything_else_is_forbidden(asked: httpx.Client, method: str, path: str) -> None:
    answer = asked.request(method, asked_for(path), json=BODIES.get((method, path)))
    assert answer.status_code == FORBIDDEN, answer.text


@pytest.mark.parametrize(("method", "path"), CI_MAY)
def test_what_ci_needs_is_open_to_it(asked: httpx.Client, method: str, path: str) -> None:
    body = {"dag_run_id": f"ci__{uuid4().hex[:8]}", "logical_date": None, "conf": {"tables": ["t01"]}}
    answer = asked.request(method, asked_for(path), json=body if method == "POST" else None)
    assert answer.status_code == httpx.codes.OK, answer.text


def test_every_body_is_of_a_request_that_is_tried() -> None:
    assert BODIES.keys() <= {*CI_REFUSED, *CI_MAY}


def test_an_administrator_may_what_is_forbidden_to_ci(deployment: Deployment) -> None:
    """So that the 403s above are about the role, not about the path."""
    for path in ("connections", "variables", "pools", "importErrors", "jobs", f"dags/{HURRIED_DAG_ID}"):
        deployment.api.get(path)
    for path in ("users", "roles", "permissions"):
        deployment.api.auth("GET", path)


def test_without_edit_on_the_dag_nobody_triggers_it(deployment: Deployment, ci: AirflowApi) -> None:
    """The one right that is wider than its use: it is there because Airflow asks for it."""
    without = [access._as_json(right) for right in sorted(RIGHTS) if right != ("can_edit", f"DAG:{DAG_ID}")]
    deployment.api.auth("POST", "roles", {"name": "no edit", "actions": without})
    person = dict.fromkeys(("username", "email", "first_name", "last_name", "password"), "no-edit")
    deployment.api.auth("POST", "users", {**person, "roles": [{"name": "no edit"}]})
    with AirflowApi(deployment.stack.url, "no-edit", "no-edit") as api, pytest.raises(AirflowApiError) as refused:
        api.trigger(DAG_ID, "no-edit", {})
    assert refused.value.status == FORBIDDEN


def test_a_second_setup_changes_nothing(deployment: Deployment, ci: AirflowApi) -> None:
    before = deployment.api.auth("GET", "users/ci")
    done = access.setup(deployment.api, user="ci", password=PASSWORD)
    assert done == access.Done((f"The role {ROLE!r} was right already.", "The user 'ci' was right already."))
    after = deployment.api.auth("GET", "users/ci")
    assert rights_of(deployment.api) == RIGHTS
    assert {key: after[key] for key in ("roles", "changed_on")} == {key: before[key] for key in ("roles", "changed_on")}


def test_rights_somebody_added_by_hand_are_taken_back(deployment: Deployment, ci: AirflowApi) -> None:
    wider = [access._as_json(right) for right in sorted(RIGHTS | {("can_read", "Connections")})]
    deployment.api.auth("PATCH", f"roles/{ROLE}", {"name": ROLE, "actions": wider})
    done = access.setup(deployment.api)
    assert done.sentences == (f"The role {ROLE!r} was corrected: - can_read on Connections.",)
    assert rights_of(deployment.api) == RIGHTS


def test_the_command_prints_a_generated_password_alone_and_once(deployment: Deployment, ci: AirflowApi) -> None:
    first = command(deployment, "--user", "generated")
    assert first.returncode == 0, first.stderr
    with AirflowApi(deployment.stack.url, "generated", first.stdout.strip()) as api:
        assert api.get(f"dags/{DAG_ID}")["dag_id"] == DAG_ID
    second = command(deployment, "--user", "generated")
    assert (second.returncode, second.stdout) == (0, "")
    assert "was right already" in second.stderr


def test_a_password_of_the_environment_is_set_and_never_printed(deployment: Deployment, ci: AirflowApi) -> None:
    for password, sentence in (("first one", "was created"), ("another", "got the new password")):
        done = command(deployment, "--user", "given", SLUICEWAY_CI_PASSWORD=password)
        assert (done.returncode, done.stdout) == (0, "")
        assert sentence in done.stderr
        assert password not in done.stderr
        assert deployment.api.accepts("given", password)
    assert not deployment.api.accepts("given", "first one")


def test_a_user_with_another_role_is_left_alone(deployment: Deployment, ci: AirflowApi) -> None:
    with pytest.raises(AccessError, match="'admin' exists with the roles Admin and was left alone"):
        access.setup(deployment.api, user="admin")
    assert [role["name"] for role in deployment.api.auth("GET", "users/admin")["roles"]] == ["Admin"]


def test_somebody_who_is_no_administrator_sets_up_nothing(deployment: Deployment, ci: AirflowApi) -> None:
    done = command(
        deployment,
        "--user",
        "mine",
        SLUICEWAY_AIRFLOW_USERNAME="ci",
        SLUICEWAY_AIRFLOW_PASSWORD=PASSWORD,
    )
    assert done.returncode == 1
    assert "Airflow answered 403" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_role_can_be_made_with_airflows_own_commands(deployment: Deployment, ci: AirflowApi) -> None:
    """What docs/how-to/access.md gives for Composer, where nobody has an administrator's password."""
    lines = [
        ["roles", "create", "by command"],
        ["roles", "add-perms", "by command", "-a", "can_read", "can_edit", "-r", f"DAG:{DAG_ID}"],
        ["roles", "add-perms", "by command", "-a", "can_read", "can_create", "-r", f"DAG Run:{DAG_ID}"],
    ]
    # in one process: each `airflow` takes 7 s for what it imports
    every = "import sys, json, airflow.__main__ as a\nfor sys.argv in json.loads(sys.argv[1]): a.main()"
    command = [sys.executable, "-c", every, json.dumps([["airflow", *line] for line in lines])]
    subprocess.run(command, env=dict(deployment.stack.env), check=True, capture_output=True, cwd=ROOT)
    role = deployment.api.auth("GET", "roles/by command")
    held = {(right["action"]["name"], right["resource"]["name"]) for right in role["actions"]}
    assert held == RIGHTS


def test_no_secret_of_a_user_is_logged(deployment: Deployment, ci: AirflowApi) -> None:
    secrets = [PASSWORD, deployment.stack.password]
    logs = [path for path in deployment.stack.layout.logs.rglob("*") if path.is_file()]
    assert len(logs) > 5
    texts = {path: path.read_text(errors="replace") for path in logs}
    assert [str(path) for path, text in texts.items() if any(secret in text for secret in secrets)] == []
    assert json.loads(deployment.stack.layout.record.read_text())["phase"] == "ready"


def test_the_pools_are_made_and_corrected_as_declared_and_a_second_time_nothing_is_done(
    deployment: Deployment, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "airflow:\n  pools:\n    - {pool_name: 'heavy / 1', pool_slot: 2, pool_description: Heavy tables}\n"
        "    - {pool_name: light, pool_slot: -1}\n"
    )

    def applied(*options: str) -> list[str]:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "sluiceway"), "pools", "apply", "--file", str(file), *options],
            env=dict(deployment.stack.env),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return done.stdout.splitlines()

    assert applied("--dry-run")[0] == "The pool 'heavy / 1' would be created with 2 slots."
    assert applied()[0] == "The pool 'heavy / 1' was created with 2 slots."
    made = {pool["name"]: pool for pool in deployment.api.get("pools")["pools"]}
    assert (made["heavy / 1"]["slots"], made["heavy / 1"]["description"]) == (2, "Heavy tables")
    assert made["light"]["slots"] == -1
    right = ["The pool 'heavy / 1' was right already.", "The pool 'light' was right already."]
    assert applied() == right
    file.write_text(file.read_text().replace("pool_slot: 2", "pool_slot: 3"))
    assert applied("--dry-run")[0] == "The pool 'heavy / 1' would be corrected: slots 2 -> 3."
    assert applied()[0] == "The pool 'heavy / 1' was corrected: slots 2 -> 3."
    assert applied() == right
