"""DeployWatchTrigger: sees that an environment serves another commit, and that it can no longer be seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from sluiceway.amounts import counted
from sluiceway.deploy import history
from sluiceway.deploy.commit import Deployed, Sighting, require_full, same
from sluiceway.deploy.pace import Pace
from sluiceway.deploy.probe import sight
from sluiceway.deploy.spec import Environment, read_environment
from sluiceway.errors import SluicewayError
from sluiceway.on_airflow.connections import warehouse_url
from sluiceway.on_airflow.triggers.connections import resolved_connections

if TYPE_CHECKING:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors

    from sluiceway.deploy.stints import Stint

BLIND = "blind"
"""Key in the asset's state store: the watch has said that it cannot see."""
BLIND_AFTER = 3
"""Questions in a row without an answer before it is said: a deploy itself makes a gap of seconds."""
REPEAT_S = 30.0
"""A commit that has no run this long after its event is told again: the event, or the run it started, was lost."""
LONGEST_REPEAT_S = 3600.0
RETURN_LOOKS = 3
"""A commit that comes back is told after so many looks in a row: while instances are replaced, old and new ones answer
in turns, and that is no rollback."""
CRASH_S = 60.0


class DeployWatchTrigger(BaseEventTrigger):
    """Ask the environment again and again. An event for every new commit, one when the watch goes blind, one when it
    sees again and no commit is new; their payloads are {"commit", "place"}, {"problem"} and {"commit": None, "place"}.

    At least one event for each time that a commit is deployed: the ledger keeps that it needs nothing more only when
    its run is there. The consumer is idempotent.

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
        pace, repeat, turns = Pace(REPEAT_S), _Repeat(), _Turns()
        while True:
            try:
                # read anew: an edit of the file counts without a restart
                spec = await asyncio.to_thread(read_environment, self.environment)
                pace.poll_s = spec.poll_s
                found, stint = await _look(spec)
                was_blind = await memory.get(BLIND)
                if was_blind:
                    self.log.info("%s answers again and serves %s", self.environment, found.commit)
                # one event alone: Airflow holds back a second one that comes before the first has its run
                if (
                    stint is not None
                    and await asyncio.to_thread(needs_run, self.dag_id, stint, turns.see(stint))
                    and repeat.is_due(stint)
                ):
                    self.log.info("%s serves %s, which may need a run", self.environment, found.commit)
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
                    yield {"problem": f"{error} ({counted(pace.errors, 'time')} in a row)"}
                    await memory.set(BLIND, True)
            await asyncio.sleep(wait)


async def _look(spec: Environment) -> tuple[Deployed, Stint | None]:
    """One look, written down. The stint is None when a look of somebody else has seen another commit meanwhile.

    :raises WarehouseUnavailableError: it cannot be written down.
    """
    found, seen = await sight(spec, await resolved_connections(spec))
    require_full(found)
    stint = await asyncio.to_thread(_write, spec.name, seen)
    return found, stint if same(stint.commit_sha, found.commit) else None


def _write(environment: str, seen: Sighting) -> Stint:
    return history.write_sighting(warehouse_url(), environment, seen)


def needs_run(dag_id: str, stint: Stint, looks: int) -> bool:
    """Whether the commit that is served may need a run. Who starts it can tell better: a trigger reads no conf of runs.

    :param looks: how many in a row have seen the stint.
    :raises WarehouseUnavailableError: the ledger cannot be asked.
    """
    from sluiceway.on_airflow.deploy_runs import run_exists

    if stint.settled_at is not None:
        return False
    url = warehouse_url()
    has_run = stint.run_id is not None and run_exists(dag_id, stint.run_id)
    if has_run or history.loads_of(url, dag_id, stint.commit_sha).is_current:
        history.settle(url, stint)
        return False
    return looks >= RETURN_LOOKS or not history.has_returned(url, stint)


@dataclass
class _Turns:
    """How many looks in a row have seen the same stint."""

    stint_id: int | None = None
    looks: int = 0

    def see(self, stint: Stint) -> int:
        """One look more."""
        self.looks = self.looks + 1 if stint.id == self.stint_id else 1
        self.stint_id = stint.id
        return self.looks


@dataclass
class _Repeat:
    """When to tell a stint again that still has no run: after REPEAT_S, then ever later."""

    stint_id: int | None = None
    at: float = 0.0
    wait: float = REPEAT_S

    def is_due(self, stint: Stint) -> bool:
        """Whether to tell it now; counts that as told."""
        now = time.monotonic()
        if stint.id != self.stint_id:
            self.stint_id, self.wait = stint.id, REPEAT_S
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
