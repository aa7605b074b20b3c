"""What starts the DAG of a flow: its file's triggers as Airflow's schedules and assets, and what a start looks like."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import (
    Asset,
    AssetAll,
    AssetAny,
    AssetOrTimeSchedule,
    AssetWatcher,
    MultipleCronTriggerTimetable,
    Param,
    get_parsing_context,
)

from sluiceway.deploy.build import build_tags
from sluiceway.errors import ConfigError
from sluiceway.flows.assets import outcome_of, trigger_asset
from sluiceway.flows.files import LEDGERED as LEDGERED
from sluiceway.flows.files import Flow, flow_files, read_file
from sluiceway.flows.params import (
    OF_EVENTS,
    RunParam,
    form_names,
    groups_of,
    job_params,
    own_needs,
    parts_needs,
    run_params,
)
from sluiceway.flows.trigger import SensorTrigger, Trigger, TriggerType
from sluiceway.flows.when import And, Expression, Name, Or
from sluiceway.ids import LOADING_TASK, MASTER, PLANNING_TASK, SPLIT_TASKS
from sluiceway.on_airflow import pods
from sluiceway.on_airflow.retries import retry_arguments
from sluiceway.settings import load_settings
from sluiceway.tables.needs import Needs

if TYPE_CHECKING:
    from airflow.sdk.bases.timetable import BaseTimetable
    from airflow.sdk.definitions.asset import BaseAsset

SHORTEST_POLL_S = 60.0
"""Every look without a triggerer is a run of its own."""

log = logging.getLogger(__name__)


class Flows(NamedTuple):
    """Every flow's file, read."""

    right: dict[str, Flow]
    wrong: dict[str, str]
    """What is wrong with the others, by the file's stem."""


def read(dag_id: str | None = None) -> Flows:
    """Every flow; a file that is wrong hinders no other flow.

    :param dag_id: of the one DAG that is needed, as in a task's process: only its flow is read.
    """
    flows = Flows({}, {})
    for path in flow_files(load_settings().config_dir):
        if dag_id is None or dag_id == path.stem or dag_id.startswith(f"{path.stem}__"):
            _read(path, flows)
    return flows


def judged_dags() -> set[str]:
    """The DAGs of whose runs each has a verdict: master_etl, and those of the flows that load tables or do jobs."""
    judged = (flow.id for flow in read().right.values() if flow.spec.flow_type in {"tables", "job"})
    return {MASTER, *judged}


def following(dag_id: str) -> list[Flow]:
    """The flows that may follow a DAG: those whose file names it as a source. The others are not parsed."""
    flows = Flows({}, {})
    for path in flow_files(load_settings().config_dir):
        text = path.read_bytes()
        if b"source_flow_id" in text and dag_id.encode() in text:
            _read(path, flows)
    return list(flows.right.values())


def _read(path: Path, flows: Flows) -> None:
    try:
        flows.right[path.stem] = read_file(path)
    except ConfigError as error:
        log.error("Flow %s: %s", path.stem, error)
        flows.wrong[path.stem] = str(error)


def declared(dag_id: str) -> Flow | None:
    """What the file of that flow adds to a DAG written in Python; None without a file.

    :raises ConfigError: the file is wrong.
    """
    path = load_settings().config_dir / "flows" / f"{dag_id}.toml"
    return read_file(path) if path.is_file() else None


def arguments(flow: Flow | None) -> dict[str, Any]:
    """Arguments of the DAGs that are made of a flow's file; None: of one that is wrong."""
    owner, tags = (flow.spec.owner, flow.spec.tags) if flow else ("data-platform", ("broken",))
    return {
        "catchup": False,
        "max_active_runs": 1,
        "default_args": {"owner": owner, **retry_arguments()},
        "tags": ["sluiceway", "flow", *tags, *build_tags()],
    }


def schedule_of(flow: Flow | None) -> BaseTimetable | BaseAsset | None:
    """When the flow's DAG runs: at the times of its schedules, or when its other triggers, or `when`, say so."""
    if flow is None:
        return None
    expression = flow.when or Or(tuple(map(Name, flow.triggers)))
    condition = _condition(flow, expression, joined=False)
    timetable = _timetable(flow)
    if condition is None or timetable is None:
        return condition or timetable
    return AssetOrTimeSchedule(timetable=timetable, assets=condition)


def events_schedule(flow: Flow) -> BaseAsset | None:
    """When the DAG runs that starts a run per event; None: every event goes into a run with others."""
    found = [asset_of(trigger) for trigger in per_event(flow)]
    return AssetAny(*found) if found else None


def poll_schedule(flow: Flow) -> timedelta | None:
    """When the DAG runs that looks without a triggerer, as often as the shortest `poll_s` says; None: never."""
    return min((timedelta(seconds=max(each.config.poll_s, SHORTEST_POLL_S)) for each in polled(flow)), default=None)


def enabled(flow: Flow) -> Iterator[Trigger[Any]]:
    """The flow's triggers that are on."""
    return (trigger for trigger in flow.triggers.values() if trigger.config.enabled)


def per_event(flow: Flow) -> list[Trigger[Any]]:
    """Triggers each of whose events gets a run of its own. One that waits for another by & cannot."""
    joined = set(_joined(flow.when)) if flow.when else set()
    return [each for each in enabled(flow) if _wants_own_runs(each) and each.config.id not in joined]


def polled(flow: Flow) -> list[SensorTrigger[Any]]:
    """Triggers that a DAG on a schedule looks at."""
    return [each for each in enabled(flow) if isinstance(each, SensorTrigger) and each.config.mode == "poll"]


