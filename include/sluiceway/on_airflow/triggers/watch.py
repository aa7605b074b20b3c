"""WatchTrigger: looks at the place of one trigger again and again, and wakes its flow when something is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, NamedTuple
from zlib import crc32

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from pydantic import JsonValue

from sluiceway.deploy.pace import Pace
from sluiceway.errors import LookOvertakenError, SluicewayError
from sluiceway.events import Look
from sluiceway.flows.kinds.queue import QueueTrigger
from sluiceway.flows.look import config_hash, cursor_of, has_moved
from sluiceway.flows.trigger import SensorTrigger
from sluiceway.ledger import events
from sluiceway.ledger.events import TriggerState
from sluiceway.on_airflow.triggers.listen import Listener
from sluiceway.on_airflow.triggers.shared import Shared, shared

IDLE_S = 30.0
"""Between two looks at a trigger that is disabled, or that others write events for."""
REPEAT_S = 30.0
"""A flow whose events no run has taken this long after it was woken is woken again: the wake, or the run, was lost."""
LONGEST_REPEAT_S = 3600.0
CRASH_S = 60.0
MARGIN_S = 0.5
"""Beyond what a look asks for until the next: the thread that looks may begin later than its watch has it."""


class WatchTrigger(BaseEventTrigger):
    """Write what is seen into the ledger, then wake the flow: an event {"flow_id", "trigger_id", "unclaimed"}.

    The events themselves stand in the ledger, once each, until a run takes them; so a wake that is lost is repeated
    and one that comes twice does no harm. A trigger of type api is not looked at: web/webhooks.py writes its events.

    :param flow_id: the flow whose file declares it.
    :param trigger_id: its id there.
    """

    def __init__(self, *, flow_id: str, trigger_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow_id = flow_id
        # `trigger_id` is Airflow's own number of the trigger
        self.declared_id = trigger_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"flow_id": self.flow_id, "trigger_id": self.declared_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Loop for ever."""
        names, common = (self.flow_id, self.declared_id), shared()
        try:
            async for unclaimed in self._wakes(common):
                payload = {"flow_id": self.flow_id, "trigger_id": self.declared_id, "unclaimed": unclaimed}
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
        except Exception as error:
            # a watcher that ends is made again a second later, without end and without a word: slow that down
            self.log.exception("The watch of %s.%s broke off; it begins anew in %.0f s", *names, CRASH_S)
            with suppress(SluicewayError, AirflowException, AirflowRuntimeError):
                said = f"{type(error).__name__}: {error}"
                await common.in_ledger(lambda session: events.record_error(session, *names, said))
            await asyncio.sleep(CRASH_S)
            raise
        finally:
            common.leave(names)

    async def _wakes(self, common: Shared) -> AsyncIterator[int]:
        """How many events wait, whenever the flow is to be woken."""
        loop = asyncio.get_running_loop()
        watch, pace, repeat = _Watch(common, self.flow_id, self.declared_id), Pace(IDLE_S), _Repeat()
        next_look = loop.time()
        try:
            while True:
                try:
                    if loop.time() >= next_look:
                        found = await watch.look()
                        pace.poll_s = watch.poll_s
                        next_look = found.at + min(pace.after_answer() * found.share, found.again_s)
                        if found.is_new:
                            repeat.begin(loop.time())
                    if loop.time() >= repeat.at:
                        unclaimed = await watch.unclaimed()
                        repeat.told(loop.time(), unclaimed)
                        if unclaimed:
                            yield unclaimed
                except (SluicewayError, AirflowException, AirflowRuntimeError, OSError) as error:
                    pace.poll_s = watch.poll_s
                    wait = pace.after_error()
                    next_look = loop.time() + wait
                    repeat.at = max(repeat.at, next_look)
                    self.log.warning(
                        "%s.%s: %s (%d in a row); looking again in %.0f s",
                        *(self.flow_id, self.declared_id, error, pace.errors, wait),
                    )
                    with suppress(SluicewayError, AirflowException, AirflowRuntimeError):
                        await watch.note(str(error))
                await asyncio.sleep(max(0.0, min(next_look, repeat.at) - loop.time()))
        finally:
            watch.stop()


class _Found(NamedTuple):
    """What became of a look."""

    is_new: bool
    """Something is there that the flow has not been told."""
    at: float
    """When the place was looked at, on the loop's clock: a sibling may have done it a little earlier."""
    share: float = 1.0
    """Of poll_s until the next look."""
    again_s: float = inf
    """Until another look is worth it before that."""


