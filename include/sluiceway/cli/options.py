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
        metavar="NAME|FILE.toml",
        help="A table's name, or a file like those under tables/.",
        autocompletion=complete.tables,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def warehouse_url(url: str | None) -> str:
    """The warehouse that the option or the environment names; raises SettingsError when neither does."""
    return url or load_settings().require_warehouse_url()
