"""What comes from data or from the ledger is no command to a terminal, and looks like no line of ours."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.cluster import Cluster
from dev.environment import ROOT
from sluiceway.cli import console
from sluiceway.cli.app import app
from sluiceway.cli.checked import Problem, annotation
from sluiceway.cli.console import Screen
from sluiceway.cli.progress import load_progress
from sluiceway.jobs import rate
from sluiceway.ledger.warehouse import connect
from sluiceway.settings import load_settings
from tests.cli.terminal import written_to_a_terminal
from tests.jobs.configured import SHOUT, declare

Run = Callable[..., Result]
Query = Callable[..., list[tuple[Any, ...]]]
Setting = Callable[..., None]

BAD = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\r\nerror: forged\u202e\u2066\u200f\u2028[red]"
"""A title, an empty screen, red, a line begun anew, a line of its own, texts turned round, and rich's markup."""
COMMAND = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
SPEC = """description = '''{bad}'''
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
name = "text"
[checks]
max_rejects = 2
"""
ALERTS = '[alerts.team]\ntell_of = ["red", "dead_letters"]\nconnection = "nowhere"\n'
COMMANDS = """
import sys
from sluiceway.cli.app import app
for words in sys.argv[1:]:
    app(words.split("|"), prog_name="sluiceway", standalone_mode=False)
"""


@pytest.fixture
def query(owner_url: str) -> Iterator[Query]:
    """Runs one statement as the owner, who may write whatever anybody could have written."""
    with psycopg.connect(owner_url, autocommit=True) as owner:

        def run(statement: str, *parameters: object) -> list[tuple[Any, ...]]:
            cursor = owner.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def run(tmp_path: Path, setting: Setting, postgres: Cluster, database: str, warehouse_url: str, query: Query) -> Run:
    """Runs one command on a deployment of which all that data or people can write is hostile."""
    folder = declare(tmp_path, setting, shout=SHOUT.replace("'i' || n", "'i' || n || (SELECT b FROM bad)"))
    (folder / "sql").mkdir()
    (folder / "alerts.toml").write_text(ALERTS)
    toml = BAD.replace("\r\n", "\n").replace("\x1b", "").replace("\x07", "").replace("\x7f", "")
    (folder / "tables" / "city.toml").write_text(SPEC.replace("{bad}", toml))
    (folder / "tables" / "city.csv").write_text(f'id,name\n1,"{BAD}"\n2,Ponce\n"x{BAD}",No\n', newline="")
    setting(config_dir=folder, warehouse_url=warehouse_url, jobs_url=postgres.url("sluiceway_jobs", database))

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    query("CREATE TABLE bad (b text)")
    query("INSERT INTO bad VALUES (%s)", BAD)
    query("GRANT SELECT ON bad TO sluiceway_jobs")
    assert command("tables", "run", "city").exit_code == 0
    assert command("jobs", "run", "shout", "--local").exit_code == 1
    query("UPDATE etl.run SET status = 'failed', note = %s, dag_id = 'master_etl', commit_sha = %s", BAD, BAD)
    query("UPDATE etl.table_run SET error = %s, error_type = %s, note = %s, status = 'failed'", BAD, BAD, BAD)
    with connect(load_settings().require_jobs_url()) as session:
        rate.pause(session, f"gbif {BAD}", seconds=60, reason=BAD)
    query("UPDATE etl_jobs.item SET last_error = %s WHERE last_error IS NOT NULL", BAD)
    assert command("alerts", "run").exit_code == 1
    query("UPDATE etl.incident SET cause = %s, sentence = %s, subjects = ARRAY[%s]", BAD, BAD, f"table:{BAD}")
    query("UPDATE etl.incident SET acknowledged_by = %s, acknowledged_note = %s, acknowledged_at = now()", BAD, BAD)
    query("UPDATE etl.notice SET error = %s, alert = %s", BAD, BAD)
    return command


