"""`sluiceway pools`: how many tasks run at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sluiceway.cli.console import out, plain, print_json, sentences
from sluiceway.cli.options import JsonOption
from sluiceway.cli.program import Commands
from sluiceway.settings import load_settings

app = Commands(help="The pools that tasks run in.")


@app.command("apply")
def pools_apply(
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="What declares them; default: airflow_settings.yaml."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the pools that airflow_settings.yaml declares, or correct them. A second time it changes nothing.

    Example: sluiceway pools apply --dry-run
    """
    from sluiceway.rest import pools
    from sluiceway.rest.airflow_api import AirflowApi

    with sentences():
        settings = load_settings()
        declared = pools.read_pools(file or pools.settings_file(settings))
        with AirflowApi.from_settings(settings) as api:
            done = pools.apply(api, declared, is_dry=dry_run)
    if as_json:
        print_json({"done": done, "pools": [pool.model_dump() for pool in declared]})
        return
    for sentence in done:
        out.print(plain(sentence))
