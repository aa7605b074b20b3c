"""Every command of the program, as its words."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from sluiceway.cli.app import app


def commands(group: typer.Typer = app, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of each command below a group."""
    return list(_commands(group, words))


def _commands(group: typer.Typer, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*words, command.name or command.callback.__name__)
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _commands(below.typer_instance, (*words, str(below.name)))
