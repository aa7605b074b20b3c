"""What every command shares beyond its own options: `-h`, `-v`, and the version of the program."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import logging
import tomllib
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from rich.logging import RichHandler

from sluiceway.cli.console import err, sentences
from sluiceway.settings import PACKAGE_DIR, check_variables

F = TypeVar("F", bound=Callable[..., Any])

VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")]
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
"""Of the program; its groups and commands inherit them."""
PROJECT = "sluiceway"


class Commands(typer.Typer):
    """A group of commands: `-v` may stand after the program's name, the group's, and the command's."""

    def __init__(self, *, help: str) -> None:
        super().__init__(no_args_is_help=True, pretty_exceptions_enable=False, context_settings=HELP_OPTIONS, help=help)
        self.callback()(_take_verbose)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """Register a command, as typer does."""
        register = super().command(name, **settings)

        def take(function: F) -> F:
            register(_with_verbose(function))
            return function

        return take


def _take_verbose(verbose: VerboseOption = False) -> None:
    log_what_is_done(verbose)


def _with_verbose(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same command with `-v`."""

    @functools.wraps(function)
    def command(*arguments: Any, verbose: bool, **options: Any) -> Any:
        log_what_is_done(verbose)
        with sentences():
            check_variables()
        return function(*arguments, **options)

    declared = inspect.signature(function, eval_str=True)
    option = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=VerboseOption)
    parameters = [*declared.parameters.values(), option]
    command.__signature__ = declared.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def log_what_is_done(verbose: bool) -> None:
    """Errors are logged to the standard error; all that is done too, when somebody asks for it."""
    logging.basicConfig(level=logging.ERROR, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)])
    # what libraries warn of is for whoever looks into them: it helps nobody who loads a file
    logging.captureWarnings(True)
    if verbose:
        logging.getLogger().setLevel(logging.INFO)


def version() -> str:
    """Of the source tree this code lies in, else of the package that is installed, else `unknown`.

    In a source tree an installed package's version may be that of an older checkout.
    """
    project = PACKAGE_DIR.parent.parent / "pyproject.toml"
    if project.is_file():
        declared = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if declared.get("name") == PROJECT:
            return str(declared["version"])
    try:
        return importlib.metadata.version(PROJECT)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
