"""The sensor of a message queue: Airflow's own trigger of common.messaging listens, this says to what."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue

from sluiceway.errors import SourceUnreadableError
from sluiceway.events import Event
from sluiceway.flows.connection import ConnectionId
from sluiceway.flows.kinds.storable import event_key, storable
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, Trigger, TriggerContext
from sluiceway.json_path import parse as parse_json

_REDIS = re.compile(r"redis\+pubsub://(?P<channel>[^\s\x00]{1,500})")
_GOOGLE = re.compile(
    r"projects/(?P<project>[a-z0-9.:-]{1,100})/subscriptions/(?P<subscription>[A-Za-z][A-Za-z0-9._~+%-]{2,254})"
)
MOST_MESSAGES = 100
"""Taken from Pub/Sub at once."""


def _known(queue: str) -> str:
    if not (_REDIS.fullmatch(queue) or _GOOGLE.fullmatch(queue)):
        raise ValueError("is no queue; write redis+pubsub://CHANNEL or projects/PROJECT/subscriptions/SUBSCRIPTION")
    return queue


class QueueConfig(SensorConfig):
    """Messages of a queue, in the triggerer.

    Redis gives each message once and keeps none for who does not listen. A message of Pub/Sub is acknowledged once the
    ledger has it; one that is given again is known by its id.
    """

    sensor_type: Literal["queue"] = Field(description="Listens to a message queue.", examples=["queue"])
    queue: Annotated[str, AfterValidator(_known)] = Field(
        description="redis+pubsub://CHANNEL, or projects/PROJECT/subscriptions/SUBSCRIPTION of Google Pub/Sub.",
        examples=["redis+pubsub://orders"],
    )
    connection: ConnectionId = Field(
        description="The Airflow connection, of type redis or google_cloud_platform.",
        examples=["messages"],
    )
    mode: Literal["triggerer"] = Field(
        default="triggerer",
        description="Only the triggerer listens: a DAG on a schedule would miss what comes between.",
        examples=["triggerer"],
    )


@TriggerRegistry.register_trigger("sensor.queue")
class QueueTrigger(Trigger[QueueConfig]):
    """Facts: event, queue, message (JSON where it is such, else text), and of Pub/Sub attributes and id."""

    config_model = QueueConfig

    def should_trigger(self, context: TriggerContext) -> bool:
        """A look would take the message away.

        :raises SourceUnreadableError: always.
        """
        raise SourceUnreadableError(
            f"{self.config.queue}: a queue gives each message once, so nobody looks into it without taking it; its "
            f"messages come to the triggerer"
        )

    def listener(self) -> dict[str, Any]:
        """The arguments of Airflow's MessageQueueTrigger that listens."""
        if redis := _REDIS.fullmatch(self.config.queue):
            return {
                "scheme": "redis+pubsub",
                "channels": [redis["channel"]],
                "redis_conn_id": self.config.connection,
                "poll_interval": self.config.poll_s,
            }
        google = _GOOGLE.fullmatch(self.config.queue)
        assert google is not None
        return {
            "scheme": "google+pubsub",
            "project_id": google["project"],
            "subscription": google["subscription"],
            "gcp_conn_id": self.config.connection,
            "max_messages": MOST_MESSAGES,
            # when the ledger has them
            "ack_messages": False,
            "poke_interval": self.config.poll_s,
            "return_immediately": False,
        }

    def receipts(self, payload: Mapping[str, Any]) -> list[str]:
        """What acknowledges the messages in a payload, once they are kept; nothing does with Redis."""
        return [] if "channel" in payload else [str(received["ack_id"]) for received in payload["message"]]

    def unread(self, data: bytes) -> Mapping[str, Any]:
        """The payload of a message of Redis whose bytes are no text; Airflow's trigger takes all for such."""
        redis = _REDIS.fullmatch(self.config.queue)
        assert redis is not None
        return {"channel": redis["channel"], "data": data.decode("utf-8", "backslashreplace")}

    def events(self, payload: Mapping[str, Any], at: float) -> tuple[Event, ...]:
        """The events in the payload of a TriggerEvent of that listener.

        :param at: when it came, in seconds since 1970: a message of Redis has no name of its own.
        """
        told = {"event": "message", "queue": self.config.queue}
        if "channel" in payload:
            data = _parsed(payload["data"])
            return (Event(event_key(at, data), {**told, "message": data}),)
        found = []
        for received in payload["message"]:
            message = received["message"]
            name, attributes = str(message["message_id"]), storable(dict(message.get("attributes") or {}))
            facts = {**told, "message": _parsed(_unpacked(message.get("data", ""))), "id": name}
            found.append(Event(event_key(name), {**facts, "attributes": attributes}))
        return tuple(found)


def _unpacked(data: str) -> str:
    """The text that Pub/Sub's JSON holds in base64."""
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "backslashreplace")
    except ValueError:
        return data


def _parsed(data: Any) -> JsonValue:
    try:
        return storable(parse_json(data))
    except (TypeError, ValueError):
        return storable(data)
