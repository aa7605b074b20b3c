"""The sensor of an address: its status, a header such as its ETag, or a value in its JSON changes."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from sluiceway.events import Look
from sluiceway.flows.connection import ConnectionId
from sluiceway.flows.kinds.changes import compare_value
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.json_path import JsonPath
from sluiceway.sources.connections import Connections


def _without_login(url: str) -> str:
    if "@" in url.split("://", 1)[1].split("/", 1)[0]:
        raise ValueError("a login does not belong into an address; put it into an Airflow connection and name that")
    return url


class HttpConfig(SensorConfig):
    """What a GET of an address says. With neither json_path nor header, its status."""

    sensor_type: Literal["http"] = Field(description="Asks an address.", examples=["http"])
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s@?#]+[^\s]*$"), AfterValidator(_without_login)] = (
        Field(
            description="The address. A redirect is not followed: it is an answer like any other.",
            examples=["https://data.example.org/v1/status"],
        )
    )
    json_path: JsonPath | None = Field(
        default=None,
        description="Where the value stands in a JSON answer of 1 MiB at most: keys and list indexes with dots "
        "between. A value that is missing is an error, and null is a value.",
        examples=["release.version"],
    )
    header: Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = Field(
        default=None,
        description="The header whose value counts. The body is not read.",
        examples=["ETag"],
    )
    connection: ConnectionId | None = Field(
        default=None,
        description="The Airflow connection whose login, password or extra `headers` the request carries; over https "
        "only.",
        examples=["open_data"],
    )
    request_timeout_s: float = Field(
        default=10,
        gt=0,
        le=60,
        description="How long one question may take, all of it.",
        examples=[30],
    )

    @model_validator(mode="after")
    def _one_value(self) -> HttpConfig:
        if self.json_path is not None and self.header is not None:
            raise ValueError("json_path and header exclude each other; keep the one that holds the value")
        return self


@TriggerRegistry.register_trigger("sensor.http")
class HttpTrigger(SensorTrigger[HttpConfig]):
    """Facts: event, url, what (status, header or json_path), old and new."""

    config_model = HttpConfig

    def place(self) -> str:
        """The address, and what of its answer counts."""
        config = self.config
        header = config.header.lower() if config.header is not None else None
        return json.dumps([config.url, config.json_path, header, config.connection])

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """One GET."""
        from sluiceway.flows.kinds.http_look import Question, look

        config = self.config
        question = Question(config.url, config.json_path, config.header, config.connection, config.request_timeout_s)
        at = time.time()
        return {"at": at, "value": look(question, connections)}

    def compare(self, observation: Any, cursor: JsonValue) -> Look:
        """At most one event."""
        value, config = observation["value"], self.config
        told = {"event": "changed", "url": config.url, "what": config.json_path or config.header or "status"}
        return compare_value(
            self.place(),
            cursor,
            at=observation["at"],
            value=value,
            facts=lambda old: {**told, "old": old, "new": value},
        )
