"""The sensor of deployments: an environment serves another commit."""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field, JsonValue

from sluiceway.events import Look
from sluiceway.flows.kinds.changes import compare_value
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.sources.connections import Connections


class DeploymentConfig(SensorConfig):
    """Another commit is deployed; also an older one, when a deployment is taken back."""

    sensor_type: Literal["deployment"] = Field(
        description="Asks which commit an environment serves.", examples=["deployment"]
    )
    environment: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="The environment, a file of include/config/environments/: it says how to ask.",
        examples=["staging"],
    )


@TriggerRegistry.register_trigger("sensor.deployment")
class DeploymentTrigger(SensorTrigger[DeploymentConfig]):
    """Facts: event, environment, place (who says so), old and new commit."""

    config_model = DeploymentConfig

    def place(self) -> str:
        """The environment."""
        return self.config.environment

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """One question."""
        from sluiceway.deploy.commit import require_full
        from sluiceway.deploy.probe import probe_now
        from sluiceway.deploy.spec import read_environment

        at = time.time()
        found = require_full(probe_now(read_environment(self.config.environment), connections))
        return {"at": at, "commit": found.commit, "place": found.place}

    def compare(self, observation: Any, cursor: JsonValue) -> Look:
        """At most one event."""
        told = {"event": "deployed", "environment": self.config.environment, "place": observation["place"]}
        new = observation["commit"]
        return compare_value(
            self.place(),
            cursor,
            at=observation["at"],
            value=new,
            facts=lambda old: {**told, "old": old, "new": new},
        )
