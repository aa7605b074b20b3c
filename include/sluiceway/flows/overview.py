"""Every trigger as `sluiceway triggers list` and /sluiceway/api/triggers show it. Reads neither files nor databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from sluiceway.flows.files import Flow
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorTrigger, Trigger, TriggerConfig, TriggerType
from sluiceway.ledger.events import TriggerState

State = Literal["disabled", "failing", "waiting", "unseen"]


class TriggerView(BaseModel):
    """One trigger, and how it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow_id: str
    trigger_id: str
    kind: str
    """`cli`, `schedule`, `flow`, `api`, `sensor.<sensor_type>`."""
    description: str
    state: State
    """`unseen` is a sensor that has not looked yet."""
    cursor: JsonValue
    """Up to where a sensor knows events."""
    last_check_at: datetime | None
    last_event_at: datetime | None
    last_error: str | None
    """Also when it has gone: `state` says whether it has."""
    last_error_at: datetime | None
    warning: str | None
    """What the last look noticed that is no error: what it cannot see, or will see later."""
    unclaimed_events: int
    """Events that no run has taken yet."""
    last_run_id: str | None


def overview(
    flows: Iterable[Flow], states: Iterable[TriggerState], last_runs: Mapping[tuple[str, str], str]
) -> list[TriggerView]:
    """Every trigger of the flows, by flow and in the file's order.

    :param last_runs: by flow and trigger id, of triggers whose runs take no events.
    """
    known = {(state.flow_id, state.trigger_id): state for state in states}
    return [
        _view(flow.id, trigger, known.get((flow.id, trigger_id)), last_runs.get((flow.id, trigger_id)))
        for flow in flows
        for trigger_id, trigger in flow.triggers.items()
    ]


def _view(flow_id: str, trigger: Trigger[Any], state: TriggerState | None, last_run_id: str | None) -> TriggerView:
    config = trigger.config
    shown = state or TriggerState(flow_id=flow_id, trigger_id=config.id)
    return TriggerView(
        flow_id=flow_id,
        trigger_id=config.id,
        kind=TriggerRegistry.kind_of(config.model_dump()),
        description=config.description,
        state=_state(config, shown),
        cursor=shown.cursor,
        last_check_at=shown.looked_at,
        last_event_at=shown.fired_at,
        last_error=shown.error,
        last_error_at=shown.error_at,
        warning=trigger.warning(shown.cursor) if isinstance(trigger, SensorTrigger) and config.enabled else None,
        unclaimed_events=shown.unclaimed,
        last_run_id=shown.last_run_id or last_run_id,
    )


def _state(config: TriggerConfig, known: TriggerState) -> State:
    if not config.enabled:
        return "disabled"
    if known.is_failing:
        return "failing"
    return "unseen" if config.type == TriggerType.SENSOR and known.looked_at is None else "waiting"
