"""`sluiceway trigger`: starts a run in Airflow, of a deployed commit or of a flow."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from sluiceway.cli.console import EXIT_USAGE, err, out, plain, sentences
from sluiceway.errors import AirflowApiError, ConfigError, nearest
from sluiceway.settings import load_settings


def trigger_run(
    context: typer.Context,
    flow_id: Annotated[str | None, typer.Option("--flow-id")] = None,
    trigger_id: Annotated[str | None, typer.Option("--trigger-id")] = None,
    batch_id: Annotated[str | None, typer.Option("--batch-id")] = None,
    param: Annotated[list[str] | None, typer.Option("--param")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
) -> None:
    """Start a run in Airflow: of a deployed commit, once, or of a flow with --flow-id; --help has the options.

    Example: sluiceway trigger --commit $(git rev-parse HEAD)
    Example: sluiceway trigger --flow-id orders --batch-id 2026-08-03 --param tables='["us_state"]'
    """
    from sluiceway.deploy import trigger

    if {"--help", "-h"} & {*context.args}:
        out.print(FLOW_HELP, markup=False)
    elif flow_id is not None:
        with sentences():
            _trigger_flow(flow_id, trigger_id, batch_id, param or [], dry_run=dry_run, unknown=context.args)
        return
    elif trigger_id is not None or batch_id is not None or param or dry_run:
        err.print("[red]error:[/] --trigger-id, --batch-id, --param and --dry-run are a flow's: add --flow-id.")
        raise typer.Exit(EXIT_USAGE)
    with sentences():
        settings = load_settings()
    known = {
        "AIRFLOW_URL": settings.airflow_url or "",
        "AIRFLOW_USERNAME": settings.airflow_username or "",
        "AIRFLOW_PASSWORD": settings.airflow_password or "",
    }
    raise typer.Exit(trigger.main(context.args, defaults=known, prog="sluiceway trigger"))


FLOW_HELP = """\
A flow of include/config/flows/ instead of a deployed commit:
  --flow-id F      start this flow, in the Airflow of SLUICEWAY_AIRFLOW_URL
  --trigger-id T   in the name of this trigger; default: its cli trigger
  --batch-id N     name the run: the same N twice is one run
  --param K=V      a param of the run, JSON or else text; again for more
  --dry-run        print what would be posted, and start nothing
exit codes: 0 the run is there; 1 Airflow refuses it; 2 an option is wrong, or the trigger is disabled
"""


def _trigger_flow(
    flow_id: str, trigger_id: str | None, batch_id: str | None, param: list[str], *, dry_run: bool, unknown: list[str]
) -> None:
    from sluiceway.flows import TriggerContext, TriggerService, service

    if unknown:
        known = ["--trigger-id", "--batch-id", "--param", "--dry-run"]
        raise ConfigError(f"--flow-id goes without {unknown[0]!r}{nearest(unknown[0], known)}")
    trigger = TriggerService().find(flow_id, trigger_id=trigger_id)
    asked = TriggerContext(params=service.params_of(param), batch_id=batch_id)
    if not trigger.config.enabled:
        raise ConfigError(trigger.refusal())
    if dry_run:
        order = service.order(trigger.config, asked)
        url = load_settings().airflow_url or ""
        document = {"method": "POST", "url": f"{url}/api/v2/{order.path}", "body": order.body}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    result = service.activate(trigger, asked)
    if not result.success:
        raise AirflowApiError(result.message)
    err.print(plain(f"{flow_id}: {result.message}"))
    sys.stdout.write(f"{result.run_id}\n")
