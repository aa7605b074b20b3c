"""`sluiceway access`: who may start a run, and who may read how the data stands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sluiceway.cli import face_tokens
from sluiceway.cli.console import err, plain, print_json, sentences
from sluiceway.cli.options import JsonOption
from sluiceway.cli.program import Commands
from sluiceway.settings import load_settings

app = Commands(help="Who may start a run, and who may read how the data stands.")
app.add_typer(face_tokens.app, name="token")


@app.command("setup")
def access_setup(
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also make this user; SLUICEWAY_CI_PASSWORD, else a generated one, printed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create the role that CI triggers with, as an administrator of Airflow. A second time it changes nothing.

    A generated password is all that goes to the standard output, so that it can be piped into a store of secrets.

    Example: sluiceway access setup --user ci
    """
    from sluiceway.rest import access
    from sluiceway.rest.airflow_api import AirflowApi

    with sentences(), AirflowApi.from_settings(settings := load_settings()) as api:
        done = access.setup(api, user=user, password=settings.ci_password)
    if as_json:
        print_json({"done": done.sentences, "user": user, "password": done.password})
        return
    for sentence in done.sentences:
        err.print(plain(sentence))
    if done.password:
        err.print("Its password is shown this once:")
        sys.stdout.write(f"{done.password}\n")
