"""Options that several commands have, and what they mean."""

from __future__ import annotations

from typing import Annotated

import typer

from sluiceway.cli import complete
from sluiceway.settings import load_settings

WarehouseOption = Annotated[
    str | None, typer.Option("--warehouse", metavar="URL", help="postgresql:// URL; else SLUICEWAY_WAREHOUSE_URL.")
]
TableArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A table's name, a file like those under tables/, or any data, - for the standard input: a draft of its "
        "file is shown, and used.",
        autocompletion=complete.tables,
    ),
]
UriOption = Annotated[
    str | None,
    typer.Option("--uri", help="Read this file or URL instead of the declared one; - is the standard input."),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's name.", autocompletion=complete.jobs)]
JobsWarehouseOption = Annotated[
    str | None, typer.Option("--warehouse", metavar="URL", help="postgresql:// URL; else SLUICEWAY_JOBS_URL.")
]
WhyOption = Annotated[str | None, typer.Option("--why", metavar="TEXT", help="Kept beside who did it.")]
LimitOption = Annotated[str, typer.Option("--limit", metavar="N", help="At most so many, the newest first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def warehouse_url(url: str | None) -> str:
    """The warehouse that the option or the environment names.

    :raises SettingsError: neither names one, or what they name is no address of one.
    """
    return named_warehouse(url) or load_settings().require_warehouse_url()


def named_warehouse(url: str | None) -> str | None:
    """The same, or None when neither does."""
    from sluiceway.ledger.warehouse_url import checked

    if url is not None:
        return checked(url, "--warehouse")
    found = load_settings().warehouse_url
    return checked(found, "SLUICEWAY_WAREHOUSE_URL") if found else None


def jobs_url(url: str | None) -> str:
    """The warehouse as the role that works on items of jobs: the option, else SLUICEWAY_JOBS_URL.

    :raises SettingsError: neither names one, or what they name is no address of one.
    """
    from sluiceway.ledger.warehouse_url import checked

    if url is not None:
        return checked(url, "--warehouse")
    return checked(load_settings().require_jobs_url(), "SLUICEWAY_JOBS_URL")


def owner_url(url: str | None) -> str:
    """The warehouse as the role that owns it: the option, else SLUICEWAY_OWNER_URL, else the loader's."""
    from sluiceway.ledger.warehouse_url import checked

    owner = load_settings().owner_url if url is None else None
    return checked(owner, "SLUICEWAY_OWNER_URL") if owner else warehouse_url(url)
