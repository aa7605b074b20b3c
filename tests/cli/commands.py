"""Every command of the program, as its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer

from sluiceway.cli.app import app


def commands() -> list[tuple[str, ...]]:
    """The words of each command."""
    return list(callbacks())


def callbacks() -> dict[tuple[str, ...], Callable[..., Any]]:
    """What each command does, by its words."""
    return dict(_callbacks(app, ()))


def _callbacks(group: typer.Typer, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Callable[..., Any]]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*words, command.name or command.callback.__name__), command.callback
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from _callbacks(below.typer_instance, (*words, str(below.name)))