def commands(query: Query) -> list[tuple[str, ...]]:
    """Every command that shows what the fixture has written."""
    (run_id,) = query("SELECT run_id FROM etl.run WHERE dag_id = 'master_etl'")[0]
    (number,) = query("SELECT min(id) FROM etl.incident")[0]
    return [
        ("tables", "list"),
        ("tables", "preview", "city"),
        ("runs", "list"),
        ("runs", "show", run_id),
        ("status",),
        ("jobs", "run", "shout", "--all", "--dry-run"),
        ("jobs", "status"),
        ("jobs", "show", "shout", f"i7{BAD}"),
        ("jobs", "show", "shout", f"i1{BAD}"),
        ("dead-letters", "list"),
        ("triggers", "list"),
        ("triggers", "show", "shout"),
        ("alerts", "list"),
        ("alerts", "acknowledge", str(number)),
        ("alerts", "snooze", str(number), "--for", "1h"),
    ]


def test_nothing_that_was_written_is_a_command_or_a_line_of_ours_and_json_has_it_whole(run: Run, query: Query) -> None:
    for command in commands(query):
        shown = run(*command)
        assert shown.exit_code in {0, 1, 3}, (command, shown.output)
        for text in (shown.stdout, shown.stderr):
            assert COMMAND.search(text) is None, (command, text)
            assert not re.search("^error: forged", text, re.MULTILINE), (command, text)
        as_json = run(*command, "--json").stdout
        assert COMMAND.search(as_json) is None, command
        assert json.loads(as_json) is not None
    (letter,) = json.loads(run("dead-letters", "list", "--json").stdout)
    assert (letter["item"], letter["last_error"]) == (f"i7{BAD}", BAD)


def test_a_terminal_gets_no_command_from_an_export_or_a_draft_and_a_pipe_gets_them_as_they_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    drafted = tmp_path / "odd.csv"
    drafted.write_text("id,na\u202eme,place\n1,a,\u009bx\n", encoding="utf-8")
    command = [sys.executable, "-c", COMMANDS, "dead-letters|export", f"tables|infer|{drafted}"]
    piped = subprocess.run(command, capture_output=True, check=True, env=os.environ | here()).stdout.decode()
    assert BAD.split("\r\n")[0] in piped and "na\u202eme" in piped
    shown = on_a_screen(command)
    assert "\\x1b]0;owned\\x07" in shown and "na\\u202eme" in shown
    assert COMMAND.search(shown) is None


def here() -> dict[str, str]:
    settings = load_settings()
    return {
        "PYTHONPATH": str(ROOT / "include"),
        "SLUICEWAY_CONFIG_DIR": str(settings.config_dir),
        "SLUICEWAY_JOBS_URL": str(settings.jobs_url),
        "TERM": "dumb",
    }


def on_a_screen(command: list[str]) -> str:
    """What it writes to a terminal."""
    return written_to_a_terminal(command, os.environ | here(), width=200)


def test_logs_and_bars_are_no_commands_either() -> None:
    written = io.StringIO()
    screen = Screen(file=written, force_terminal=True, width=200, color_system=None)
    from rich.logging import RichHandler

    handler = RichHandler(console=screen, show_path=False)
    handler.emit(logging.LogRecord("x", logging.ERROR, "x.py", 1, "it was %s", (BAD,), None))
    with load_progress(screen, BAD) as tell:
        tell(1, 2)
    assert "\x1b]0" not in written.getvalue() and "\x9b" not in written.getvalue()
    assert "\\x1b]0;owned" in written.getvalue() and "\\u202e" in written.getvalue()


def test_an_error_of_several_lines_is_shown_as_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_error(f"first\nsecond {BAD}")
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first, second[:10], third[:15]) == ("error: first", "  second \\", "  error: forged")


def test_github_gets_no_command_to_a_terminal() -> None:
    said = annotation(Problem(Path(f"a{BAD}.toml"), BAD))
    assert COMMAND.search(said) is None and said.count("\n") == 0
