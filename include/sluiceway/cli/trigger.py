"""`sluiceway trigger`: starts a run in Airflow, of a deployed commit or of a flow.

What starts a commit's run is deploy/trigger.py, which CI also runs alone; here are its options again, for the help and
the shell's completion, and it is handed what was given.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from sluiceway.cli import complete
from sluiceway.cli.console import EXIT_FAILED, EXIT_USAGE, data, err, plain, print_json, say_error, sentences
from sluiceway.cli.options import JsonOption
from sluiceway.errors import AirflowApiError, ConfigError
from sluiceway.settings import load_settings

COMMIT, PLACE, WAIT, FLOW = "Of a deployed commit", "Where Airflow is, for a commit", "When", "Of a flow instead"
DEPLOY_OPTIONS = (
    "url",
    "composer",
    "location",
    "project",
    "allow_http",
    "dag",
    "commit",
    "repository",
    "actor",
    "ci_run_url",
    "again",
    "build_id",
    "wait_for_dag",
    "timeout",
    "wait",
)
"""Those that deploy/trigger.py has; a test holds it to them."""
REFUSED = frozenset({3, 4, 5, 6})
"""The codes by which deploy/trigger.py, alone, says why there is no run, or not its data. Here they are 1."""


def trigger_run(
    context: typer.Context,
    commit: Annotated[
        str | None, typer.Option(metavar="SHA", help="40 digits; or GITHUB_SHA.", rich_help_panel=COMMIT)
    ] = None,
    dag: Annotated[
        str | None, typer.Option(metavar="ID", help="The DAG; default: master_etl.", rich_help_panel=COMMIT)
    ] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Or GITHUB_REPOSITORY.", rich_help_panel=COMMIT)
    ] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Or GITHUB_ACTOR.", rich_help_panel=COMMIT)] = None,
    ci_run_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Or that of the GitHub run.", rich_help_panel=COMMIT)
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Also when the commit's last run succeeded and no other came since.",
            rich_help_panel=COMMIT,
        ),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Its address, on Astro the deployment's; or AIRFLOW_URL; or SLUICEWAY_AIRFLOW_URL.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    composer: Annotated[
        str | None,
        typer.Option(metavar="ENVIRONMENT", help="A Cloud Composer environment instead.", rich_help_panel=PLACE),
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="REGION", help="Of the environment.", rich_help_panel=PLACE)
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the environment.", rich_help_panel=PLACE)
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Also an address that is not this machine's.", rich_help_panel=PLACE)
    ] = False,
    build_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Wait until the DAG shows the tag build:ID; default: not checked.", rich_help_panel=WAIT
        ),
    ] = None,
    wait_for_dag: Annotated[
        str | None, typer.Option(metavar="S", help="For code to be parsed; default: 120.", rich_help_panel=WAIT)
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="S", help="For all unanswered questions; default: 60.", rich_help_panel=WAIT)
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(metavar="S", help="Then until the data is the commit's; default: not.", rich_help_panel=WAIT),
    ] = None,
    flow_id: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Start this flow, in the Airflow of SLUICEWAY_AIRFLOW_URL.",
            rich_help_panel=FLOW,
            autocompletion=complete.flows,
        ),
    ] = None,
    trigger_id: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="In the name of this trigger; default: its cli trigger.",
            rich_help_panel=FLOW,
            autocompletion=complete.triggers,
        ),
    ] = None,
    batch_id: Annotated[
        str | None,
        typer.Option(metavar="N", help="Name the run: the same N twice is one run.", rich_help_panel=FLOW),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V", help="A param of the run, JSON or else text; again for more.", rich_help_panel=FLOW
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be posted, and start nothing.", rich_help_panel=FLOW)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a run in Airflow, once: of a deployed commit, or of a flow with --flow-id.

    Exit 0: the run is there, and with --wait its data. Exit 1: it is not, for Airflow does not answer, or refuses it.
    Exit 2: an option or a name is wrong, and nothing was started.

    Secrets come from the environment: AIRFLOW_TOKEN, or AIRFLOW_USERNAME and AIRFLOW_PASSWORD.

    Example: sluiceway trigger --commit $(git rev-parse HEAD)

    Example: sluiceway trigger --flow-id orders --batch-id 2026-08-03 --param tables='["us_state"]'
    """
    given = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name in DEPLOY_OPTIONS
        if (value := context.params[name]) not in (None, False)
    ]
    if flow_id is not None:
        with sentences():
            if given:
                raise ConfigError(f"--flow-id goes without {given[0].partition('=')[0]!r}")
            _trigger_flow(flow_id, trigger_id, batch_id, param or [], dry_run=dry_run, as_json=as_json)
        return
    if trigger_id is not None or batch_id is not None or param or dry_run:
        say_error("--trigger-id, --batch-id, --param and --dry-run are a flow's: add --flow-id.")
        raise typer.Exit(EXIT_USAGE)
    raise typer.Exit(_trigger_commit([*given, *(["--json"] if as_json else [])]))


def _trigger_commit(given: list[str]) -> int:
    from sluiceway.deploy import trigger

    with sentences():
        settings = load_settings()
    known = {
        "AIRFLOW_URL": settings.airflow_url or "",
        "AIRFLOW_USERNAME": settings.airflow_username or "",
        "AIRFLOW_PASSWORD": settings.airflow_password or "",
    }
    code = trigger.main(given, defaults=known, prog="sluiceway trigger", usage="sluiceway trigger [OPTIONS]")
    return EXIT_FAILED if code in REFUSED else code


def _trigger_flow(
    flow_id: str, trigger_id: str | None, batch_id: str | None, param: list[str], *, dry_run: bool, as_json: bool
) -> None:
    from sluiceway.flows import TriggerContext, TriggerService, service

    trigger = TriggerService().find(flow_id, trigger_id=trigger_id)
    asked = TriggerContext(params=service.params_of(param), batch_id=batch_id)
    if not trigger.config.enabled:
        raise ConfigError(trigger.refusal())
    url = load_settings().airflow_url or ""
    if dry_run:
        order = service.order(trigger.config, asked)
        print_json({"method": "POST", "url": f"{url}/api/v2/{order.path}", "body": order.body})
        return
    result = service.activate(trigger, asked)
    if not result.success or result.run_id is None:
        raise AirflowApiError(result.message)
    err.print(plain(f"{flow_id}: {result.message}"))
    if as_json:
        run_url = f"{url.rstrip('/')}/dags/{quote(flow_id, safe='')}/runs/{quote(result.run_id, safe='')}"
        print_json({"dag_id": flow_id, "run_id": result.run_id, "run_url": run_url, "trigger_id": result.trigger_id})
    else:
        data.write(f"{result.run_id}\n")
