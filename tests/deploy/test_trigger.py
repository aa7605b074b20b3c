"""The trigger as CI runs it: a process of its own, over real HTTP, on every Python that a runner may have."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dev.environment import ROOT
from tests.stand_ins.airflow_rest import PASSWORD, USERNAME, AirflowRest

SCRIPT = ROOT / "include" / "sluiceway" / "deploy" / "trigger.py"
ACTION = ROOT / ".github" / "actions" / "trigger-etl"
STAND_INS = ROOT / "tests" / "stand_ins"
SHA = "0123456789abcdef0123456789abcdef01234567"
RUN = f"deploy__{SHA}"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
OLD_TOKEN = "static-token-of-a-deployment"
GITHUB = {
    "GITHUB_REPOSITORY": "owner/app",
    "GITHUB_ACTOR": "octocat",
    "GITHUB_RUN_ID": "42",
    "GITHUB_SERVER_URL": "https://github.com",
}


def pythons() -> list[str]:
    """This Python, and the oldest and newest of a runner where they are installed."""
    found = [sys.executable]
    pyenv = shutil.which("pyenv")
    versions = (Path(pyenv).parents[1] if pyenv else Path.home() / ".pyenv") / "versions"
    for version in ("3.9", "3.13"):
        installed = sorted(versions.glob(f"{version}.*/bin/python"))
        path = str(installed[-1]) if installed else shutil.which(f"python{version}")
        # pyenv leaves programs on PATH that only say which versions there are
        if path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            found.append(path)
    return found


@dataclass
class Call:
    """What one call did."""

    code: int
    out: str
    err: str
    seconds: float
    output: str
    summary: str

    @property
    def everything(self) -> str:
        return self.out + self.err + self.output + self.summary


@dataclass
class Caller:
    """Calls the script as a runner does: nothing of this shell but PATH."""

    airflow: AirflowRest
    folder: Path
    env: dict[str, str] = field(default_factory=lambda: {"AIRFLOW_USERNAME": USERNAME, "AIRFLOW_PASSWORD": PASSWORD})
    python: str = sys.executable
    script: Path = SCRIPT

    def __call__(self, *arguments: str, url: str | None = None, **env: str) -> Call:
        where = [] if "--composer" in arguments else ["--url", url or self.airflow.uri]
        what = [] if "--commit" in arguments else ["--commit", SHA]
        output, summary = (self.folder / f"{name}-{time.monotonic_ns()}" for name in ("output", "summary"))
        began = time.monotonic()
        done = subprocess.run(
            [self.python, str(self.script), *where, *what, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONDONTWRITEBYTECODE": "1",
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                **self.env,
                **env,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        written = [path.read_text() if path.exists() else "" for path in (output, summary)]
        call = Call(done.returncode, done.stdout, done.stderr, time.monotonic() - began, *written)
        assert "Traceback" not in call.err, call.err
        return call


@pytest.fixture
def airflow() -> Iterator[AirflowRest]:
    with AirflowRest() as service:
        service.add_dag()
        yield service


@pytest.fixture
def call(airflow: AirflowRest, tmp_path: Path) -> Caller:
    return Caller(airflow, tmp_path)


@pytest.fixture
def path_with_gcloud(tmp_path: Path) -> str:
    """PATH with the stand-in of gcloud first, run by this Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gcloud"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_INS / "gcloud"}" "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("python", pythons())
def test_a_commit_gets_its_run_on_every_python(airflow: AirflowRest, call: Caller, python: str) -> None:
    call.python = python
    done = call(**GITHUB)
    assert done.code == 0, done.err
    assert done.out == f"{airflow.uri}/dags/master_etl/runs/{RUN}\n"
    assert done.output == f"run_id={RUN}\nrun_url={airflow.uri}/dags/master_etl/runs/{RUN}\n"
    assert f"[{RUN}]({airflow.uri}/dags/master_etl/runs/{RUN}) enqueued" in done.summary
    run = airflow.runs[RUN]
    assert run["logical_date"] is None
    assert run["conf"] == {
        "commit_sha": SHA,
        "repository": "owner/app",
        "actor": "octocat",
        "ci_run_url": "https://github.com/owner/app/actions/runs/42",
    }
    assert run["note"] == (
        f"Deploy of [owner/app@0123456](https://github.com/owner/app/commit/{SHA}) by octocat, "
        "started by [CI](https://github.com/owner/app/actions/runs/42)"
    )


