"""Hears the messages of a queue through Airflow's own trigger, and writes each into the ledger as an event."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sluiceway.errors import SourceUnavailableError, TransientError
from sluiceway.events import Event
from sluiceway.flows.kinds.queue import QueueConfig, QueueTrigger
from sluiceway.ledger import events
from sluiceway.on_airflow.triggers.shared import Names, Shared

AGAIN_S = 5.0
"""Until the ledger is asked again to take a message that the queue has given away."""

log = logging.getLogger(__name__)


class Listener:
    """Listens for one trigger for as long as `heard` is called now and then, until it is stopped."""

    def __init__(self, common: Shared, names: Names) -> None:
        self._common = common
        self._names = names
        self._config: QueueConfig | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard = 0

    def heard(self, trigger: QueueTrigger) -> int:
        """How many events came since the last call. Begins to listen; another configuration begins anew.

        Raises what Airflow's trigger raised, when it ended by that.
        """
        if trigger.config != self._config:
            self.stop()
        if self._task is not None and self._task.done():
            ended, self._task = self._task, None
            ended.result()
        if self._task is None:
            self._config = trigger.config
            self._task = asyncio.create_task(self._listen(trigger))
        count, self._heard = self._heard, 0
        return count

    def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self, trigger: QueueTrigger) -> None:
        # only where a flow listens to a queue
        import greenback
        from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

        # its Redis hook asks for the connection without await, which Airflow answers only in a task that has a portal
        await greenback.ensure_portal()
        source = MessageQueueTrigger(**trigger.listener()).trigger
        refusals = _refusals(trigger.listener()["scheme"])
        try:
            while True:
                # each ends after the messages that it gives at once
                async for payload in _payloads(source, trigger):
                    await self._keep(trigger.events(payload, time.time()))
                    await _acknowledge(source, trigger.receipts(payload))
        except refusals as error:
            said = " ".join(str(each) for each in error.args)
            raise SourceUnavailableError(f"{trigger.config.queue}: refuses, or does not answer: {said}") from error

    async def _keep(self, found: tuple[Event, ...]) -> None:
        while True:
            try:
                self._heard += await self._common.in_ledger(
                    lambda session: events.record_events(session, *self._names, found)
                )
            except TransientError as error:
                log.warning("%s.%s: a message waits for the ledger: %s", *self._names, error)
                await asyncio.sleep(AGAIN_S)
            else:
                return


async def _payloads(source: Any, trigger: QueueTrigger) -> AsyncIterator[Mapping[str, Any]]:
    """What Airflow's trigger gives until it ends."""
    try:
        async for event in source.run():
            yield event.payload
    except UnicodeDecodeError as error:
        yield trigger.unread(error.object)


async def _acknowledge(source: Any, receipts: list[str]) -> None:
    """Whatever ends the listener before: the queue gives the messages again, and the ledger knows them."""
    if receipts:
        await source.hook.acknowledge(project_id=source.project_id, subscription=source.subscription, ack_ids=receipts)


def _refusals(scheme: str) -> tuple[type[Exception], ...]:
    """What the clients of a kind of queue raise, which Airflow's triggers let through."""
    if scheme == "redis+pubsub":
        from redis.exceptions import RedisError

        return (RedisError,)
    from airflow.providers.google.cloud.hooks.pubsub import PubSubException
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    return (PubSubException, GoogleAPIError, GoogleAuthError)
