"""Every command answers a program too: --json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.ledger.warehouse import LEDGER_REVISION
from tests.cli.commands import commands

Run = Callable[..., Result]
Setting = Callable[..., None]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_json(words: tuple[str, ...]) -> None:
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    (option,) = [each for each in command.params if "--json" in each.opts]
    assert option.help


def test_a_draft_is_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "city.csv").write_text("id,name\n1,Ponce\n", encoding="utf-8")
    document = json.loads(run("tables", "infer", tmp_path / "city.csv", "--json").stdout)
    assert (document["output"], 'key = "id"' in document["draft"]) == (None, True)
    written = tmp_path / "towns.toml"
    document = json.loads(run("tables", "infer", tmp_path / "city.csv", "-o", written, "--json").stdout)
    assert (document["output"], document["draft"]) == (str(written), written.read_text(encoding="utf-8"))


def test_a_migration_is_json(run: Run, owner_url: str) -> None:
    result = run("ledger", "migrate", "--warehouse", owner_url, "--json")
    assert json.loads(result.stdout) == {"revision": LEDGER_REVISION}


@pytest.mark.parametrize(
    "words",
    [
        ("tables", "infer", "none.csv"),
        ("tables", "preview", "none"),
        ("tables", "run", "none"),
        ("runs", "list"),
        ("runs", "show", "x"),
        ("runs", "retry", "x"),
        ("ledger", "migrate"),
        ("access", "setup"),
        ("triggers", "show", "none"),
        ("triggers", "next", "none"),
        ("trigger", "--flow-id", "none"),
    ],
    ids=" ".join,
)
def test_an_error_is_the_same_sentence_and_code_with_json_and_no_document(run: Run, words: tuple[str, ...]) -> None:
    plain, result = run(*words), run(*words, "--json")
    assert plain.exit_code in {1, 2}
    assert (result.exit_code, result.stdout, result.stderr) == (plain.exit_code, "", plain.stderr)
    assert result.stderr.startswith("error: ")
