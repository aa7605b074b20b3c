"""How every command writes, and how an error becomes one sentence and an exit code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

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

_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What a terminal obeys, what turns round the text beside it, what nobody sees, and what cannot be written."""


def visible(text: str) -> str:
    """The text as a terminal may have it: what would be a command to it is written as its code, `\\x1b`."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Screen(Console):
    """What all that people read goes through, logs and bars too: only its own colours are commands to the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with the texts made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


# the terminal folds a line that is too long for it, so that what is copied from it is whole
out = Screen(soft_wrap=True, highlight=False)
err = Screen(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def sentences() -> Iterator[None]:
    """Turns a named error into one sentence and an exit code."""
    try:
        yield
    except (ConfigError, SettingsError, UnknownTableError) as error:
        say_error(error)
        raise typer.Exit(EXIT_USAGE) from error
    except SluicewayError as error:
        say_error(error)
        raise typer.Exit(EXIT_FAILED) from error


def say_error(error: object) -> None:
    """On the standard error; of several lines the others are set in, so that none of them looks like another error."""
    err.print(f"[red]error:[/] {lines(error)}")


def plain(text: object) -> str:
    """Text on one line, which is neither markup to rich nor a command to a terminal."""
    return escape(one_line(str(text)))


def lines(text: object) -> str:
    """The same of a text of several lines, of which only the first begins where lines of ours begin."""
    return "\n  ".join(plain(line) for line in str(text).split("\n"))


def one_line(text: str) -> str:
    """The text on one line, as a terminal may have it."""
    return visible(" ".join(re.split("[\n\t]", text)))


def print_json(document: object) -> None:
    """To the standard output, and nothing else goes there."""
    write_json(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def write_json(text: str) -> None:
    """The same of what is JSON already."""
    # what a terminal obeys stands in texts alone, where its code means the same
    sys.stdout.write(_COMMANDS.sub(_json_code, text) + "\n")


def _json_code(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class Data:
    """The standard output for what has a form of its own: a file or another program gets it as it is."""

    def write(self, text: str) -> None:
        """Write it; where a person reads it, as a terminal may have it."""
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


data = Data()
