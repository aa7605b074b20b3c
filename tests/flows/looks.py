"""Looks with a sensor's trigger, one after the other, with a cursor that goes through JSON as the ledger's does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from sluiceway.events import Event
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorTrigger, TriggerContext
from sluiceway.sources.connections import Connections, from_environment


def trigger_of(**keys: Any) -> SensorTrigger[Any]:
    """The sensor that these keys declare."""
    made = TriggerRegistry.create_trigger({"id": "t", "flow_id": "f", "type": "sensor", **keys})
    assert isinstance(made, SensorTrigger)
    return made


@dataclass
class Looks:
    """A trigger and its cursor."""

    trigger: SensorTrigger[Any]
    connections: Connections = from_environment
    cursor: JsonValue = None
    keys: list[str] = field(default_factory=list)
    """Of all events so far; the ledger takes each only once."""

    def events(self) -> tuple[Event, ...]:
        """What this look finds."""
        context = TriggerContext(cursor=json.loads(json.dumps(self.cursor)), connections=self.connections)
        assert self.trigger.should_trigger(context) == bool(context.events)
        self.cursor = context.cursor
        self.keys += [event.key for event in context.events]
        assert len(set(self.keys)) == len(self.keys)
        return context.events

    def facts(self) -> list[dict[str, Any]]:
        """What runs are told of this look's events."""
        return [dict(event.facts) for event in self.events()]