def test_a_copy_of_the_file_alone_works_beside_modules_named_like_the_standard_library(
    airflow: AirflowRest, call: Caller, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("http", "json", "ssl", "random"):
        (folder / f"{name}.py").write_text("raise ImportError('not me')\n")
    call.script = Path(shutil.copy(SCRIPT, folder))
    assert call().code == 0
    assert list(airflow.runs) == [RUN]


def test_without_github_only_the_commit_is_sent(airflow: AirflowRest, call: Caller) -> None:
    assert call().code == 0
    assert airflow.runs[RUN]["conf"] == {"commit_sha": SHA}
    assert airflow.runs[RUN]["note"] == "Deploy of 0123456"


def test_another_dag_below_a_path_is_named_in_the_address(call: Caller, tmp_path: Path) -> None:
    with AirflowRest(root="/dabc123") as airflow:
        airflow.add_dag("other etl")
        done = Caller(airflow, tmp_path)("--dag", "other etl", url=f"{airflow.uri}/api/v2/")
    assert done.out == f"{airflow.uri}/dags/other%20etl/runs/{RUN}\n"


# runs that are there already


@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_a_run_that_is_there_is_not_started_again(airflow: AirflowRest, call: Caller, state: str) -> None:
    airflow.add_run(RUN, state)
    done = call()
    assert (done.code, done.out) == (0, f"{airflow.uri}/dags/master_etl/runs/{RUN}\n")
    assert f"{RUN} already enqueued, {state}" in done.err
    assert airflow.asked("POST", "dagRuns") == 0


def test_after_failed_runs_the_next_one_starts(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_run(RUN, "failed")
    assert call().output.startswith(f"run_id={RUN}__2\n")
    airflow.runs[f"{RUN}__2"]["state"] = "failed"
    assert call().output.startswith(f"run_id={RUN}__3\n")
    assert call().output.startswith(f"run_id={RUN}__3\n")
    assert list(airflow.runs) == [RUN, f"{RUN}__2", f"{RUN}__3"]


@pytest.mark.parametrize(("said", "number"), [("failed", 2), ("abandoned", 2), ("superseded", 1), ("success", 1)])
def test_a_run_that_airflow_calls_good_counts_for_what_its_report_says(
    airflow: AirflowRest, call: Caller, said: str, number: int
) -> None:
    """One that is marked failed while it waits ends in Airflow as success, and has loaded nothing."""
    airflow.add_run(RUN, "success")
    airflow.reports[RUN] = {"status": said, "sentence": "Ended before its verdict: <b>\n::warning::x"}
    done = call()
    assert done.output.startswith(f"run_id={RUN}{'__2' if number == 2 else ''}\n")
    refused = f"{RUN} is success in Airflow and counts for nothing, its report says {said}: Ended before its verdict"
    assert (refused in done.err) == (number == 2)
    assert "\n::warning" not in done.err
    assert "already enqueued, " in call().err, "and then the new one stands"


def test_a_sluiceway_that_is_older_than_the_program_is_asked_at_its_own_address(
    airflow: AirflowRest, call: Caller
) -> None:
    airflow.reports_at = "reports"
    airflow.add_run(RUN, "success")
    airflow.reports[RUN] = {"status": "failed", "sentence": "no"}
    assert call().output.startswith(f"run_id={RUN}__2\n")


@pytest.mark.parametrize("fault", ["status", "drop", "cut", "html"])
def test_a_report_that_does_not_answer_changes_nothing(airflow: AirflowRest, call: Caller, fault: str) -> None:
    airflow.add_run(RUN, "success")
    airflow.reports[RUN] = {"status": "failed", "sentence": "no"}
    airflow.fault(fault, times=9, path="/sluiceway/")
    assert f"{RUN} already enqueued, success" in call().err
    assert airflow.asked("GET", "/sluiceway/") == 1


def test_a_commit_that_failed_nine_times_needs_a_person(airflow: AirflowRest, call: Caller) -> None:
    for run_id in (RUN, *(f"{RUN}__{number}" for number in range(2, 10))):
        airflow.add_run(run_id, "failed")
    done = call()
    assert done.code == 5
    assert f"See why {RUN}__9 ended" in done.err


@pytest.mark.parametrize("digits", [7, 12, 39])
def test_a_run_named_by_a_short_commit_counts(airflow: AirflowRest, call: Caller, digits: int) -> None:
    airflow.add_run(f"deploy__{SHA[:digits]}", "running", conf={"commit_sha": SHA})
    assert call().output.startswith(f"run_id=deploy__{SHA[:digits]}\n")
    assert airflow.asked("POST", "dagRuns") == 0


def test_a_failed_run_named_by_a_short_commit_leaves_the_full_name_free(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_run(f"deploy__{SHA[:7]}", "failed", conf={"commit_sha": SHA})
    assert call().output.startswith(f"run_id={RUN}\n")


@pytest.mark.parametrize(
    "run_id", [f"deploy__{SHA[:7]}0000", f"deploy__{SHA[:6]}", f"deploy__{SHA[:7]}x", f"{RUN}_by_hand"]
)
def test_a_run_of_another_name_does_not_count(airflow: AirflowRest, call: Caller, run_id: str) -> None:
    airflow.add_run(run_id, "running", conf={"commit_sha": SHA})
    assert call().output.startswith(f"run_id={RUN}\n")


def test_a_run_behind_the_first_page_counts(airflow: AirflowRest, call: Caller) -> None:
    for number in range(150):
        airflow.add_run(f"deploy__{SHA[:7]}{number:033d}", "success")
    airflow.add_run(RUN, "running")
    assert call().code == 0
    assert airflow.asked("POST", "dagRuns") == 0


@pytest.mark.parametrize(
    "conf", [{}, {"commit_sha": SHA, "tables": ["city"]}, {"commit_sha": SHA[::-1]}, {"tables": ["city"]}]
)
@pytest.mark.parametrize("state", ["queued", "running", "success"])
def test_a_run_posted_by_hand_whose_conf_says_otherwise_does_not_stand_for_the_deploy(
    airflow: AirflowRest, call: Caller, state: str, conf: dict[str, object]
) -> None:
    airflow.add_run(RUN, state, conf=conf)
    done = call()
    assert (done.code, done.output.splitlines()[0]) == (0, f"run_id={RUN}__2")
    assert airflow.runs[f"{RUN}__2"]["conf"] == {"commit_sha": SHA}


def test_a_run_posted_by_hand_in_the_very_moment_does_not_stand_for_the_deploy(
    airflow: AirflowRest, call: Caller
) -> None:
    airflow.on_post = lambda: None if RUN in airflow.runs else airflow.add_run(RUN, "queued", conf={})
    assert call().output.startswith(f"run_id={RUN}__2\n")


def test_an_empty_list_of_tables_is_all_of_them(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_run(RUN, "success", conf={"commit_sha": SHA, "tables": []})
    assert f"{RUN} already enqueued, success" in call().err


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
def test_a_rollback_to_a_commit_that_succeeded_or_was_superseded_gets_its_run(
    airflow: AirflowRest, call: Caller, state: str
) -> None:
    """A superseded run is green too."""
    airflow.add_run(RUN, "success")
    airflow.add_run(f"deploy__{OTHER}", state)
    done = call()
    assert (done.code, done.output.splitlines()[0]) == (0, f"run_id={RUN}__2")
    assert f"{RUN}__2 already enqueued, queued" in call().err
    airflow.runs[f"{RUN}__2"]["state"] = "success"
    assert f"{RUN}__2 already enqueued, success" in call().err, "nothing came since the rollback"
    assert len(airflow.runs) == 3


def test_a_rollback_is_no_rollback_when_the_other_commit_came_before_or_is_none(
    airflow: AirflowRest, call: Caller
) -> None:
    airflow.add_run(f"deploy__{OTHER}", "success")
    airflow.add_run(RUN, "success")
    airflow.add_run(f"{RUN}__2", "failed")
    airflow.add_run(f"deploy__{OTHER}__2", "success", conf={"commit_sha": OTHER, "tables": ["city"]})
    airflow.add_run("deploy__nothing", "success", conf={})
    assert f"{RUN} already enqueued, success" in call().err
    assert airflow.asked("POST", "dagRuns") == 0


def test_a_rollback_behind_a_run_that_waits_needs_no_other(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_run(RUN, "queued")
    airflow.add_run(f"deploy__{OTHER}", "queued")
    assert f"{RUN} already enqueued, queued" in call().err


def test_a_tenth_rollback_is_no_failure(airflow: AirflowRest, call: Caller) -> None:
    for number in range(2, 12):
        airflow.add_run(RUN if number == 2 else f"{RUN}__{number - 1}", "success")
        airflow.add_run(f"deploy__{OTHER}__{number}", "success")
    assert call().output.startswith(f"run_id={RUN}__11\n")


def test_a_rollback_runs_a_commit_again_that_succeeded(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_run(RUN, "success")
    assert call("--again").output.startswith(f"run_id={RUN}__2\n")
    assert call("--again").output.startswith(f"run_id={RUN}__2\n"), "one that waits is not joined by another"
    assert len(airflow.runs) == 2


@pytest.mark.parametrize("before", [None, "failed", "success"])
def test_twenty_calls_at_once_make_one_run(airflow: AirflowRest, call: Caller, before: str | None) -> None:
    if before is not None:
        airflow.add_run(RUN, before)
    if before == "success":
        airflow.add_run(f"deploy__{OTHER}", "success")
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _: call(), range(20)))
    assert [each.code for each in done] == [0] * 20, [each.err for each in done]
    new = RUN if before is None else f"{RUN}__2"
    assert [run_id for run_id in airflow.runs if OTHER not in run_id] == ([RUN] if before else []) + [new]
    assert {each.output.splitlines()[0] for each in done} == {f"run_id={new}"}


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
def test_a_call_that_loses_the_race_names_the_winners_run(airflow: AirflowRest, call: Caller, state: str) -> None:
    """Even one that failed meanwhile: it began after this call looked, so it is this deploy's run."""
    airflow.on_post = lambda: None if RUN in airflow.runs else airflow.add_run(RUN, state)
    done = call()
    assert (done.code, done.output.splitlines()[0]) == (0, f"run_id={RUN}")
    assert f"already enqueued, {state}" in done.err
    assert len(airflow.runs) == 1


# whether the DAG is ready


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_paused": True}, "is paused: a run would be accepted and wait for ever"),
        ({"has_import_errors": True}, "has an import error"),
        ({"is_stale": True}, "is stale"),
        ({"tags": ["build:old", "etl"]}, "is not that of build:new: Airflow shows build:old. Waited 0.2 s"),
        ({"tags": ["etl"]}, "is not that of build:new: Airflow shows no build"),
    ],
)
def test_a_dag_that_is_not_ready_gets_no_run(
    airflow: AirflowRest, call: Caller, changes: dict[str, object], said: str
) -> None:
    airflow.add_dag(**{"tags": ["build:new"], **changes})
    done = call("--build-id", "new", "--wait-for-dag", "0.2")
    assert done.code == 4
    assert said in done.err
    assert "was not started" in done.summary and said in done.summary
    assert (done.out, airflow.runs) == ("", {})


def test_a_missing_dag_is_named(airflow: AirflowRest, call: Caller) -> None:
    done = call("--dag", "mastr_etl", "--wait-for-dag", "0")
    assert done.code == 4
    assert "There is no DAG 'mastr_etl'" in done.err


def test_a_paused_dag_is_not_waited_for(airflow: AirflowRest, call: Caller) -> None:
    airflow.add_dag(is_paused=True, tags=["build:old"])
    assert call("--build-id", "new", "--wait-for-dag", "60").code == 4
    assert airflow.asked("GET") == 1


def test_new_code_is_waited_for(airflow: AirflowRest, call: Caller) -> None:
    airflow.dags.clear()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call, "--build-id", "new", "--wait-for-dag", "60", "--timeout", "0.9")
        looks = 0
        for changes in (
            {"tags": ["build:old"]},
            {"tags": ["build:new"], "has_import_errors": True},
            {"tags": ["build:new"]},
        ):
            while airflow.asked("GET", "/api/v2/dags/") == looks:
                time.sleep(0.02)
            looks = airflow.asked("GET", "/api/v2/dags/")
            assert airflow.runs == {}
            airflow.add_dag(**changes)
        assert waiting.result().code == 0, "waiting spends nothing of --timeout"
    assert list(airflow.runs) == [RUN]


def test_a_dag_that_breaks_between_look_and_post_is_code_4(airflow: AirflowRest, call: Caller) -> None:
    said = {"detail": "Dag with dag_id: 'master_etl' has import errors and cannot be triggered"}
    airflow.fault("status", method="POST", path="dagRuns", status=400, body=said)
    assert call().code == 4
    airflow.fault("status", method="POST", path="dagRuns", status=404, body={"detail": "not found"})
    assert call().code == 4


# refusals


def test_a_conf_that_airflow_refuses_is_code_5_with_its_words(airflow: AirflowRest, call: Caller) -> None:
    said = {"detail": "Invalid input for param repository: 'x' does not match '^[^/]+/[^/]+$'"}
    airflow.fault("status", method="POST", path="dagRuns", status=400, body=said)
    done = call()
    assert done.code == 5
    assert "Invalid input for param repository" in done.err


def test_a_body_that_airflow_refuses_is_code_5_without_what_was_sent(airflow: AirflowRest, call: Caller) -> None:
    problem = {
        "type": "extra_forbidden",
        "loc": ["body", "note"],
        "msg": "Extra inputs are not permitted",
        "input": "shh",
    }
    airflow.fault("status", method="POST", path="dagRuns", status=422, body={"detail": [problem]})
    done = call()
    assert done.code == 5
    assert "422 body.note: Extra inputs are not permitted" in done.err
    assert "shh" not in done.everything


def test_a_conflict_without_a_run_ends(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", 99, method="POST", path="dagRuns", status=409, body={"detail": {"reason": "Unique"}})
    done = call()
    assert done.code == 5
    assert "exists (409), and shows no such run" in done.err


# faults on the way


@pytest.mark.parametrize("path", ["/auth/token", "/dags/master_etl", "/dagRuns"])
@pytest.mark.parametrize("kind", ["429", "500", "502", "503", "504", "drop", "cut", "lost"])
def test_a_fault_is_tried_again_and_makes_no_second_run(
    airflow: AirflowRest, call: Caller, kind: str, path: str
) -> None:
    if kind.isdigit():
        airflow.fault("status", path=path, status=int(kind), body=b"<html>busy</html>")
    else:
        airflow.fault(kind, path=path)
    done = call()
    assert done.code == 0, done.err
    assert list(airflow.runs) == [RUN]


@pytest.mark.parametrize("kind", ["lost", "cut"])
def test_a_post_whose_answer_is_lost_is_found_by_its_id(airflow: AirflowRest, call: Caller, kind: str) -> None:
    airflow.fault(kind, method="POST", path="dagRuns")
    done = call()
    assert (done.code, done.output.splitlines()[0]) == (0, f"run_id={RUN}")
    assert airflow.asked("POST", "dagRuns") == 2
    assert list(airflow.runs) == [RUN]


def test_retry_after_is_respected_in_seconds_and_as_a_date(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", path="/auth/token", status=429, headers={"Retry-After": "2"}, body={"detail": "slow down"})
    done = call()
    assert done.code == 0
    assert done.seconds >= 2
    date = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    airflow.fault("status", path="/auth/token", headers={"Retry-After": date})
    done = call()
    assert done.code == 0
    assert done.seconds >= 1.5


def test_a_wait_that_is_longer_than_the_time_left_is_not_begun(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", 9, headers={"Retry-After": "300"})
    done = call("--timeout", "20")
    assert done.code == 3
    assert "asks to be left alone for 300 s" in done.err
    assert len(airflow.requests) == 1


@pytest.mark.parametrize("kind", ["slow", "drip"])
def test_an_answer_that_does_not_end_ends_with_the_time_limit(airflow: AirflowRest, call: Caller, kind: str) -> None:
    airflow.fault(kind, 99, path="/dags/")
    done = call("--timeout", "2")
    assert done.code == 3
    assert "/api/v2/dags/master_etl within 2 s (--timeout)" in done.err
    assert "no whole answer within" in done.err or "timed out" in done.err
    assert done.seconds < 12


def test_an_airflow_that_is_down_is_code_3_within_the_time_limit(call: Caller) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = call("--timeout", "2", url=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert done.code == 3
    assert "Connection refused" in done.err
    assert done.seconds < 12


def test_an_airflow_that_comes_back_is_waited_for(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", 4, status=503, body=b"<html>starting</html>")
    assert call().code == 0


def test_a_host_that_does_not_exist_is_code_3(call: Caller) -> None:
    done = call("--timeout", "1", url="https://airflow.invalid")
    assert done.code == 3
    assert "No answer from https://airflow.invalid" in done.err


def test_a_web_page_instead_of_an_answer_is_shown(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("html", path="/dags/")
    done = call()
    assert done.code == 3
    assert "is no Airflow 3, or something stands before it" in done.err and "<title>Sign in</title>" in done.err


def test_another_services_json_is_not_taken_for_a_run(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", path="/dags/", status=200, body={"ok": True})
    assert call().code == 3
    airflow.fault("status", method="POST", path="/dagRuns", status=200, body={"ok": True})
    done = call()
    assert done.code == 3
    assert f"has no dag_run_id '{RUN}'" in done.err


# who calls, and what must not be seen


def test_a_wrong_password_is_code_3(airflow: AirflowRest, call: Caller) -> None:
    done = call(AIRFLOW_PASSWORD="wrong-password")
    assert done.code == 3
    assert "401 Invalid credentials" in done.err
    assert "wrong-password" not in done.everything


def test_a_token_is_used_as_it_is(airflow: AirflowRest, call: Caller) -> None:
    airflow.tokens.add(OLD_TOKEN)
    assert call(AIRFLOW_TOKEN=f"{OLD_TOKEN}\n").code == 0
    assert airflow.asked("POST", "/auth/token") == 0


@pytest.mark.parametrize("expired", [False, True])
def test_a_wrong_or_expired_token_is_code_3_and_not_shown(airflow: AirflowRest, call: Caller, expired: bool) -> None:
    if expired:
        airflow.expired.add(OLD_TOKEN)
    done = call(AIRFLOW_TOKEN=OLD_TOKEN)
    assert done.code == 3
    assert ("401 Token Expired" if expired else "403 Invalid JWT token") in done.err
    assert OLD_TOKEN not in done.everything
    assert airflow.runs == {}


def test_a_token_that_expires_on_the_way_is_bought_again(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", path="/dagRuns?", status=401, body={"detail": "Token Expired"})
    assert call().code == 0
    assert airflow.asked("POST", "/auth/token") == 2


def test_a_role_without_the_right_is_told_which(airflow: AirflowRest, call: Caller) -> None:
    airflow.fault("status", path="/dags/", status=403, body={"detail": "Forbidden"})
    done = call()
    assert (done.code, "can_read on DAG:master_etl" in done.err) == (3, True)
    airflow.fault("status", method="POST", path="/dagRuns", status=403, body={"detail": "Forbidden"})
    done = call()
    assert (done.code, "can_edit on DAG:master_etl" in done.err) == (3, True)


def test_an_error_that_repeats_the_secrets_does_not_show_them(airflow: AirflowRest, call: Caller) -> None:
    """A proxy's error page with the request's headers, a validation error with the request's body."""
    airflow.tokens.add(OLD_TOKEN)
    page = f"<pre>Authorization: Bearer {OLD_TOKEN}\n::error::{OLD_TOKEN}</pre>".encode()
    airflow.fault("status", method="POST", path="/dagRuns", status=400, body=page)
    done = call(AIRFLOW_TOKEN=OLD_TOKEN)
    assert done.code == 5
    assert OLD_TOKEN not in done.everything
    assert "\n::" not in done.everything, "no line of a server's may be a command of the runner's"
    login = {"loc": ["body"], "msg": "wrong", "input": {"password": PASSWORD}}
    for body in ({"detail": [login]}, {"detail": login}, {"password": PASSWORD}, PASSWORD.encode()):
        airflow.fault("status", path="/auth/token", status=422, body=body)
        done = call()
        assert done.code == 3
        assert "secret" not in done.everything and "pass/word" not in done.everything


def test_a_fresh_token_in_an_error_is_not_shown(airflow: AirflowRest, call: Caller) -> None:
    token = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIyIn0.signature-of-it"
    airflow.fault("status", path="/dags/", status=400, body={"detail": f"bad token {token}"})
    done = call()
    assert (done.code, "bad token ***" in done.err) == (3, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_follows_no_redirect(airflow: AirflowRest, call: Caller, tmp_path: Path, status: int) -> None:
    with AirflowRest() as other:
        airflow.fault("status", path="/dags/", status=status, headers={"Location": f"{other.uri}/login?token=abc"})
        done = call()
        assert done.code == 3
        assert f"sends us to {other.uri.rsplit(':', 1)[0]}" in done.err
        assert "abc" not in done.err
        assert other.requests == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://airflow.example.org", "secrets would travel unencrypted"),
        ("http://127.0.0.1.example.org", "secrets would travel unencrypted"),
        ("https://ci:hidden-word@airflow.example.org", "holds a user or a password"),
        ("https://[bad", "is no address"),
        ("https://", "is no address"),
        ("ftp://airflow.example.org", "is no address"),
        ("https://airflow.example.org:port", "is no address"),
    ],
)
def test_an_address_that_is_none_or_not_safe_is_code_2(call: Caller, url: str, said: str) -> None:
    done = call(url=url)
    assert done.code == 2
    assert said in done.err
    assert "hidden-word" not in done.everything


def test_http_is_allowed_when_somebody_says_so(call: Caller) -> None:
    assert call("--allow-http", "--timeout", "0.5", url="http://airflow.invalid").code == 3


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody has signed, with its key."""
    path = tmp_path / "localhost.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", str(path), "-out", str(tmp_path / "c.pem")], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "c.pem").read_text())
    return path


def test_https_needs_a_trusted_certificate(tmp_path: Path, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with AirflowRest(tls=context) as airflow:
        airflow.add_dag()
        call = Caller(airflow, tmp_path)
        done = call()
        assert done.code == 3
        assert "is not trusted" in done.err and "SSL_CERT_FILE" in done.err
        assert airflow.requests == []
        assert call(SSL_CERT_FILE=str(tmp_path / "c.pem")).code == 0
        assert list(airflow.runs) == [RUN]


# options


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--commit", SHA[:12]], "give all 40 digits"),
        (["--commit", SHA + "0"], "give all 40 digits"),
        (["--timeout", "soon"], "--timeout: 'soon' is no number of seconds; write one from 0 to 86400"),
        (["--timeout", "nan"], "--timeout: 'nan' is no number of seconds; write one from 0 to 86400"),
        (["--wait-for-dag", "-1"], "--wait-for-dag: '-1' is no number of seconds; write one from 0 to 86400"),
        (["--composer", "env"], "--composer needs --location and --project"),
        (["--composer", "--format=json", "--location", "l", "--project", "p"], "expected one argument"),
        (["--composer=--format=json", "--location", "l", "--project", "p"], "is no such name"),
        (["--password", "x"], "unrecognized arguments"),
    ],
)
def test_a_wrong_option_is_code_2(airflow: AirflowRest, call: Caller, arguments: list[str], said: str) -> None:
    done = call(*arguments)
    assert done.code == 2
    assert said in done.err
    assert airflow.requests == []


def test_an_upper_case_commit_is_the_same_commit(airflow: AirflowRest, call: Caller) -> None:
    call("--commit", SHA.upper())
    assert list(airflow.runs) == [RUN]


def test_without_secrets_it_says_which_are_missing(airflow: AirflowRest, call: Caller) -> None:
    call.env = {}
    for env in ({}, {"AIRFLOW_USERNAME": "ci"}, {"AIRFLOW_PASSWORD": "x", "AIRFLOW_TOKEN": ""}):
        done = call(**env)
        assert done.code == 2
        assert "set AIRFLOW_TOKEN, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD" in done.err


def test_a_token_with_a_line_break_is_code_2_and_not_shown(airflow: AirflowRest, call: Caller) -> None:
    done = call(AIRFLOW_TOKEN="first\nsecond-part")
    assert done.code == 2
    assert "AIRFLOW_TOKEN holds no token" in done.err
    assert "second-part" not in done.everything


def test_outputs_that_cannot_be_written_do_not_unsay_the_run(airflow: AirflowRest, call: Caller) -> None:
    done = call(GITHUB_OUTPUT="/nowhere/output")
    assert done.code == 0
    assert "GITHUB_OUTPUT cannot be written" in done.err


# Composer and Astro


def composer(call: Caller, path: str, **env: str) -> Call:
    log = call.folder / "gcloud.log"
    call.env = {}
    where = ("--composer", "staging", "--location", "us-central1", "--project", "shop-1")
    return call(*where, PATH=path, GCLOUD_LOG=str(log), **env)


def test_composer_is_found_and_entered_with_gcloud(airflow: AirflowRest, call: Caller, path_with_gcloud: str) -> None:
    token = "ya29.c.c0ASRK0Ga-token_of.gcloud"
    airflow.tokens.add(token)
    done = composer(call, path_with_gcloud, GCLOUD_URI=airflow.uri, GCLOUD_TOKEN=token)
    assert done.code == 0, done.err
    assert list(airflow.runs) == [RUN]
    assert airflow.asked("POST", "/auth/token") == 0
    assert token not in done.everything
    assert (call.folder / "gcloud.log").read_text().splitlines() == [
        "composer environments describe staging --location us-central1 --project shop-1 "
        "--format=value(config.airflowUri)",
        "auth print-access-token",
    ]


def test_a_google_token_that_expires_is_asked_for_again(
    airflow: AirflowRest, call: Caller, path_with_gcloud: str
) -> None:
    airflow.tokens.add("ya29.x")
    airflow.fault("status", path="/dagRuns?", status=401, body={"detail": "Token Expired"})
    assert composer(call, path_with_gcloud, GCLOUD_URI=airflow.uri, GCLOUD_TOKEN="ya29.x").code == 0
    assert (call.folder / "gcloud.log").read_text().count("print-access-token") == 2


def test_composers_login_page_is_code_3(airflow: AirflowRest, call: Caller, path_with_gcloud: str) -> None:
    airflow.fault("status", status=302, headers={"Location": "https://accounts.google.com/o/oauth2/auth?client=1"})
    done = composer(call, path_with_gcloud, GCLOUD_URI=airflow.uri, GCLOUD_TOKEN="ya29.x")
    assert done.code == 3
    assert "sends us to https://accounts.google.com" in done.err


def test_a_gcloud_that_nobody_is_logged_in_to_is_code_3(call: Caller, path_with_gcloud: str) -> None:
    done = composer(call, path_with_gcloud)
    assert done.code == 3
    assert (
        "gcloud composer environments describe failed: ERROR: (gcloud.composer.environments.describe) You" in done.err
    )


def test_a_composer_without_a_web_server_is_code_3(call: Caller, path_with_gcloud: str) -> None:
    done = composer(call, path_with_gcloud, GCLOUD_TOKEN="ya29.x")
    assert (done.code, "has no web server yet" in done.err) == (3, True)


def test_without_gcloud_composer_is_code_3(call: Caller, tmp_path: Path) -> None:
    done = composer(call, str(tmp_path))
    assert (done.code, "gcloud is not on the PATH" in done.err) == (3, True)


def test_astros_own_name_of_a_token_is_for_astro_alone(airflow: AirflowRest, call: Caller) -> None:
    call.env = {}
    assert call(ASTRO_API_TOKEN="astro-token").code == 2
    # a proxy that refuses, so that nothing leaves this machine
    url = "cl0123.astronomer.run/d26r52oy/api/v2"
    done = call("--timeout", "1", url=url, ASTRO_API_TOKEN="astro-token", HTTPS_PROXY=airflow.uri)
    assert done.code == 3
    assert "No answer from https://cl0123.astronomer.run/d26r52oy/api/v2/dags/master_etl" in done.err
    assert "astro-token" not in done.everything


# the action, and sluiceway trigger


def test_the_action_hands_on_its_inputs_and_none_is_code(airflow: AirflowRest, tmp_path: Path) -> None:
    """What GitHub does with action.yml: inputs become variables, and bash runs the script."""
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    [step] = action["runs"]["steps"]
    assert "${{" not in step["run"]
    given = {"url": airflow.uri, "commit": SHA, "dag": '$(touch hit) "; touch hit; `touch hit`'}
    inputs = {name: given.get(name, declared["default"]) for name, declared in action["inputs"].items()}
    env = {
        name: re.sub(r"\$\{\{ inputs\.(.+?) \}\}", lambda m: inputs[m[1]], text) for name, text in step["env"].items()
    }
    airflow.add_dag(given["dag"])
    output = tmp_path / "output"
    runner = {"PATH": os.environ["PATH"], "GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(output)}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={**runner, **env, "AIRFLOW_USERNAME": USERNAME, "AIRFLOW_PASSWORD": PASSWORD},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(airflow.runs) == [RUN]
    assert {name.split("=")[0] for name in output.read_text().splitlines()} == set(action["outputs"])
    assert list(tmp_path.iterdir()) == [output]


def test_the_command_is_the_same_program(airflow: AirflowRest, tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "sluiceway")
    kept = {
        "PATH": os.environ["PATH"],
        "SLUICEWAY_ENV_FILE": str(tmp_path / "none.env"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    named = {
        "SLUICEWAY_AIRFLOW_URL": airflow.uri,
        "SLUICEWAY_AIRFLOW_USERNAME": USERNAME,
        "SLUICEWAY_AIRFLOW_PASSWORD": PASSWORD,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [program, "trigger", "--commit", SHA, *arguments]
        return subprocess.run(command, env={**kept, **named}, capture_output=True, text=True, check=False)

    done = run("--build-id", "new", "--wait-for-dag", "0")
    assert (done.returncode, "is not that of build:new" in done.stderr) == (1, True)
    done = run()
    assert (done.returncode, done.stdout) == (0, f"{airflow.uri}/dags/master_etl/runs/{RUN}\n")
    wrong = run("--commit", "x")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: sluiceway trigger [OPTIONS]\nsluiceway trigger: error: --commit 'x'")
    document = json.loads(run("--json").stdout)
    assert (document["run_id"], document["new"]) == (RUN, False)
    with AirflowRest() as other:
        done = run("--url", other.uri)
        assert done.returncode == 2, "the password of the known Airflow is not for another"
        assert other.requests == []


def test_json_says_which_run_it_is_and_where(airflow: AirflowRest, call: Caller) -> None:
    done = call("--json")
    assert (done.code, json.loads(done.out)) == (
        0,
        {
            "dag_id": "master_etl",
            "run_id": RUN,
            "run_url": f"{airflow.uri}/dags/master_etl/runs/{RUN}",
            "state": "queued",
            "new": True,
        },
    )


def test_the_help_names_every_exit_code(call: Caller) -> None:
    done = call("--help")
    assert done.code == 0
    assert re.findall(r"^  (\d)  ", done.out, re.MULTILINE) == ["0", "2", "3", "4", "5", "6"]
