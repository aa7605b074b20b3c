"""What a check of files found, for a person, a program, or GitHub, which shows it beside the line of the file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sluiceway.cli.console import EXIT_USAGE, out, print_json, say_error, visible
from sluiceway.settings import runs_on_github

AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
"""How Python's TOML parser says where it stopped."""


class Format(StrEnum):
    """How problems are written."""

    TEXT = "text"
    GITHUB = "github"


FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Problems as sentences, or as annotations of GitHub; default: github where GITHUB_ACTIONS is true.",
    ),
]


class Problem(NamedTuple):
    """One sentence about a file."""

    file: Path
    sentence: str

    @property
    def line(self) -> int:
        """Where TOML's parser stopped; 1 where it read the whole file."""
        found = AT_LINE.search(self.sentence)
        return int(found[1]) if found else 1


def tell(count: int, problems: Sequence[Problem], *, style: Format | None, as_json: bool) -> None:
    """Write the problems and end with 2, or say how many files are valid."""
    chosen = style or (Format.GITHUB if runs_on_github() and not as_json else Format.TEXT)
    for problem in problems:
        if chosen == Format.GITHUB:
            sys.stderr.write(annotation(problem) + "\n")
        else:
            say_error(problem.sentence)
    if as_json:
        found = [{"file": str(each.file), "line": each.line, "sentence": each.sentence} for each in problems]
        print_json({"files": count, "problems": found})
    elif not problems:
        out.print(f"{count} {'file is' if count == 1 else 'files are'} valid.")
    if problems:
        raise typer.Exit(EXIT_USAGE)


def annotation(problem: Problem) -> str:
    """The command by which GitHub shows the sentence beside the file's line; a path below here is written from here."""
    here = Path.cwd()
    file = problem.file.relative_to(here) if problem.file.is_relative_to(here) else problem.file
    return f"::error file={_property(str(file))},line={problem.line}::{_message(problem.sentence)}"


def _message(text: str) -> str:
    return visible(_replaced(text, {"%": "%25", "\r": "%0D", "\n": "%0A"}))


def _property(text: str) -> str:
    return visible(_replaced(text, {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}))


def _replaced(text: str, codes: Mapping[str, str]) -> str:
    return "".join(codes.get(character, character) for character in text)
