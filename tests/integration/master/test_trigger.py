"""The trigger against a real Airflow with FAB, as the user that `sluiceway access setup` makes for CI."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from dev.environment import ROOT
from sluiceway.errors import AirflowApiError
from sluiceway.rest import access
from tests.integration.deployment import DAG_ID, Deployment
from tests.integration.master.test_marked_before import waiting

SCRIPT = ROOT / "include" / "sluiceway" / "deploy" / "trigger.py"
USERNAME, PASSWORD = "ci-trigger", "known to the runner alone"
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module", autouse=True)
def _one_table(_running: Deployment) -> Iterator[None]:
    """It does not matter here what a run loads."""
    with _running.only_tables("t01"):
        yield


@pytest.fixture(scope="module")
def login(_running: Deployment) -> dict[str, str]:
    """Who calls: a user with the role `CI trigger` and no other."""
    access.setup(_running.api, user=USERNAME, password=PASSWORD)
    return {"AIRFLOW_USERNAME": USERNAME, "AIRFLOW_PASSWORD": PASSWORD}


@pytest.fixture
def sha() -> str:
    """A commit that nobody has deployed."""
    return hashlib.sha1(uuid4().bytes, usedforsecurity=False).hexdigest()


@pytest.fixture
def call(deployment: Deployment, login: dict[str, str], sha: str, tmp_path: Path) -> Iterator[Call]:
    """The script, for the test's commit; what it enqueued is over after the test."""

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "--url", deployment.stack.url, "--commit", sha, *arguments],
            env={"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "output"), **login, **env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done

    yield run
    for run_id in runs_of(deployment, sha):
        end(deployment, run_id)


def runs_of(deployment: Deployment, sha: str) -> list[str]:
    found = deployment.api.get(f"dags/{DAG_ID}/dagRuns", run_id_prefix_pattern=f"deploy__{sha}", order_by="id")
    return [run["dag_run_id"] for run in found["dag_runs"]]


def end(deployment: Deployment, run_id: str) -> None:
    """Whatever the run did, it has failed."""

    def ended() -> bool | None:
        try:
            deployment.api.patch(f"dags/{DAG_ID}/dagRuns/{run_id}", {"state": "failed"})
        except AirflowApiError as error:
            # the scheduler works on the same rows: Airflow tells their deadlock as 500
            if error.status != httpx.codes.INTERNAL_SERVER_ERROR:
                raise
            return None
        return True

    deployment.until(ended)


def fail(deployment: Deployment, run_id: str) -> None:
    """Let the run end, and call that a failure: the scheduler would overwrite the state of one that still runs."""
    deployment.wait(run_id)
    end(deployment, run_id)


@pytest.fixture
def dag_file(deployment: Deployment) -> Iterator[Path]:
    """The deployed file of the master DAG; after the test it is what it was, and parsed."""
    path = deployment.stack.layout.dags / f"{DAG_ID}.py"
    before = path.read_text(encoding="utf-8")
    yield path
    deploy(path, before)
    deployment.parse(path.name)
    deployment.until(
        lambda: (
            True
            if (dag := deployment.api.get(f"dags/{DAG_ID}"))
            and not (dag["is_stale"] or dag["has_import_errors"] or "build:new" in {tag["name"] for tag in dag["tags"]})
            else None
        )
    )


def deploy(path: Path, text: str) -> None:
    """As an object store does: the file is there at once."""
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def test_a_commit_is_enqueued_with_its_conf_and_a_note(deployment: Deployment, call: Call, sha: str) -> None:
    done = call("--repository", "owner/app", "--actor", "octocat", "--ci-run-url", "https://ci.example.org/42")
    assert (done.returncode, done.stdout) == (0, f"{deployment.stack.url}/dags/{DAG_ID}/runs/deploy__{sha}\n")
    run = deployment.api.run(DAG_ID, f"deploy__{sha}")
    assert run["conf"] == {
        "commit_sha": sha,
        "repository": "owner/app",
        "actor": "octocat",
        "ci_run_url": "https://ci.example.org/42",
    }
    assert run["logical_date"] is None
    # the run itself names the person in full from Airflow 3.4 on
    asked = "SELECT owner FROM log WHERE event = 'trigger_dag_run' AND extra LIKE %s"
    assert deployment.metadata(asked, f"%deploy__{sha}%") == [{"owner": USERNAME}]
    assert "started by [CI](https://ci.example.org/42)" in run["note"]
    assert httpx.get(done.stdout.strip()).status_code == httpx.codes.OK


def test_what_the_trigger_sends_is_a_run_the_master_dag_accepts(deployment: Deployment, call: Call, sha: str) -> None:
    assert call("--repository", "group/sub/app", "--actor", "dependabot[bot]").returncode == 0
    assert deployment.wait(f"deploy__{sha}") == "success"
    assert deployment.ledger(f"deploy__{sha}")[0].commit_sha == sha
    again = call()
    assert (again.returncode, "already enqueued, success" in again.stderr) == (0, True)


def test_a_duplicate_is_enqueued_already(deployment: Deployment, call: Call, sha: str) -> None:
    assert call().returncode == 0
    done = call()
    assert (done.returncode, "already enqueued" in done.stderr) == (0, True)
    assert runs_of(deployment, sha) == [f"deploy__{sha}"]


def test_a_run_that_was_marked_failed_while_it_waited_does_not_stand_for_the_deploy(
    deployment: Deployment, call: Call, sha: str
) -> None:
    """Airflow ends it as success, every task skipped."""
    with waiting(deployment, "t01"):
        call()
        deployment.api.patch(f"dags/{DAG_ID}/dagRuns/deploy__{sha}", {"state": "failed"})
    assert deployment.wait(f"deploy__{sha}") == "success"
    done = call()
    assert f"deploy__{sha} is success in Airflow and counts for nothing, its report says failed" in done.stderr
    assert runs_of(deployment, sha) == [f"deploy__{sha}", f"deploy__{sha}__2"]
    assert deployment.wait(f"deploy__{sha}__2") == "success"
    assert "already enqueued, success" in call().stderr


def test_twenty_calls_at_once_make_one_run(deployment: Deployment, call: Call, sha: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: call(), range(20)))
    assert [each.returncode for each in done] == [0] * 20, [each.stderr for each in done]
    assert runs_of(deployment, sha) == [f"deploy__{sha}"]
    assert sum("already enqueued" in each.stderr for each in done) == 19