def clocks(flow: Flow) -> list[Trigger[Any]]:
    """Schedules in another time zone than the first: Airflow's timetable has one, so each has a DAG that tells."""
    schedules = _schedules(flow)
    return [each for each in schedules if each.config.timezone != schedules[0].config.timezone]


def takes_events(flow: Flow | None) -> bool:
    """Whether runs of the flow take events out of the ledger."""
    return flow is not None and flow.takes_events


def event_params(flow: Flow | None) -> dict[str, Param]:
    """Params by which a run is told its event."""
    return form(OF_EVENTS) if takes_events(flow) else {}


def refresh_params(flow: Flow | None) -> dict[str, Param]:
    """The trigger form of master_etl, or of a flow that loads tables of its own."""
    # the form alone names the tables: a task need not look for their files
    names = form_names(flow) if get_parsing_context().task_id is None else []
    return form(run_params(flow, names))


def refresh_arguments(flow: Flow | None) -> dict[str, Any]:
    """What the graph that refreshes tables is made of, beside the DAG's own arguments."""
    return {
        "own": own_needs(flow),
        "groups": own_groups(flow),
        "parts": own_parts(flow),
        "takes_events": takes_events(flow),
    }


def own_parts(flow: Flow | None) -> Needs | None:
    """What the parts need, where some of the flow's tables are loaded in such, by tasks of their own in the graph."""
    if (task := get_parsing_context().task_id) is not None:
        return own_needs(flow) if task in SPLIT_TASKS else None
    return parts_needs(flow)


def own_groups(flow: Flow | None) -> dict[str, Needs]:
    """The groups of its tables that ask for another queue or pod than the flow: each has its own tasks in the graph."""
    if (task := get_parsing_context().task_id) is not None:
        # no file need be read: a task's name says its group, and its process needs no other task
        names = [task.removeprefix(f"{each}_") for each in (PLANNING_TASK, LOADING_TASK) if task.startswith(f"{each}_")]
        return {name: Needs(name) for name in names}
    return groups_of(flow, by_limits=pods.gives_pods())


def job_form(flow: Flow) -> dict[str, Param]:
    """The trigger form of a job."""
    return form(job_params(flow))


def form(params: Mapping[str, RunParam]) -> dict[str, Param]:
    """Airflow's params, which judge a run when it is asked for, and never again.

    A task validates the conf of its run too, with the DAG of its own moment: what code or a table's file has become
    meanwhile would end every task of a run that was right. So in a task's process they allow everything.
    """
    judges = get_parsing_context().task_id is None
    return {name: _param(each, judges=judges) for name, each in params.items()}


def _param(each: RunParam, *, judges: bool) -> Param:
    schema = {**each.schema, **({"examples": list(each.examples)} if each.examples else {})} if judges else {}
    return Param(each.default, each.description, schema={**schema, "title": each.title})


def asset_of(trigger: Trigger[Any]) -> Asset:
    """The asset by which a trigger wakes its flow; where a triggerer looks, with its watch."""
    names = {"flow_id": trigger.config.flow_id, "trigger_id": trigger.config.id}
    name = trigger_asset(**names)
    is_watched = trigger.trigger_type in LEDGERED and getattr(trigger.config, "mode", "triggerer") == "triggerer"
    if not is_watched:
        return Asset(name)
    from sluiceway.on_airflow.triggers.watch import WatchTrigger

    return Asset(name, watchers=[AssetWatcher(name, WatchTrigger(**names))])


def _condition(flow: Flow, expression: Expression, *, joined: bool) -> BaseAsset | None:
    if isinstance(expression, Name):
        return _asset(flow, flow.triggers[expression.id], joined=joined)
    is_all = isinstance(expression, And)
    parts = [_condition(flow, part, joined=joined or is_all) for part in expression.parts]
    assets = [part for part in parts if part is not None]
    if len(assets) < 2:
        return assets[0] if assets else None
    return AssetAll(*assets) if is_all else AssetAny(*assets)


def _asset(flow: Flow, trigger: Trigger[Any], *, joined: bool) -> Asset | None:
    """What of a trigger the flow's own DAG waits for; None: nothing, or the clock."""
    if not trigger.config.enabled or trigger.trigger_type is TriggerType.CLI:
        return None
    if trigger.trigger_type is TriggerType.FLOW:
        return Asset(outcome_of(trigger.config).asset)
    if trigger.trigger_type is TriggerType.SCHEDULE:
        return asset_of(trigger) if trigger in clocks(flow) else None
    return None if _wants_own_runs(trigger) and not joined else asset_of(trigger)


def _timetable(flow: Flow) -> BaseTimetable | None:
    schedules = [each for each in _schedules(flow) if each not in clocks(flow)]
    if not schedules:
        return None
    crons = [each.config.schedule for each in schedules]
    return MultipleCronTriggerTimetable(*crons, timezone=schedules[0].config.timezone)


def _schedules(flow: Flow) -> list[Trigger[Any]]:
    return [each for each in enabled(flow) if each.trigger_type is TriggerType.SCHEDULE]


def _wants_own_runs(trigger: Trigger[Any]) -> bool:
    """A request's params are those of one run, so api triggers never share one."""
    if trigger.trigger_type is TriggerType.API:
        return True
    return trigger.trigger_type is TriggerType.SENSOR and not trigger.config.coalesce


def _joined(expression: Expression, *, under_all: bool = False) -> Iterator[str]:
    if isinstance(expression, Name):
        if under_all:
            yield expression.id
        return
    for part in expression.parts:
        yield from _joined(part, under_all=under_all or isinstance(expression, And))
