"""deploy_gate on a real Airflow: its outcomes, and what each leaves in the ledger and in the tables."""

from __future__ import annotations

from typing import Any

import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.run.report.write import report_file
from tests.integration.deployment import DAG_ID, csv_of
from tests.integration.sensors.deploy.staging import TABLES, WITHOUT_TRIGGERER, Staging, sha_of

SKIPPED = {"plan", "pre.check_sources", "pre.check_warehouse", "sub.load_table", "sub.cleanup_staging"} | {
    "sub.cleanup_history", "final.validate", "final.aggregate"
}  # fmt: skip
BROKEN = "id\n1\n"
"""A source without a column that is declared."""


def test_a_run_waits_in_the_triggerer_until_staging_serves_its_commit(staging: Staging) -> None:
    staging.deploy("before")
    run_id = staging.enqueue(sha := sha_of("reached"))
    staging.gate_state(run_id, "deferred")
    staging.deploy("reached")
    assert staging.wait(run_id) == "success"
    run, tables = staging.ledger(run_id)
    assert (run.status, run.commit_sha, run.deployed_sha) == ("success", sha, sha)
    assert sorted(tables) == TABLES


def test_a_run_whose_commit_is_served_already_does_not_wait(staging: Staging) -> None:
    run_id = staging.enqueue(staging.deploy("at-once"))
    assert staging.wait(run_id) == "success"
    assert "serves" in staging.log(run_id) and "DEFERRED" not in staging.log(run_id)


def test_a_service_that_publishes_seven_digits_is_enough(staging: Staging) -> None:
    sha = sha_of("short")
    staging.endpoint.commit = sha[:7]
    run_id = staging.enqueue(sha)
    assert staging.wait(run_id) == "success"
    assert staging.ledger(run_id)[0].deployed_sha == sha


def test_a_run_is_superseded_by_the_newer_commit_that_waits_and_touches_nothing(staging: Staging) -> None:
    staging.deploy("before")
    staging.source("t01", csv_of(10, value="newer"))
    before = staging.query("SELECT xmin::text, * FROM t01 ORDER BY id")
    older = staging.enqueue(sha_of("older"))
    staging.gate_waits(older)
    newer = staging.enqueue(sha_of("newer"))
    with staging.loads_held():
        staging.deploy("newer")
        assert staging.wait(older) == "success"
        run, tables = staging.ledger(older)
        states = {name: task["state"] for name, task in staging.tasks(older).items()}
    assert (run.status, run.deployed_sha, tables) == ("superseded", sha_of("newer"), {})
    assert f"serves the newer commit {sha_of('newer')}, whose run {newer} waits" in (run.note or "")
    assert {name for name, state in states.items() if state == "skipped"} == SKIPPED
    assert {name for name, state in states.items() if state == "success"} == {"opened", "deploy_gate", "verdict"}
    page = staging.stack.layout.reports / report_file(RunKey(DAG_ID, older))
    assert "Superseded" in page.read_text() and sha_of("newer") in page.read_text()
    assert staging.wait(newer) == "success"
    assert staging.ledger(newer)[0].status == "success"
    assert [row[0] for row in before] != [row[0] for row in staging.query("SELECT xmin::text FROM t01 ORDER BY id")]


@pytest.mark.parametrize("how", ["retry", "again"])
def test_a_commit_is_not_superseded_by_the_older_one_whose_run_is_repeated_while_it_is_rolled_out(
    staging: Staging, how: str
) -> None:
    """The retry queues the older commit's run again, behind the newer one's. It was closed green and never loaded."""
    older = staging.deploy(f"older, {how}")
    staging.source("t01", BROKEN)
    failed = staging.enqueue(older)
    assert staging.wait(failed) == "failed"
    staging.restore()
    newer = staging.enqueue(sha_of(f"newer, {how}"), force=True)
    staging.gate_waits(newer)
    # for the other one, which waits in vain
    staging.settings(timeout_s=2)
    if how == "retry":
        repeated = failed
        staging.api.retry(DAG_ID, failed)
    else:
        repeated = staging.trigger(f"{failed}__2", commit_sha=older)
    asked = len(staging.endpoint.requests)
    staging.until(lambda: True if len(staging.endpoint.requests) > asked + 3 else None)
    assert staging.state(newer) == "running", "it waits on, for the older commit is served"
    staging.deploy(f"newer, {how}")
    assert staging.wait(newer) == "success"
    run, tables = staging.ledger(newer)
    assert (run.status, run.deployed_sha, list(tables)) == ("success", sha_of(f"newer, {how}"), TABLES)
    staging.wait(repeated)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({}, "and its conf has no commit_sha"),
        ({"commit_sha": sha_of("something else")}, "and its conf has the commit_sha"),
        ({"commit_sha": sha_of("posted by hand"), "tables": TABLES}, "and its conf names tables"),
    ],
)
def test_a_run_named_as_a_commits_whose_conf_says_otherwise_is_refused_at_once(
    staging: Staging, conf: dict[str, Any], said: str
) -> None:
    staging.deploy("posted by hand")
    sha = sha_of("posted by hand")
    # a conf each, and one commit: CI and the watch take the next free id
    taken = [name for name in staging.runs() if sha in name]
    run_id = staging.trigger(f"deploy__{sha}" + (f"__{len(taken) + 1}" if taken else ""), **conf)
    assert staging.wait(run_id) == "failed"
    run, tables = staging.ledger(run_id)
    assert (run.status, tables) == ("failed", {})
    assert said in (run.note or "")
    assert staging.tasks(run_id)["deploy_gate"]["try_number"] == 1


