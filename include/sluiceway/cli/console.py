"""How every command writes, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.markup import escape

from sluiceway.errors import ConfigError, SettingsError, SluicewayError, UnknownTableError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_CODES = {
    0: "good: it is done, or it is as asked",
    EXIT_FAILED: "the work failed, or what is shown is red; the sentence says why",
    EXIT_USAGE: "a file, a name or an option is wrong; nothing was started",
    EXIT_UNKNOWN: "only of `status`: it cannot be told; the sentence says why",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM",
}
"""Of every command; docs/reference/exit-codes.md says what each means for which."""

# the terminal folds a line that is too long for it, so that what is copied from it is whole
out = Console(soft_wrap=True, highlight=False)
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


def print_json(document: object) -> None:
    """To the standard output, and nothing else goes there."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
