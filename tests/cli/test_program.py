"""What every command of `sluiceway` shares: `-h`, `-v`, `--version`."""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.cli import program
from sluiceway.cli.app import app
from tests.cli.commands import commands

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def root_level() -> Iterator[Callable[[], int]]:
    """The level of the root logger, put back in the end."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    yield lambda: root.level
    root.setLevel(before)


@pytest.mark.parametrize("command", [(), ("tables",), *commands()], ids=" ".join)
def test_h_shows_the_same_help_as_help(run: Run, command: tuple[str, ...]) -> None:
    shown = run(*command, "-h")
    assert shown.exit_code == 0
    assert "Usage: " in shown.stdout
    assert shown.stdout == run(*command, "--help").stdout


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_takes_v_after_its_name(run: Run, command: tuple[str, ...]) -> None:
    assert "--verbose" in run(*command, "--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [("-v", "tables", "check"), ("tables", "-v", "check"), ("tables", "check", "-v"), ("tables", "check", "--verbose")],
)
def test_v_before_and_after_the_command_logs_what_is_done(
    run: Run, root_level: Callable[[], int], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments).exit_code == 0
    assert root_level() == logging.INFO


def test_without_v_errors_alone_are_logged(run: Run, root_level: Callable[[], int]) -> None:
    run("tables", "check")
    assert root_level() == logging.ERROR


@pytest.mark.parametrize("verbose", [False, True])
def test_what_libraries_warn_of_is_shown_to_who_asks_for_it(verbose: bool) -> None:
    code = f"import warnings, sluiceway.cli.program as p; p.log_what_is_done({verbose}); warnings.warn('odd')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("odd" in ran.stderr) is verbose


def test_the_version_is_that_of_the_source_tree(run: Run) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shown = run("--version")
    assert (shown.exit_code, shown.stdout) == (0, f"sluiceway {declared}\n")


def test_outside_of_a_source_tree_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(program, "PACKAGE_DIR", tmp_path / "a" / "b")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"9.9 of {name}")
    assert program.version() == "9.9 of sluiceway"


def test_without_package_and_source_tree_the_version_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "3"\n')
    monkeypatch.setattr(program, "PACKAGE_DIR", tmp_path / "a" / "b")
    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert program.version() == "unknown"
