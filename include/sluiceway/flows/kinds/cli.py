"""The kind `cli`: a person or a script starts the flow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import Trigger, TriggerConfig, TriggerContext


class CliConfig(TriggerConfig):
    """A start by hand: `sluiceway trigger --flow-id F`, `airflow dags trigger F`."""

    type: Literal["cli"] = Field(description="Somebody types a command.", examples=["cli"])


@TriggerRegistry.register_trigger("cli")
class CliTrigger(Trigger[CliConfig]):
    """Who asks is let through, unless the trigger is disabled."""

    config_model = CliConfig

    def should_trigger(self, context: TriggerContext) -> bool:
        """Whether it is enabled; see Trigger."""
        return self.config.enabled
