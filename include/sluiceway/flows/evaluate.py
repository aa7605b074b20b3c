"""What `sluiceway triggers test` and `next` find out: would a trigger fire now, and when will a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_core import from_json

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SluicewayError
from sluiceway.flows.files import Flow
from sluiceway.flows.trigger import SensorTrigger, Trigger, TriggerContext, TriggerType
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connections, from_environment

BACK = timedelta(days=1)
"""How far back the ends of another flow are looked for."""


class Evaluated(BaseModel):
    """Whether a trigger would start its flow now, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_id: str
    trigger_id: str
    fires: bool
    reason: str
    error: str | None = None
    """Why the place cannot be seen."""
    events: tuple[dict[str, JsonValue], ...] = ()
    """The facts of each."""
    params: dict[str, JsonValue] = {}


class NextTime(NamedTuple):
    """A time at which schedules start their flow."""

    at: datetime
    """In UTC."""
    local: datetime
    """In the time zone of the last of them."""
    trigger_ids: tuple[str, ...]


def read_payload(path: Path) -> JsonValue:
    """The JSON of a file; raises ConfigError."""
    try:
        found: JsonValue = from_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no JSON: {error}") from error
    return found


def evaluate(
    trigger: Trigger[Any],
    warehouse: str | None,
    *,
    payload: JsonValue = None,
    connections: Connections = from_environment,
) -> Evaluated:
    """Ask the trigger's own should_trigger; starts nothing and writes nothing.

    :param warehouse: where the ledger keeps the cursor; None: the look is as the first.
    """
    names = {"flow_id": trigger.config.flow_id, "trigger_id": trigger.config.id}
    if not trigger.config.enabled:
        return Evaluated(**names, fires=False, reason="it is disabled (enabled = false)")
    if trigger.trigger_type is TriggerType.API and payload is None:
        return Evaluated(**names, fires=False, reason="it waits for a request; give one with --payload FILE")
    try:
        context = TriggerContext(cursor=_cursor(trigger, warehouse), connections=connections, payload=payload)
        is_first = context.cursor is None
        fires = trigger.should_trigger(context)
    except SluicewayError as error:
        return Evaluated(**names, fires=False, reason="", error=str(error))
    return Evaluated(
        **names,
        fires=fires,
        reason=_reason(trigger, context, fires=fires, is_first=is_first),
        events=tuple(dict(event.facts) for event in context.events),
        params=dict(context.params),
    )


def next_times(flow: Flow, after: datetime, count: int) -> list[NextTime]:
    """The next times of the flow's enabled schedules, in order."""
    from sluiceway.flows.kinds.schedule import ScheduleTrigger

    schedules = [
        trigger for trigger in flow.triggers.values() if isinstance(trigger, ScheduleTrigger) and trigger.config.enabled
    ]
    found: dict[datetime, NextTime] = {}
    for trigger in schedules:
        for at in trigger.next_times(after, count):
            # two schedules at one moment are one run
            others = found[at].trigger_ids if at in found else ()
            zone = ZoneInfo(trigger.config.timezone)
            found[at] = NextTime(at, at.astimezone(zone), (*others, trigger.config.id))
    return [found[at] for at in sorted(found)][:count]


def last_runs(flows: Iterable[Flow], settings: Settings) -> dict[tuple[str, str], str]:
    """The last run that each trigger started by name, as far as an Airflow is named in the settings."""
    from urllib.parse import quote

    from sluiceway.errors import AirflowApiError
    from sluiceway.rest.airflow_api import AirflowApi

    if settings.airflow_url is None:
        return {}
    found = {}
    with AirflowApi.from_settings(settings) as api:
        for flow in flows:
            for trigger_id, trigger in flow.triggers.items():
                try:
                    runs = api.get(
                        f"dags/{quote(flow.id)}/dagRuns",
                        run_id_prefix_pattern=trigger.config.run_prefix,
                        order_by="-run_after",
                        limit=1,
                    )["dag_runs"]
                except AirflowApiError as error:
                    if error.status != 404:
                        raise
                    break  # a DAG that Airflow has not parsed yet has no runs
                if runs:
                    found[flow.id, trigger_id] = runs[0]["dag_run_id"]
    return found


def _cursor(trigger: Trigger[Any], warehouse: str | None) -> JsonValue:
    """Where the trigger's next look begins."""
    if trigger.trigger_type is TriggerType.FLOW:
        return (datetime.now(UTC) - BACK).isoformat()
    if not isinstance(trigger, SensorTrigger) or warehouse is None:
        return None
    from sluiceway.flows.look import cursor_of
    from sluiceway.ledger import events
    from sluiceway.ledger.warehouse import connect

    with connect(warehouse) as session:
        return cursor_of(trigger, events.state(session, trigger.config.flow_id, trigger.config.id))


def _reason(trigger: Trigger[Any], context: TriggerContext, *, fires: bool, is_first: bool) -> str:
    from sluiceway.flows.kinds.schedule import ScheduleTrigger

    events = counted(len(context.events), "event")
    if isinstance(trigger, ScheduleTrigger):
        (at,) = trigger.next_times(datetime.now(UTC), 1)
        return f"its next time is {at.astimezone(ZoneInfo(trigger.config.timezone)):%a %Y-%m-%d %H:%M %Z}"
    if trigger.trigger_type is TriggerType.CLI:
        return "whoever asks is let through"
    if trigger.trigger_type is TriggerType.API:
        return "the payload counts" if fires else "the payload is not what `only` asks for"
    if trigger.trigger_type is TriggerType.FLOW:
        return f"{events} in the last {BACK.days * 24} hours"
    if is_first:
        return "this is the first look, and what is there already is no event"
    unsettled = "; something has not settled, and counts once the watch has seen it rest" if context.again_s else ""
    return f"{events} since the last look{unsettled}"
