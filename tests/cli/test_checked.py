"""What `tables check` and `triggers check` found: as sentences, as JSON, as GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.cli.checked import Problem, annotation
from tests.flows.configured import CLI, configured, flow

Run = Callable[..., Result]
WRONG = 'description = "x"\n\nkey = = 1\n'


@pytest.fixture
def folder(tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of one good and three wrong files, and the folder that a command is typed in."""
    folder = configured(tmp_path, orders=flow(CLI), idle=flow(CLI).replace("cli", "cly")).config_dir
    (folder / "flows" / "torn.toml").write_text(WRONG)
    (folder / "tables" / "torn.toml").write_text(WRONG)
    (folder / "tables" / "empty.toml").write_text("")
    setting(config_dir=folder)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_names_file_line_and_sentence_of_every_problem(run: Run, folder: Path) -> None:
    files = [folder / "tables" / f"{name}.toml" for name in ("torn", "empty")]
    result = run("tables", "check", *files, "--json")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    assert document["files"] == 2
    assert [(each["file"], each["line"]) for each in document["problems"]][:2] == [
        (str(files[0]), 3),
        (str(files[1]), 1),
    ]
    assert result.stderr.splitlines() == [f"error: {each['sentence']}" for each in document["problems"]]


def test_json_of_good_files_has_no_problem(run: Run, folder: Path) -> None:
    result = run("triggers", "check", folder / "flows" / "orders.toml", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"files": 1, "problems": []})


@pytest.mark.parametrize("group", ["tables", "triggers"])
def test_github_sees_each_problem_beside_its_line(run: Run, folder: Path, group: str) -> None:
    result = run(group, "check", "--format", "github")
    assert (result.exit_code, result.stdout) == (2, "")
    relative = folder.relative_to(Path.cwd()) / ("tables" if group == "tables" else "flows")
    lines = result.stderr.splitlines()
    assert all(line.startswith("::error file=") for line in lines)
    (torn,) = [line for line in lines if "torn.toml" in line]
    assert torn.startswith(f"::error file={relative}/torn.toml,line=3::{folder}")
    assert "error:" not in result.stderr.replace("::error ", "")


def test_on_github_the_annotations_need_no_option(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run("triggers", "check").stderr.startswith("::error file=")
    assert run("triggers", "check", "--format", "text").stderr.startswith("error: ")
    assert run("triggers", "check", "--json").stderr.startswith("error: ")
    both = run("triggers", "check", "--json", "--format", "github")
    assert both.stderr.startswith("::error file=") and json.loads(both.stdout)["problems"]


def test_what_github_would_take_for_its_own_is_written_as_codes() -> None:
    problem = Problem(Path("/a,b:c%/\r\nd.toml"), "50% of: a,\r\n::error::b")
    assert annotation(problem) == "::error file=/a%2Cb%3Ac%25/%0D%0Ad.toml,line=1::50%25 of: a,%0D%0A::error::b"


NOTHING = {
    "tables": "There is no table and no view under {0}: nothing was checked.",
    "jobs": "There is no job under {0}/jobs: nothing was checked.",
    "triggers": "There is no flow and no environment under {0}: nothing was checked.",
    "alerts": "There is no {0}/alerts.toml, so nobody is told of anything; docs/how-to/alerts.md has one.",
}


@pytest.mark.parametrize("group", NOTHING)
def test_where_there_is_no_file_none_is_said_to_be_valid(
    run: Run, tmp_path: Path, setting: Callable[..., None], group: str
) -> None:
    setting(config_dir=tmp_path)
    result = run(group, "check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == NOTHING[group].format(tmp_path) + "\n"
    assert json.loads(run(group, "check", "--json").stdout) == {"files": 0, "problems": []}
    setting(config_dir=tmp_path / "none")
    missing = run(group, "check")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == f"error: {tmp_path}/none: there is no such folder; SLUICEWAY_CONFIG_DIR names it.\n"


@pytest.mark.parametrize("group", ["tables", "triggers"])
def test_a_folder_and_what_is_not_there_are_said_to_be_what_they_are(run: Run, folder: Path, group: str) -> None:
    named = folder / "tables"
    result = run(group, "check", named, folder / "none.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"error: {named}: is a folder; name the files in it, such as {named}/*.toml",
        f"error: {folder}/none.toml: there is no such file.",
    ]


def test_a_file_of_alerts_without_one_is_valid_and_said_to_tell_nobody(
    run: Run, tmp_path: Path, setting: Callable[..., None]
) -> None:
    setting(config_dir=tmp_path)
    path = tmp_path / "alerts.toml"
    path.write_text("")
    result = run("alerts", "check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"1 file is valid. {path} names no alert, so nobody is told of anything.\n"
    path.unlink()
    path.mkdir()
    for command in ("check", "run"):
        wrong = run("alerts", command, *(["--warehouse", "postgresql://x@y/z"] if command == "run" else []))
        assert (wrong.exit_code, wrong.stdout) == (2, "")
        assert wrong.stderr == f"error: {path}: cannot be read: Is a directory.\n"
