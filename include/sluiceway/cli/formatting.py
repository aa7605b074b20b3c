"""`sluiceway tables fmt`: tables' files in their canonical form."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluiceway.amounts import counted
from sluiceway.cli import checked
from sluiceway.cli.console import EXIT_FAILED, EXIT_USAGE, err, out, plain, print_json, say_error, visible
from sluiceway.cli.options import JsonOption
from sluiceway.errors import ConfigError
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.tables.rewrite import Formatted


def tables_fmt(
    files: Annotated[list[Path] | None, typer.Argument(help="Files; else all of include/config/tables/.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when a file is not in that form, and name it.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put table files into their canonical form: the order of keys, blanks and lines. What they say stays the same.

    Comments are kept. A file that is wrong, or that would say anything else, is left as it is: exit 2.

    Example: sluiceway tables fmt --check --diff
    """
    from sluiceway.tables.files import table_files

    paths = files or table_files(load_settings().config_dir)
    found, wrong = _formatted(paths)
    changed = [each for each in found if not each.is_canonical]
    if not check:
        wrong += _written(changed)
    if diff and not as_json:
        sys.stdout.write("".join(visible(line) for each in changed for line in _diff(each)))
    if as_json:
        print_json({"files": len(paths), "changed": [str(each.path) for each in changed], "problems": wrong})
    else:
        for each in changed:
            err.print(plain(f"{each.path}: {'is not in canonical form' if check else 'was written anew'}"))
        if check and changed:
            err.print(plain("To put them into it: sluiceway tables fmt"))
        elif not wrong:
            out.print(plain(f"{counted(len(paths), 'file is', 'files are')} in canonical form."))
    for sentence in wrong:
        say_error(sentence)
    if wrong:
        raise typer.Exit(EXIT_USAGE)
    if check and changed:
        raise typer.Exit(EXIT_FAILED)


def _formatted(paths: Iterable[Path]) -> tuple[list[Formatted], list[str]]:
    """The files in both forms, and a sentence for each problem of the others."""
    from sluiceway.tables.rewrite import formatted

    found, wrong = [], []
    for path in paths:
        try:
            if (sentence := checked.is_no_file(path)) is not None:
                raise ConfigError(sentence)
            found.append(formatted(path))
        except ConfigError as error:
            wrong += str(error).split("\n")
    return found, wrong


def _written(files: Iterable[Formatted]) -> list[str]:
    wrong = []
    for each in files:
        try:
            each.write()
        except ConfigError as error:
            wrong.append(str(error))
    return wrong


def _diff(file: Formatted) -> Iterable[str]:
    before, after = file.before.splitlines(keepends=True), file.after.splitlines(keepends=True)
    for line in unified_diff(before, after, str(file.path), str(file.path)):
        yield line if line.endswith("\n") else f"{line}\n"
