"""`sluiceway jobs` and `dead-letters` without an Airflow: what they say, and what they refuse in one sentence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.cluster import Cluster
from sluiceway.cli.app import app
from sluiceway.jobs import rate
from sluiceway.ledger.warehouse import connect
from sluiceway.settings import load_settings
from tests.jobs.configured import SHOUT, Setting, declare

Run = Callable[..., Result]
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def run(tmp_path: Path, setting: Setting, postgres: Cluster, database: str) -> Run:
    """Runs one command on a warehouse with a job of ten items, of which the seventh dies and the eighth waits."""
    declare(tmp_path, setting, shout=SHOUT)
    setting(jobs_url=postgres.url("sluiceway_jobs", database))

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return command


@pytest.fixture
def ran(run: Run) -> Run:
    """The same after its first run."""
    assert run("jobs", "run", "shout", "--local").exit_code == 1
    return run


def found(result: Result) -> Any:
    assert result.exit_code in {0, 1}, result.output
    return json.loads(result.stdout)


def test_jobs_are_listed_with_what_starts_them(run: Run) -> None:
    assert found(run("jobs", "list", "--json")) == [{"job": "shout", "starts": "manual", "description": ""}]


def test_a_dry_run_names_what_would_be_due(run: Run, query: Query) -> None:
    assert found(run("jobs", "run", "shout", "--where", "n < 3", "--dry-run", "--json"))["items"] == ["i1", "i2"]
    said = run("jobs", "run", "shout", "--dry-run")
    assert said.stdout.splitlines() == [f"i{n}" for n in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert said.stderr == "shout: 10 items would be due.\n"
    assert query("SELECT count(*) FROM etl_jobs.item") == [(0,)]


def test_a_local_run_says_what_it_did_and_ends_with_1_where_an_item_died(run: Run) -> None:
    result = run("jobs", "run", "shout", "--local", "--json")
    assert result.exit_code == 1
    counts = {key: value for key, value in json.loads(result.stdout).items() if key != "run_id"}
    assert counts == {
        "job": "shout",
        "became_due": 10,
        "asked": 10,
        "done": 8,
        "waiting": 1,
        "dead": 1,
        "failed_and_due": 0,
        "back": 0,
        "paused": None,
    }
    again = run("jobs", "run", "shout", "--local", "--json")
    assert (again.exit_code, json.loads(again.stdout)["asked"]) == (0, 0)


def test_status_has_the_numbers_that_metrics_need(ran: Run) -> None:
    status = found(ran("jobs", "status", "--json"))
    (job,) = status["jobs"]
    assert {name: job[name] for name in ("done", "due", "claimed", "waiting", "dead")} == {
        "done": 8,
        "due": 0,
        "claimed": 0,
        "waiting": 1,
        "dead": 1,
    }
    assert (job["dead_by_class"], job["oldest_due_s"], job["attempts"]) == ({"item": 1}, None, 1)
    assert job["items_per_s"] > 0
    assert status["database"]["max_connections"] > status["database"]["all_connections"] > 0
    assert "1 connections of lanes" not in ran("jobs", "status").stdout


def test_an_item_is_shown_with_its_result_and_its_history(ran: Run) -> None:
    assert ran("jobs", "decide", "shout", "i8", "--key", "ate", "--why", "heard").stdout == "i8 is done, with ate.\n"
    shown = found(ran("jobs", "show", "shout", "i8", "--json"))
    assert shown["result"] == {"loud": "ATE", "size": 8}
    assert [(each["action"], each["why"], each["state"]) for each in shown["history"]] == [
        ("decide", "heard", "waiting")
    ]
    assert "decide by" in ran("jobs", "show", "shout", "i8").stdout


def test_a_job_is_paused_and_resumed_and_says_by_whom(run: Run) -> None:
    assert run("jobs", "pause", "shout", "--why", "it moves").stdout == "shout is paused.\n"
    refused = run("jobs", "run", "shout", "--local")
    assert refused.exit_code == 1
    assert "shout is paused by" in refused.stderr and "(it moves)" in refused.stderr
    assert run("jobs", "resume", "shout").stdout == "shout goes on.\n"
    assert found(run("jobs", "run", "shout", "--local", "--json"))["asked"] == 10


def test_dead_letters_are_listed_exported_replayed_and_put_away(ran: Run) -> None:
    (letter,) = found(ran("dead-letters", "list", "--job", "shout", "--class", "item", "--json"))
    assert (letter["item"], letter["last_error"]) == ("i7", "no seven")
    (row,) = csv.DictReader(io.StringIO(ran("dead-letters", "export").stdout))
    assert (row["item"], json.loads(row["input"])) == ("i7", {"n": 7})
    assert found(ran("dead-letters", "show", "shout", "i7", "--json"))["state"] == "dead"
    assert ran("dead-letters", "replay", "--item", "i7").stdout == "1 item is due again.\n"
    assert ran("dead-letters", "list").stdout.count("i7") == 0
    assert found(ran("jobs", "run", "shout", "--local", "--json"))["dead"] == 1
    assert ran("dead-letters", "discard", "--all", "--why", "never").stdout == "1 item is put away.\n"
    assert found(ran("jobs", "run", "shout", "--local", "--json"))["asked"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("jobs run shot --dry-run", "There is no job 'shot'; did you mean 'shout'?"),
        ("jobs run shout --all --where n=1 --dry-run", "items, where and all exclude each other"),
        ("jobs show shout i77", "shout has no item 'i77'; did you mean 'i7'?"),
        ("jobs pause gbiff", "There is no job and no service 'gbiff'"),
        ("jobs pause shout --hours 2", "--hours is a service's"),
        ("jobs decide shout i1 --key ate", "'i1' of shout waits for nobody: it is done"),
        ("dead-letters replay", "Which dead letters?"),
        ("dead-letters replay --all --job shout", "--all goes without"),
        ("dead-letters replay --item i1", "No such dead letter: 'i1'; nothing was changed."),
        ("dead-letters list --class itm", "--class 'itm': there is no such class; did you mean 'item'?"),
        ("dead-letters list --older-than 3weeks", "--older-than '3weeks' is no time; write a number with s, m, h or d"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(ran: Run, arguments: str, said: str, query: Query) -> None:
    before = query("SELECT item, state, updated_at FROM etl_jobs.item ORDER BY 1")
    result = ran(*arguments.split())
    assert result.exit_code == 2
    assert said in result.stderr
    assert query("SELECT item, state, updated_at FROM etl_jobs.item ORDER BY 1") == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("JOB = (", "cannot be imported: SyntaxError"),
        ("x = 1", "must define JOB = Job(...); there is none"),
        (SHOUT.replace("SELECT 'i'", "DELETE FROM x; SELECT 'i'"), "`due` must be one SELECT"),
        (
            SHOUT.replace('public=("loud",)', 'public=("lout",)'),
            "public: there is no column 'lout'; did you mean 'loud'?",
        ),
    ],
)
def test_a_wrong_job_is_found_with_its_file(run: Run, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config" / "jobs" / "wrong.py"
    file.write_text(text, encoding="utf-8")
    result = run("jobs", "check")
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert said in result.stderr


def test_without_an_address_of_the_warehouse_one_sentence_says_which_variable(run: Run, setting: Setting) -> None:
    setting(jobs_url="")
    result = run("jobs", "status")
    assert (result.exit_code, "set SLUICEWAY_JOBS_URL" in result.stderr) == (2, True)


def test_a_service_that_was_asked_stands_in_the_status(ran: Run) -> None:
    with connect(load_settings().jobs_url or "") as session:
        rate.reserve(session, "gbif", per_second=1)
    assert "gbif: 1 request, 0 s waited for turns\n" in ran("jobs", "status").stdout
    with connect(load_settings().jobs_url or "") as session:
        rate.pause(session, "gbif", seconds=3600, reason="it moves")
    assert "paused until 20" in ran("jobs", "status").stdout


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "status", "shuot"),
        ("jobs", "show", "shuot", "i1"),
        *(("dead-letters", action, "--job", "shuot") for action in ("list", "replay", "discard", "export")),
    ],
    ids=" ".join,
)
def test_a_job_that_is_none_is_named_with_the_nearest(ran: Run, command: tuple[str, ...]) -> None:
    done = ran(*command)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "There is no job 'shuot'; did you mean 'shout'?" in done.stderr


def test_two_jobs_that_would_overwrite_each_other_are_refused(tmp_path: Path, setting: Setting) -> None:
    declare(tmp_path, setting, shout=SHOUT, again=SHOUT)
    done = CliRunner().invoke(app, ("jobs", "check"))
    assert done.exit_code == 2 and "two jobs would overwrite each other" in done.stderr


def test_a_table_of_results_that_is_gone_is_told(ran: Run, query: Query, caplog: pytest.LogCaptureFixture) -> None:
    ((table,),) = query("SELECT relname FROM pg_class WHERE relnamespace = 'etl_jobs'::regnamespace AND relkind = 'r' "
                        "AND relname NOT IN ('item', 'rate', 'request', 'decision', 'lane', 'lock')")  # fmt: skip
    with psycopg.connect(load_settings().jobs_url or "") as connection:
        connection.execute(f"DROP TABLE etl_jobs.{table} CASCADE".encode())
    ran("jobs", "run", "shout", "--local")
    assert f"etl_jobs.{table} was gone and is made anew, empty, while 8 items count as done" in caplog.text
    assert ran("jobs", "run", "shout", "--local", "--where", "  ").exit_code == 0, "a condition of nothing is none"
