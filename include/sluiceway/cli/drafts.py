"""Writes the drafts of `sluiceway tables infer`: one, or one for each part of what there is."""

from __future__ import annotations

from pathlib import Path

import typer

from sluiceway.amounts import counted
from sluiceway.cli.console import EXIT_FAILED, data, err, plain, print_json, say_error
from sluiceway.errors import ConfigError
from sluiceway.infer import infer
from sluiceway.infer.asked import Asked
from sluiceway.infer.each import infer_each


def draft_one(asked: Asked, output: Path | None, *, force: bool, as_json: bool) -> None:
    """One table, into its file or to the standard output."""
    if output is not None:
        infer.check_output(output, force=force)
    draft = infer.infer(asked, output)
    if output is not None:
        infer.write(draft, output)
    if as_json:
        print_json({"draft": draft, "output": None if output is None else str(output)})
    elif output is None:
        data.write(draft)
    if output is not None:
        err.print(f"Wrote {plain(output)}. Decide its comments, then: sluiceway tables check {plain(output)}")


def draft_each(asked: Asked, folder: Path | None, *, force: bool, as_json: bool) -> None:
    """A table for each part, into files of a folder; nothing is written before all of them are drafted.

    :raises ConfigError: there is no such folder, or a file of theirs exists.
    """
    if folder is None or not folder.is_dir():
        said = "none is named" if folder is None else f"there is no folder {folder}"
        raise ConfigError(f"--all: writes a file for each table into the folder --output, and {said}")
    found = list(infer_each(asked, folder))
    paths = {each.table: folder / f"{each.table}.toml" for each in found}
    for each in found:
        if each.draft is not None:
            infer.check_output(paths[each.table], force=force)
    for each in found:
        if each.draft is not None:
            infer.write(each.draft, paths[each.table])
    if as_json:
        print_json(
            [
                {"part": each.part, "output": str(paths[each.table]) if each.draft else None, "error": each.wrong}
                for each in found
            ]
        )
    for each in found:
        if each.draft is None:
            say_error(f"{each.part}: no draft: {each.wrong}")
        else:
            err.print(plain(f"Wrote {paths[each.table]} of {each.part}."))
    written = sum(each.draft is not None for each in found)
    err.print(
        plain(f"{counted(written, 'draft')}. Decide their comments, then: sluiceway tables check {folder}/*.toml")
    )
    if written < len(found):
        raise typer.Exit(EXIT_FAILED)