def test_seven_digits_supersede_too(staging: Staging) -> None:
    staging.deploy("before")
    older = staging.enqueue(sha_of("older by seven"))
    staging.gate_waits(older)
    newer = staging.enqueue(sha_of("newer by seven"))
    staging.endpoint.commit = sha_of("newer by seven")[:7]
    assert staging.wait(older) == "success"
    assert staging.wait(newer) == "success"
    assert staging.ledger(older)[0].status == "superseded"
    assert newer in (staging.ledger(older)[0].note or "")


def test_a_commit_that_never_comes_is_red_and_says_what_was_seen_last_and_how_often_it_was_asked(
    staging: Staging,
) -> None:
    staging.settings(timeout_s=3)
    served = staging.deploy("another")
    run_id = staging.enqueue(sha_of("never"))
    assert staging.wait(run_id) == "failed"
    run, tables = staging.ledger(run_id)
    assert (run.status, tables) == ("failed", {})
    assert "deploy_gate failed: DeployTimeoutError: staging did not serve" in (run.note or "")
    log = staging.log(run_id)
    assert "DeployTimeoutError" in log and f"serves {served}" in log and " times, seen last:" in log
    assert staging.tasks(run_id)["deploy_gate"]["try_number"] == 1, "more waiting does not help"


def test_a_commit_that_never_comes_from_an_endpoint_that_answers_html_shows_the_answer(staging: Staging) -> None:
    staging.settings(timeout_s=2)
    staging.endpoint.fault = "html"
    run_id = staging.enqueue(sha_of("behind a login"))
    assert staging.wait(run_id) == "failed"
    assert "<title>Sign in</title>" in staging.log(run_id)


def test_an_endpoint_that_fails_for_a_while_is_waited_for(staging: Staging) -> None:
    staging.endpoint.fault = "500"
    run_id = staging.enqueue(staging.deploy("after a fault"))
    staging.gate_waits(run_id)
    staging.endpoint.fault = None
    assert staging.wait(run_id) == "success"


def test_a_run_without_a_commit_takes_the_deployed_one(staging: Staging) -> None:
    sha = staging.deploy("by hand")
    run_id = staging.run()
    run, _ = staging.ledger(run_id)
    assert (run.status, run.commit_sha, run.deployed_sha) == ("success", None, sha)


def test_without_a_triggerer_the_gate_looks_again_by_itself(staging: Staging) -> None:
    staging.deploy("before")
    sha = sha_of("rescheduled")
    staging.api.trigger(WITHOUT_TRIGGERER, run_id := f"deploy__{sha}", {"commit_sha": sha})
    staging.gate_state(run_id, "up_for_reschedule", dag_id=WITHOUT_TRIGGERER)
    staging.deploy("rescheduled")
    staging.until(lambda: True if staging.api.run(WITHOUT_TRIGGERER, run_id)["state"] == "success" else None)
    run, tables = staging.ledger(run_id, WITHOUT_TRIGGERER)
    assert (run.status, run.deployed_sha, len(tables)) == ("success", sha, len(TABLES))


def test_of_ten_commits_during_one_run_only_that_run_and_the_newest_load(staging: Staging) -> None:
    shas = [sha_of(f"one of ten, {number}") for number in range(10)]
    staging.endpoint.commit = shas[0]
    with staging.loads_held():
        runs = [staging.enqueue(shas[0], force=True)]
        staging.gate_state(runs[0], "success")
        runs += [staging.enqueue(sha, force=True) for sha in shas[1:]]
        staging.endpoint.commit = shas[-1]
    assert [staging.wait(run_id) for run_id in runs] == ["success"] * 10
    ledger = [staging.ledger(run_id) for run_id in runs]
    assert [run.status for run, _ in ledger] == ["success", *["superseded"] * 8, "success"]
    assert [len(tables) for _, tables in ledger] == [len(TABLES), *[0] * 8, len(TABLES)]
    assert [run.deployed_sha for run, _ in ledger] == [shas[0], *[shas[-1]] * 9]
    assert staging.state(runs[-1]) == "success" and DAG_ID in staging.api.run(DAG_ID, runs[-1])["dag_id"]
