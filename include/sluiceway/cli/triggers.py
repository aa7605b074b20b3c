"""`sluiceway triggers`: what starts each flow, how it is, and whether its files are right."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sluiceway.cli import checked, complete
from sluiceway.cli.checked import FormatOption
from sluiceway.cli.console import EXIT_FAILED, err, out, plain, print_json, sentences
from sluiceway.cli.numbers import whole
from sluiceway.cli.options import JsonOption, named_warehouse
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_fields, print_records
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.flows.evaluate import Evaluated
    from sluiceway.flows.files import Flow
    from sluiceway.flows.overview import TriggerView

MOST_TIMES = 1_000

app = Commands(help="What starts the flows under include/config/flows/.")

FlowArgument = Annotated[str, typer.Argument(metavar="FLOW", help="A flow's id.", autocompletion=complete.flows)]
TriggerArgument = Annotated[
    str | None, typer.Argument(metavar="[TRIGGER]", help="Only this trigger.", autocompletion=complete.triggers)
]
WarehouseOption = Annotated[
    str | None, typer.Option("--warehouse", metavar="URL", help="Of the ledger; else SLUICEWAY_WAREHOUSE_URL.")
]


@app.command("list")
def triggers_list(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """List every trigger: its state, last check, last error and last run.

    What `triggers check` finds wrong is told beside, such as a trigger that follows a task which is no more; and what a
    sensor cannot see, such as a folder that it may not read.

    Example: sluiceway triggers list
    """
    from sluiceway.flows.check import check
    from sluiceway.flows.files import read_flows

    with sentences():
        views = _views(list(read_flows().values()), warehouse)
    for said in check():
        err.print(f"[yellow]warning:[/] {plain(said)}")
    for view in views:
        if view.warning is not None:
            err.print(f"[yellow]warning:[/] {plain(f'{view.flow_id}.{view.trigger_id}: {view.warning}')}")
    if as_json:
        print_json([view.model_dump(mode="json") for view in views])
        return
    names = ("flow", "trigger", "kind", "state", "last check (UTC)", "waiting events", "last run", "error")
    rows = [
        (
            view.flow_id,
            view.trigger_id,
            view.kind,
            view.state,
            _time(view.last_check_at),
            str(view.unclaimed_events),
            view.last_run_id or "",
            (view.last_error or "") if view.state == "failing" else "",
        )
        for view in views
    ]
    print_records(names, rows, prose={"error"})


@app.command("show")
def triggers_show(
    flow_id: FlowArgument,
    trigger_id: TriggerArgument = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a flow's triggers declare and how they are: cursor, last check, last error, last run.

    Example: sluiceway triggers show master_etl
    """
    with sentences():
        flow = _flow(flow_id, trigger_id)
        views = {view.trigger_id: view for view in _views([flow], warehouse)}
    chosen = [trigger_id] if trigger_id is not None else list(flow.triggers)
    declared = {each: flow.triggers[each].config.model_dump(mode="json", exclude_unset=True) for each in chosen}
    if as_json:
        flow_keys = flow.spec.model_dump(mode="json", exclude={"triggers"})
        triggers = [{"declared": declared[each], **views[each].model_dump(mode="json")} for each in chosen]
        print_json({**flow_keys, "triggers": triggers})
        return
    out.print(plain(f"{flow.id} ({flow.spec.flow_type}): {flow.spec.description}"))
    out.print(plain(f"starts when: {flow.spec.when or ' | '.join(flow.triggers) or 'never by itself'}"))
    for each in chosen:
        view = views[each]
        out.print(f"\n{plain(each)}")
        print_fields(
            {
                key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                for key, value in {**declared[each], **_known(view)}.items()
                if key not in {"id", "flow_id"} and value is not None
            }
        )


