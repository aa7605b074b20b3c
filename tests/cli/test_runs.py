"""`sluiceway runs` without an Airflow: what it shows is the ledger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.ledger import commit_statuses, publications, store, tasks
from sluiceway.ledger.commit_statuses import Outcome
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.store import CLI, RunKey
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect

GREEN, RED, TWIN, BY_HAND = (
    RunKey("master_etl", "r1"),
    RunKey("shop", "r2"),
    RunKey("shop", "r1"),
    RunKey(CLI, "cli__1"),
)
LOG = "https://airflow.example/log?try_number=2"
Run = Callable[..., Result]


@pytest.fixture
def run(warehouse_url: str) -> Run:
    """Runs one command on a ledger of four runs."""
    with connect(warehouse_url) as session:
        for key, status, note in (
            (GREEN, "success", "1 of 1 table loaded."),
            (RED, "failed", f"1 of 1 table failed: city (E: no rows). plan failed: X: what (log: {LOG}). Nothing."),
            (TWIN, "running", None),
            (BY_HAND, "success", None),
        ):
            store.open_run(session, key, None, "manual")
            store.plan_tables(session, key, ["city"])
            if status != "running":
                store.close_run(session, key, status, note, {"plan": "failed"} if key == RED else {})
        a_try(session, GREEN, status="loaded")
        a_try(session, RED, status="failed", error_type="E", error="first")
        a_try(session, RED, status="failed", error_type="E", error="no rows", try_number=2)
        task = TaskRun(**RED._asdict(), task_id="plan", log_url=LOG)
        tasks.begin(session, task)
        tasks.end(session, task, KeyError("what"))
        publications.record(
            session, GREEN, [Publication(view_name="area", tables=("city",), withheld="town failed in shop/r2")]
        )
    return lambda *arguments: CliRunner().invoke(app, ["runs", *arguments, "--warehouse", warehouse_url])


def a_try(session: Any, key: RunKey, **values: Any) -> None:
    store.write_table_run(session, store.TableRun(**key._asdict(), table_name="city", **values))


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


def test_a_ledger_without_a_run_says_so_and_gives_no_json(warehouse_url: str) -> None:
    for option, printed in (((), ""), (("--json",), "[]\n")):
        result = CliRunner().invoke(app, ["runs", "list", *option, "--warehouse", warehouse_url])
        assert (result.exit_code, result.stdout) == (0, printed)
        assert ("no run yet" in result.stderr) is (not option)


def test_runs_are_listed_by_dag_and_id_and_those_of_the_command_line_by_their_table(run: Run) -> None:
    listed = words(run("list"))
    assert "cli: city cli__1" in listed and "shop r1" in listed and "master_etl r1" in listed
    found = {(each["dag_id"], each["run_id"]): each for each in json.loads(run("list", "--json").stdout)}
    assert set(found) == {GREEN, RED, TWIN, BY_HAND}
    assert (found[BY_HAND]["table"], found[GREEN]["table"]) == ("city", None)


def test_an_id_that_several_dags_have_asks_which_is_meant(run: Run) -> None:
    result = run("show", "r1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Several DAGs have a run 'r1': name one of master_etl, shop with --dag." in result.stderr
    assert "master_etl/r1: success." in run("show", "r1", "--dag", "master_etl").stdout


def test_a_dag_without_such_a_run_is_a_usage_error(run: Run) -> None:
    assert run("show", "r2", "--dag", "master_etl").exit_code == 2


def test_the_first_characters_of_an_id_are_enough_where_no_other_begins_so(run: Run) -> None:
    assert "cli/cli__1: success." in run("show", "cli").stdout
    assert "master_etl/r1: success." in run("show", "r", "--dag", "master_etl").stdout


def test_first_characters_that_several_runs_have_name_them_all(run: Run) -> None:
    result = run("show", "r")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line == (
        "error: Several runs begin with 'r': master_etl/r1, shop/r1, shop/r2; write more of the one you mean."
    )


def test_a_whole_id_is_meant_though_others_begin_so(run: Run, warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        store.open_run(session, RunKey(CLI, "cli__10"), None, "manual")
    assert "cli/cli__1: success." in run("show", "cli__1").stdout
    assert run("show", "cli__").exit_code == 2


@pytest.mark.parametrize("typed", ["", "1", "R", "%", "cli_%"])
def test_what_no_id_begins_with_is_a_usage_error(run: Run, typed: str) -> None:
    result = run("show", typed)
    assert (result.exit_code, f"The ledger has no run {typed!r}" in result.stderr) == (2, True)


def test_a_red_run_exits_with_1_and_says_each_cause_once_with_its_log(run: Run) -> None:
    result = run("show", "r2")
    assert result.exit_code == 1
    assert "shop/r2: failed. 1 of 1 table failed: city. plan failed" in words(result)
    assert result.stdout.count("no rows") == 1 and "city: E: no rows" in result.stdout
    assert "plan: KeyError: 'what'" in result.stdout and f"  log: {LOG}" in result.stdout
    document = json.loads(run("show", "r2", "--json").stdout)
    assert (document["dag_id"], document["status"]) == ("shop", "failed")
    assert [(task["name"], task["log_url"]) for task in document["tasks"]] == [("plan", LOG)]


def test_a_good_or_running_run_exits_with_0(run: Run) -> None:
    assert run("show", "r1", "--dag", "master_etl").exit_code == 0
    assert run("show", "r1", "--dag", "shop").exit_code == 0
    assert run("show", "cli__1").exit_code == 0


def test_the_tries_of_a_table_are_shown_when_there_is_more_than_one(run: Run) -> None:
    (table,) = [line.split() for line in run("show", "r2").stdout.splitlines() if line.startswith("city  ")]
    assert table[:3] == ["city", "failed", "2"]


def test_a_view_that_was_kept_back_is_shown_with_the_reason(run: Run) -> None:
    assert "area was not published: town failed in shop/r2" in run("show", "r1", "--dag", "master_etl").stdout


def test_without_an_airflow_one_line_says_so_and_the_ledger_is_shown(run: Run) -> None:
    for command in (("list",), ("show", "r1", "--dag", "master_etl")):
        result = run(*command)
        assert result.exit_code == 0
        (line,) = result.stderr.splitlines()
        assert line.startswith("Airflow was not asked, this is what the ledger says: No Airflow is named")
        assert "Airflow" not in result.stdout
    assert json.loads(run("show", "r1", "--dag", "master_etl", "--json").stdout)["compared_with_airflow"] is False


def test_of_a_run_of_the_command_line_airflow_is_not_asked(run: Run) -> None:
    assert run("show", "cli__1").stderr == ""


def test_an_airflow_that_does_not_answer_hides_nothing(run: Run, setting: Callable[..., None]) -> None:
    setting(airflow_url="http://127.0.0.1:1", airflow_username="me", airflow_password="secret")
    result = run("list")
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert "Airflow at http://127.0.0.1:1 does not answer" in result.stderr and "secret" not in result.output
    assert "master_etl" in result.stdout


A, B = "a1b2c3d4" + "0" * 32, "a1b2ffff" + "0" * 32


@pytest.fixture
def of_commits(run: Run, warehouse_url: str) -> Run:
    """The same, with two runs of one commit and one of another that begins alike."""
    with connect(warehouse_url) as session:
        for key, commit, status in (
            (RunKey("master_etl", f"deploy__{A}"), A, "failed"),
            (RunKey("master_etl", f"deploy__{B}"), B, "success"),
            (RunKey("shop", "r9"), A[:8], "success"),
            (RunKey("master_etl", f"deploy__{A}__2"), A, "success"),
        ):
            store.open_run(session, key, commit, "deploy")
            store.close_run(session, key, status, f"note of {key.run_id}", {})
    return run


@pytest.mark.parametrize("typed", [A, A[:5], A[:10].upper()])
def test_a_run_is_found_by_its_commit(of_commits: Run, typed: str) -> None:
    shown = of_commits("show", "--commit", typed)
    assert shown.exit_code == 0, shown.stderr
    assert f"master_etl/deploy__{A}__2: success. note of deploy__{A}__2" in words(shown)
    assert f"2 other runs of this commit: shop/r9 (success), master_etl/deploy__{A} (failed)" in words(shown)
    document = json.loads(of_commits("show", "--commit", typed, "--json").stdout)
    assert document["run_id"] == f"deploy__{A}__2"
    assert document["other_runs"] == [
        {"dag_id": "shop", "run_id": "r9", "status": "success"},
        {"dag_id": "master_etl", "run_id": f"deploy__{A}", "status": "failed"},
    ]


def test_the_runs_of_a_commit_may_be_those_of_one_dag(of_commits: Run) -> None:
    document = json.loads(of_commits("show", "--commit", A[:8], "--dag", "shop", "--json").stdout)
    assert (document["run_id"], document["other_runs"]) == ("r9", [])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a1b2", f"Several commits begin with 'a1b2': {A[:8]}, {A}, {B}; write more of it."),
        ("a1b2c3d9", "No run is of a commit 'a1b2c3d9'; did you mean 'a1b2c3d4'? `sluiceway runs list` shows"),
        ("0123456789", "No run is of a commit '0123456789'; `sluiceway runs list` shows the newest."),
        ("master", "--commit 'master' is no commit: write 4 to 40 of its hex digits."),
    ],
)
def test_a_commit_that_names_no_run_is_a_sentence(of_commits: Run, typed: str, said: str) -> None:
    result = of_commits("show", "--commit", typed)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("arguments", [(), ("r1", "--commit", A)])
def test_a_run_is_named_in_one_way(of_commits: Run, arguments: tuple[str, ...]) -> None:
    result = of_commits("show", *arguments)
    assert result.exit_code == 2
    assert "Name a run by its id, or by its commit with --commit." in " ".join(result.stderr.split())


def test_a_run_that_github_was_not_told_of_says_why(of_commits: Run, warehouse_url: str) -> None:
    outcome = Outcome(commit_sha=A, run_id=f"deploy__{A}__2", state="success", description="data is at your commit")
    with connect(warehouse_url) as session:
        commit_statuses.want(session, "staging", [outcome])
        status = commit_statuses.claim(session, "staging")
        assert status is not None
        commit_statuses.not_told(session, status, "it answers 500", again_in_s=60)
    said = "GitHub was not told of the commit (staging): it answers 500"
    assert said in words(of_commits("show", "--commit", A))
    document = json.loads(of_commits("show", "--commit", A, "--json").stdout)
    assert [each["problem"] for each in document["commit_statuses"]] == ["it answers 500"]
    assert "GitHub" not in of_commits("show", "deploy__" + B).stdout
