"""How every command writes, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from sluiceway.errors import ConfigError, SettingsError, SluicewayError, UnknownTableError

EXIT_FAILED = 1
EXIT_USAGE = 2

# a pipe has no width: wide enough that no name is cut
WIDTH = None if sys.stdout.isatty() else 220
out = Console(highlight=False, width=WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def sentences() -> Iterator[None]:
    """Turns a named error into one sentence and an exit code."""
    try:
        yield
    except (ConfigError, SettingsError, UnknownTableError) as error:
        err.print(f"[red]error:[/] {plain(error)}")
        raise typer.Exit(EXIT_USAGE) from error
    except SluicewayError as error:
        err.print(f"[red]error:[/] {plain(error)}")
        raise typer.Exit(EXIT_FAILED) from error


def plain(text: object) -> str:
    """Text that rich takes for no markup."""
    return escape(str(text))
