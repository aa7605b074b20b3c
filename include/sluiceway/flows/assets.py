"""What the assets are called that connect triggers, flows and their followers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from sluiceway.flows.trigger import TriggerType

if TYPE_CHECKING:
    from sluiceway.flows.files import Flow

Condition = Literal["success", "failure", "always"]


class Outcome(NamedTuple):
    """How a flow, or one of its tasks, has ended."""

    flow_id: str
    task_id: str | None
    condition: Condition

    @property
    def asset(self) -> str:
        """The name of the asset that says so."""
        task = f"/task/{self.task_id}" if self.task_id else ""
        return f"flow/{self.flow_id}{task}/{self.condition}"


def trigger_asset(flow_id: str, trigger_id: str) -> str:
    """The name of the asset that says: this trigger has something for its flow."""
    return f"flow/{flow_id}/trigger/{trigger_id}"


def followed(flows: Iterable[Flow]) -> Iterator[Outcome]:
    """Every outcome that some flow waits for."""
    for flow in flows:
        for trigger in flow.triggers.values():
            if trigger.trigger_type is TriggerType.FLOW and trigger.config.enabled:
                yield outcome_of(trigger.config)


def outcome_of(config: object) -> Outcome:
    """What a trigger of type flow waits for."""
    from sluiceway.flows.kinds.flow import FlowConfig

    assert isinstance(config, FlowConfig)
    return Outcome(config.source_flow_id, config.source_task_id, config.condition)