def test_twenty_calls_at_once_after_a_failure_make_one_run_more(deployment: Deployment, call: Call, sha: str) -> None:
    call()
    fail(deployment, f"deploy__{sha}")
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: call(), range(20)))
    assert [each.returncode for each in done] == [0] * 20, [each.stderr for each in done]
    assert runs_of(deployment, sha) == [f"deploy__{sha}", f"deploy__{sha}__2"]


def test_a_run_posted_by_hand_with_a_subset_of_tables_does_not_stand_for_the_deploy(
    deployment: Deployment, call: Call, sha: str
) -> None:
    deployment.trigger(f"deploy__{sha}", tables=["t01"])
    assert f"deploy__{sha}__2 enqueued" in call().stderr
    assert deployment.wait(f"deploy__{sha}") == "failed", "the gate refuses it"
    assert "its conf has no commit_sha" in (deployment.ledger(f"deploy__{sha}")[0].note or "")
    assert deployment.wait(f"deploy__{sha}__2") == "success"
    assert deployment.ledger(f"deploy__{sha}__2")[0].commit_sha == sha


def test_twenty_calls_at_once_for_a_rollback_make_one_run(deployment: Deployment, call: Call, sha: str) -> None:
    """CI sees no ledger: that a run of another commit was enqueued since tells a rollback."""
    call()
    deployment.wait(f"deploy__{sha}")
    other = hashlib.sha1(sha.encode(), usedforsecurity=False).hexdigest()
    assert call("--commit", other).returncode == 0
    deployment.wait(f"deploy__{other}")
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: call(), range(20)))
    assert [each.returncode for each in done] == [0] * 20, [each.stderr for each in done]
    assert runs_of(deployment, sha) == [f"deploy__{sha}", f"deploy__{sha}__2"]
    assert deployment.wait(f"deploy__{sha}__2") == "success"
    assert "already enqueued, success" in call().stderr, "nothing came since"


def test_a_run_by_hand_with_a_short_commit_counts(deployment: Deployment, call: Call, sha: str) -> None:
    deployment.trigger(f"deploy__{sha[:12]}", commit_sha=sha)
    done = call()
    assert f"deploy__{sha[:12]} already enqueued" in done.stderr
    end(deployment, f"deploy__{sha[:12]}")


def test_a_paused_dag_gets_no_run(deployment: Deployment, call: Call, sha: str) -> None:
    deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
    try:
        done = call()
    finally:
        deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": False})
    assert (done.returncode, "is paused" in done.stderr) == (4, True)
    assert runs_of(deployment, sha) == []


def test_a_missing_dag_is_code_4_for_who_may_see_it_and_3_for_ci(deployment: Deployment, call: Call) -> None:
    admin = {"AIRFLOW_USERNAME": deployment.stack.username, "AIRFLOW_PASSWORD": deployment.stack.password}
    done = call("--dag", "mastr_etl", "--wait-for-dag", "0", **admin)
    assert (done.returncode, "There is no DAG 'mastr_etl'" in done.stderr) == (4, True)
    done = call("--dag", "mastr_etl", "--wait-for-dag", "0")
    assert (done.returncode, "or there is no such DAG" in done.stderr) == (3, True)


def test_a_wrong_token_and_a_wrong_password_are_code_3(call: Call) -> None:
    done = call(AIRFLOW_TOKEN="not.a.token")
    assert (done.returncode, "Invalid JWT token" in done.stderr) == (3, True)
    done = call(AIRFLOW_PASSWORD="wrong")
    assert (done.returncode, "Invalid credentials" in done.stderr) == (3, True)


def test_a_conf_that_the_dag_refuses_is_code_5(deployment: Deployment, call: Call, sha: str) -> None:
    done = call("--repository", "no-owner")
    assert (done.returncode, "Invalid input for param repository" in done.stderr) == (5, True)
    assert runs_of(deployment, sha) == []


def test_an_import_error_is_code_4(deployment: Deployment, call: Call, dag_file: Path, sha: str) -> None:
    deploy(dag_file, "raise RuntimeError('broken deploy')\n" + dag_file.read_text(encoding="utf-8"))
    deployment.until(lambda: True if deployment.api.get(f"dags/{DAG_ID}")["has_import_errors"] else None)
    done = call("--wait-for-dag", "1")
    assert (done.returncode, "has an import error" in done.stderr) == (4, True)
    assert runs_of(deployment, sha) == []


def test_an_old_build_is_waited_for_and_the_new_one_gets_the_run(
    deployment: Deployment, call: Call, dag_file: Path, sha: str
) -> None:
    code = dag_file.read_text(encoding="utf-8")
    began = time.monotonic()
    done = call("--build-id", "new", "--wait-for-dag", "2")
    assert (done.returncode, "is not that of build:new" in done.stderr) == (4, True)
    assert time.monotonic() - began >= 2
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call, "--build-id", "new", "--wait-for-dag", "100")
        deploy(dag_file, code.replace("*build_tags()", '"build:new"'))
        assert waiting.result().returncode == 0
    assert runs_of(deployment, sha) == [f"deploy__{sha}"]
