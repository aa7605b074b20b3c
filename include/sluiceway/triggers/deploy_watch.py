"""DeployWatchTrigger: sees that an environment serves another commit, and that it can no longer be seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from sluiceway.deploy.commit import require_full
from sluiceway.deploy.pace import Pace
from sluiceway.deploy.probe import probe
from sluiceway.deploy.spec import read_environment
from sluiceway.errors import SluicewayError
from sluiceway.triggers.connections import resolved_connections

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

CURSOR = "seen_commit"
"""Key in the asset's state store: the newest commit that needs nothing more, as far as the watch has seen."""
BLIND = "blind"
"""Key there: the watch has said that it cannot see."""
BLIND_AFTER = 3
"""Questions in a row without an answer before it is said: a deploy itself makes a gap of seconds."""
REPEAT_S = 30.0
"""A commit that has no run this long after its event is told again: the event, or the run it started, was lost."""
LONGEST_REPEAT_S = 3600.0
CRASH_S = 60.0


class DeployWatchTrigger(BaseEventTrigger):
    """Ask the environment again and again. An event for every new commit, one when the watch goes blind, one when it
    sees again and no commit is new; their payloads are {"commit", "place"}, {"problem"} and {"commit": None, "place"}.

    At least one event a commit, for a commit counts as seen only when its run is there. The consumer is idempotent.

    :param environment: its name.
    :param dag_id: whose runs count.
    """

    def __init__(self, *, environment: str, dag_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.environment = environment
        self.dag_id = dag_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"environment": self.environment, "dag_id": self.dag_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Loop for ever."""
        try:
            async for payload in self._payloads():
                yield TriggerEvent({"environment": self.environment, **payload})  # type: ignore[no-untyped-call]
        except Exception:
            # a watcher that ends is made again a second later, without end and without a word: slow that down
            self.log.exception("The watch of %s broke off; it begins anew in %.0f s", self.environment, CRASH_S)
            await asyncio.sleep(CRASH_S)
            raise

    async def _payloads(self) -> AsyncIterator[dict[str, Any]]:
        memory = _Memory(self.asset_state_store)
        pace, repeat = Pace(REPEAT_S), _Repeat()
        while True:
            try:
                # read anew: an edit of the file counts without a restart
                spec = await asyncio.to_thread(read_environment, self.environment)
                pace.poll_s = spec.poll_s
                found = require_full(await probe(spec, await resolved_connections(spec)))
                was_blind = await memory.get(BLIND)
                if was_blind:
                    self.log.info("%s answers again and serves %s", self.environment, found.commit)
                is_new = found.commit != await memory.get(CURSOR)
                if is_new and await asyncio.to_thread(needs_nothing, self.dag_id, found.commit):
                    await memory.set(CURSOR, found.commit)
                    is_new = False
                # one event alone: Airflow holds back a second one that comes before the first has its run
                if is_new and repeat.is_due(found.commit):
                    self.log.info("%s serves %s, which has no run yet", self.environment, found.commit)
                    yield found.model_dump()
                elif was_blind:
                    yield {"commit": None, "place": found.place}
                if was_blind:
                    await memory.set(BLIND, False)
                wait = pace.after_answer()
            except (SluicewayError, AirflowException, AirflowRuntimeError, OSError) as error:
                wait = pace.after_error()
                self.log.warning(
                    "%s: %s (%d in a row); asking again in %.0f s", self.environment, error, pace.errors, wait
                )
                if pace.errors >= BLIND_AFTER and not await memory.get(BLIND):
                    yield {"problem": f"{error} ({pace.errors} times in a row)"}
                    await memory.set(BLIND, True)
            await asyncio.sleep(wait)


def needs_nothing(dag_id: str, commit: str) -> bool:
    """Whether the commit has a run, or is loaded already: by a run that Airflow has forgotten, or that names no commit.

    :raises WarehouseUnavailableError: the ledger cannot be asked.
    """
    from sluiceway import steps
    from sluiceway.operators.connections import warehouse_url
    from sluiceway.sensors.deploy_runs import run_exists

    return run_exists(dag_id, commit) or steps.commit_is_loaded(warehouse_url(), commit)


@dataclass
class _Repeat:
    """When to tell a commit again that still has no run: after REPEAT_S, then ever later."""

    commit: str | None = None
    at: float = 0.0
    wait: float = REPEAT_S

    def is_due(self, commit: str) -> bool:
        """Whether to tell it now; counts that as told."""
        now = time.monotonic()
        if commit != self.commit:
            self.commit, self.wait = commit, REPEAT_S
        elif now < self.at:
            return False
        else:
            self.wait = min(self.wait * 2, LONGEST_REPEAT_S)
        self.at = now + self.wait
        return True


class _Memory:
    """The asset's state store, read once; without a store, or while it does not answer, what this process knows."""

    def __init__(self, store: AssetStateStoreAccessors | None) -> None:
        self._store = store
        self._known: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        """The value, None when there is none."""
        if key not in self._known and self._store is not None:
            self._known[key] = await self._store.aget(key)
        return self._known.get(key)

    async def set(self, key: str, value: Any) -> None:
        """Keep the value across restarts."""
        self._known[key] = value
        if self._store is not None:
            await self._store.aset(key, value)
