"""What a check of files found, for a person, a program, or GitHub, which shows it beside the line of the file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sluiceway.amounts import counted
from sluiceway.cli.console import EXIT_USAGE, out, plain, print_json, say_error, visible
from sluiceway.settings import load_settings, runs_on_github

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


def tell(
    count: int, problems: Sequence[Problem], *, nothing: str, style: Format | None, as_json: bool, remark: str = ""
) -> None:
    """Write the problems and end with 2, or say how many files are valid.

    :param nothing: what is said where there was no file to look at.
    :param remark: what is said of valid files beyond that they are.
    """
    folder = load_settings().config_dir
    if not count and not folder.is_dir():
        problems = [*problems, Problem(folder, f"{folder}: there is no such folder; SLUICEWAY_CONFIG_DIR names it.")]
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
        said = f"{counted(count, 'file is', 'files are')} valid."
        out.print(plain(" ".join(filter(None, [said, remark])) if count else nothing))
    if problems:
        raise typer.Exit(EXIT_USAGE)


def is_no_file(path: Path) -> str | None:
    """Why there is nothing to look at, of a path that somebody has named; None: it is a file."""
    if path.is_dir():
        return f"{path}: is a folder; name the files in it, such as {path / '*.toml'}"
    return None if path.exists() else f"{path}: there is no such file."


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
