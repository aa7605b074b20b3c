"""docs/reference/exit-codes.md and the code say the same."""

from __future__ import annotations

import re
import signal

from dev.environment import ROOT
from sluiceway.cli.console import EXIT_CODES, EXIT_FAILED, EXIT_UNKNOWN, EXIT_USAGE
from sluiceway.cli.trigger import REFUSED
from sluiceway.deploy import trigger
from sluiceway.stop import StoppedError
from tests.cli.commands import commands

PAGE = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")


def rows(head: str) -> list[list[str]]:
    """The cells of the table that begins so."""
    body = PAGE[PAGE.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def test_the_page_names_the_codes_of_every_command() -> None:
    assert {int(code): meaning for code, meaning in rows("| code | meaning |\n")} == EXIT_CODES


def test_the_codes_are_those_that_commands_end_with() -> None:
    stopped = {128 + number for number in (signal.SIGINT, signal.SIGTERM)}
    assert set(EXIT_CODES) == {0, EXIT_FAILED, EXIT_USAGE, EXIT_UNKNOWN, *stopped}
    assert {StoppedError(number).exit_code for number in (signal.SIGINT, signal.SIGTERM)} == stopped


def test_the_page_has_a_line_for_every_command() -> None:
    assert {row[0].strip("`") for row in rows("| command |")} == {" ".join(words) for words in commands()}


def test_the_page_names_the_codes_of_the_program_that_ci_runs_and_what_they_are_here() -> None:
    table = rows("| code | meaning | as")
    assert {int(code): meaning.replace("`", "") for code, meaning, _ in table} == {
        int(code): meaning for code, meaning in re.findall(r"^  (\d)  (.+)$", trigger.EXIT_CODES, re.MULTILINE)
    }
    assert {int(code) for code, _, here in table if int(here) == EXIT_FAILED} == REFUSED