@app.command("check")
def triggers_check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files; else all of include/config/flows/ and environments/.")
    ] = None,
    style: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate the files of flows and environments offline; names file, key, value and the nearest valid one.

    Example: sluiceway triggers check include/config/flows/master_etl.toml
    """
    from sluiceway.flows.check import all_files, problems_of

    folder = load_settings().config_dir
    with sentences():
        named = {path: checked.is_no_file(path) for path in files or []}
        found = problems_of([path for path, wrong in named.items() if wrong is None]) if named else problems_of(None)
        count = len(files or all_files(folder))
    problems = [checked.Problem(path, wrong) for path, wrong in named.items() if wrong is not None]
    problems += [checked.Problem(path, sentence) for path, said in found for sentence in said.split("\n")]
    nothing = f"There is no flow and no environment under {folder}: nothing was checked."
    checked.tell(count, problems, nothing=nothing, style=style, as_json=as_json)


@app.command("test")
def triggers_test(
    flow_id: FlowArgument,
    trigger_id: TriggerArgument = None,
    payload: Annotated[
        Path | None, typer.Option(help="A JSON file: the body of a request, for triggers of type api.")
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look now whether the triggers would start their flow. Starts nothing and writes nothing.

    Exit 1 when a place cannot be seen. Connections are those of AIRFLOW_CONN_<ID>.

    Example: sluiceway triggers test orders orders_changed
    """
    from sluiceway.flows.evaluate import evaluate, read_payload

    with sentences():
        flow = _flow(flow_id, trigger_id)
        body = read_payload(payload) if payload is not None else None
        url = named_warehouse(warehouse)
        chosen = [flow.triggers[trigger_id]] if trigger_id is not None else list(flow.triggers.values())
        found = [evaluate(trigger, url, payload=body) for trigger in chosen]
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
    else:
        for each in found:
            _print_evaluated(each)
    if any(each.error for each in found):
        raise typer.Exit(EXIT_FAILED)


@app.command("next")
def triggers_next(
    flow_id: FlowArgument,
    count: Annotated[str, typer.Option("-n", metavar="N", help=f"How many times, at most {MOST_TIMES}.")] = "5",
    after: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help="In UTC; default: now.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the next times at which the flow's schedules start it, as Airflow counts them.

    Example: sluiceway triggers next orders -n 5
    """
    from sluiceway.errors import ConfigError
    from sluiceway.flows.evaluate import next_times

    with sentences():
        most, flow = whole("-n", count, most=MOST_TIMES), _flow(flow_id, None)
        found = next_times(flow, after.replace(tzinfo=UTC) if after else datetime.now(UTC), most)
        if not found:
            raise ConfigError(f"Flow {flow_id!r} has no schedule that is enabled; add a trigger of type schedule.")
    if as_json:
        print_json(
            [
                {"utc": each.at.isoformat(), "local": each.local.isoformat(), "trigger_ids": each.trigger_ids}
                for each in found
            ]
        )
        return
    rows = [
        (f"{each.local:%a %Y-%m-%d %H:%M %Z}", f"{each.at:%Y-%m-%d %H:%M}", ", ".join(each.trigger_ids))
        for each in found
    ]
    print_records(("local time", "UTC", "trigger"), rows)


def _flow(flow_id: str, trigger_id: str | None) -> Flow:
    from sluiceway.flows.files import read_flow

    flow = read_flow(flow_id)
    if trigger_id is not None:
        flow.trigger(trigger_id)
    return flow


def _views(flows: list[Flow], warehouse: str | None) -> list[TriggerView]:
    """How the triggers are, as far as the ledger and Airflow are named."""
    from sluiceway.flows.evaluate import last_runs
    from sluiceway.flows.overview import overview
    from sluiceway.ledger import events
    from sluiceway.ledger.warehouse import connect

    settings = load_settings()
    states = []
    if url := named_warehouse(warehouse):
        with connect(url) as session:
            states = events.states(session)
    else:
        err.print("No warehouse is named (SLUICEWAY_WAREHOUSE_URL): what triggers have seen is not shown.")
    return overview(flows, states, last_runs(flows, settings))


def _known(view: TriggerView) -> dict[str, Any]:
    """What is known beyond what is declared."""
    shown = view.model_dump(mode="json", exclude={"flow_id", "trigger_id", "kind", "description"})
    return {key: value for key, value in shown.items() if value not in (None, 0)}


def _print_evaluated(each: Evaluated) -> None:
    word = "cannot be seen" if each.error else "would start" if each.fires else "would not start"
    out.print(plain(f"{each.trigger_id}: {word}: {each.error or each.reason}"))
    for event in each.events[:10]:
        out.print(plain(f"  {json.dumps(event, ensure_ascii=False)}"))
    if len(each.events) > 10:
        out.print(f"  and {len(each.events) - 10:,} more")


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else ""