class _Watch:
    """One trigger, as far as this process knows it."""

    def __init__(self, common: Shared, flow_id: str, trigger_id: str) -> None:
        self._common = common
        self._names = (flow_id, trigger_id)
        self._listener = Listener(common, self._names)
        self._known: TriggerState | None = None
        self._waited = False
        self._early_s: float | None = None
        """The wait before the look that comes now, when it is shorter than poll_s."""
        self.poll_s = IDLE_S
        """Seconds between two looks."""

    async def look(self) -> _Found:
        """Look once, and write down what is new.

        :raises SluicewayError: the place or the ledger cannot be seen.
        """
        try:
            return await self._look()
        except LookOvertakenError:
            # another triggerer that was taken for dead, or takes this one for dead: go on from what it has written
            self._known = None
            return await self._look()

    async def _look(self) -> _Found:
        trigger = await self._common.trigger(*self._names)
        if isinstance(trigger, QueueTrigger) and trigger.config.enabled:
            return await self._hear(trigger)
        self.stop()
        if not (isinstance(trigger, SensorTrigger) and trigger.config.enabled and trigger.config.mode == "triggerer"):
            return await self._idle(is_enabled=trigger.config.enabled)
        self.poll_s = trigger.config.poll_s
        left, share = False, 1.0
        if self._known is None:
            # a triggerer starts all watches at once: two hundred looks in the same moment make the last one late
            share = crc32(trigger.place().encode("utf-8", "backslashreplace")) / 2**32
            self._known = await self._common.in_ledger(lambda session: events.state(session, *self._names))
            left = self._known.unclaimed > 0
        known = self._known
        cursor = cursor_of(trigger, known)
        early_s, self._early_s = self._early_s, None
        observation = await self._common.observe(trigger, cursor, not_older_s=(early_s or self.poll_s) / 2)
        look = await self._common.in_thread(_moved, trigger, known, observation.value)
        new = 0
        if look is None:
            await self._common.alive(self._names)
        else:
            new = await self._write(trigger, known, look)
            # never two early ones in a row: a log that grows for ever would be looked at all the time
            if early_s is None and (again_s := (look.again_s or inf) + MARGIN_S) < self.poll_s:
                self._early_s = again_s
        return _Found(left or new > 0, observation.at, share, self._early_s or inf)

    async def _hear(self, trigger: QueueTrigger) -> _Found:
        self.poll_s = trigger.config.poll_s
        left, self._waited = not self._waited and await self.unclaimed() > 0, True
        await self._common.alive(self._names)
        return _Found(self._listener.heard(trigger) > 0 or left, asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Listen to no queue any more."""
        self._listener.stop()

    async def _write(self, trigger: SensorTrigger[Any], known: TriggerState, look: Look) -> int:
        mark = config_hash(trigger)
        new = await self._common.in_ledger(lambda session: events.record_look(session, known, look, config_hash=mark))
        written = {"cursor": look.cursor, "config_hash": mark, "looks": known.looks + 1}
        self._known = known.model_copy(update=written | {"looked_at": datetime.now(UTC), "error_at": None})
        return new

    async def _idle(self, *, is_enabled: bool) -> _Found:
        self.poll_s = IDLE_S
        waits = is_enabled and await self.unclaimed() > 0
        is_new, self._waited = waits and not self._waited, waits
        return _Found(is_new, asyncio.get_running_loop().time())

    async def unclaimed(self) -> int:
        """How many events no run has taken."""
        flow_id, trigger_id = self._names
        return await self._common.in_ledger(lambda session: events.count_unclaimed(session, flow_id, [trigger_id]))

    async def note(self, error: str) -> None:
        """Write down why the place could not be seen."""
        await self._common.in_ledger(lambda session: events.record_error(session, *self._names, error))
        if self._known is not None:
            # the next look that sees it is written down, whatever it finds
            self._known = self._known.model_copy(update={"error_at": datetime.now(UTC), "looked_at": None})


def _moved(trigger: SensorTrigger[Any], known: TriggerState, observation: JsonValue) -> Look | None:
    """The look, None when it changes nothing. Called in threads: a folder may hold a hundred thousand files."""
    look = trigger.compare(observation, cursor_of(trigger, known))
    return look if has_moved(trigger, known, look) else None


@dataclass
class _Repeat:
    """When to wake a flow whose events no run has taken: at once, after REPEAT_S, then ever later."""

    at: float = inf
    wait: float = REPEAT_S

    def begin(self, now: float) -> None:
        """Something new has come."""
        self.at, self.wait = now, REPEAT_S

    def told(self, now: float, unclaimed: int) -> None:
        """The flow is woken now, or has taken everything."""
        self.at = now + self.wait if unclaimed else inf
        self.wait = min(self.wait * 2, LONGEST_REPEAT_S)
