"""What all watches of one triggerer share: threads, one connection to the ledger, connections, files, observations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from pydantic import JsonValue

from sluiceway.flows.files import FOLDER, Flow, read_file
from sluiceway.flows.trigger import SensorTrigger, Trigger
from sluiceway.ledger import events
from sluiceway.ledger.kept import KeptConnection
from sluiceway.ledger.warehouse import Session
from sluiceway.on_airflow.connections import connections, warehouse_url
from sluiceway.settings import load_settings
from sluiceway.sources.connections import Connection

T = TypeVar("T")
THREADS = 32
"""Looks at the same time: a web service that answers after ten seconds must not hold up the folders."""
KNOWN_S = 60.0
"""How long a connection of Airflow's is believed: each question costs the triggerer and the API server."""
ALIVE_S = 60.0
"""How often looks that found nothing are written down, all of them at once."""

Names = tuple[str, str]
"""Of a trigger: its flow's id and its own."""
Place = tuple[type[Any], str]


class Observation(NamedTuple):
    """What a place held."""

    value: JsonValue
    at: float
    """When it was looked at, on the loop's clock."""


@dataclass
class _Watched:
    """A place, and who watches it."""

    watches: set[Names] = field(default_factory=set)
    at: float = 0.0
    found: asyncio.Future[JsonValue] | None = None


class Shared:
    """One per event loop. Its methods are called in the loop, what they are given runs in threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="look")
        self._ledger = KeptConnection(warehouse_url)
        self._places: dict[Place, _Watched] = {}
        self._place_of: dict[Names, Place] = {}
        self._alive: set[Names] = set()
        self._alive_since = 0.0
        self._flows: dict[str, tuple[object, Flow]] = {}
        self._connections: dict[str, tuple[float, Connection]] = {}
        self._lock = Lock()

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do what blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def in_ledger(self, work: Callable[[Session], T]) -> T:
        """Do one transaction on the ledger; raises what KeptConnection.run raises."""
        return await asyncio.get_running_loop().run_in_executor(self._ledger.thread, self._ledger.run, work)

    async def trigger(self, flow_id: str, trigger_id: str) -> Trigger[Any]:
        """A trigger as its flow's file declares it now; the file is read again when it has changed.

        :raises ConfigError: the file is gone or wrong, or has no such trigger.
        """
        return (await self.in_thread(self._flow, flow_id)).trigger(trigger_id)

    async def observe(self, trigger: SensorTrigger[Any], cursor: JsonValue, *, not_older_s: float) -> Observation:
        """What the trigger's place holds; of siblings that watch the same place one looks, and all have the answer.

        :param not_older_s: than so many seconds may an answer be that a sibling has asked for.
        :raises SluicewayError: the place cannot be seen.
        """
        names = (trigger.config.flow_id, trigger.config.id)
        place = (type(trigger), trigger.place())
        self._move(names, place)
        watched, now = self._places[place], asyncio.get_running_loop().time()
        if watched.found is None or now - watched.at > not_older_s:
            watched.at = now
            watched.found = asyncio.ensure_future(self.in_thread(trigger.observe, self.connection, cursor))
        at, found = watched.at, watched.found
        try:
            # who is cancelled while it waits does not take the answer away from its siblings
            value = await asyncio.shield(found)
        except Exception:
            if watched.found is found:
                watched.found = None
            self._forget_connections()
            raise
        if len(watched.watches) == 1 and watched.found is found:
            watched.found = None  # nobody else wants it, and it may be large
        return Observation(value, at)

    async def alive(self, names: Names) -> None:
        """Note a look that found nothing."""
        now = time.monotonic()
        self._alive_since = self._alive_since or now
        self._alive.add(names)
        if now - self._alive_since >= ALIVE_S:
            watched, self._alive, self._alive_since = self._alive, set(), 0.0
            await self.in_ledger(lambda session: events.record_alive(session, watched))

    def leave(self, names: Names) -> None:
        """A watch ends."""
        self._alive.discard(names)
        place = self._place_of.pop(names, None)
        if place is not None:
            watched = self._places[place]
            watched.watches.discard(names)
            if not watched.watches:
                del self._places[place]

    def connection(self, conn_id: str) -> Connection:
        """A connection of Airflow's. Called in threads."""
        with self._lock:
            known = self._connections.get(conn_id)
        if known is None or time.monotonic() - known[0] > KNOWN_S:
            known = (time.monotonic(), connections(conn_id))
            with self._lock:
                self._connections[conn_id] = known
        return known[1]

    def _move(self, names: Names, place: Place) -> None:
        if self._place_of.get(names) != place:
            self.leave(names)
            self._place_of[names] = place
            self._places.setdefault(place, _Watched()).watches.add(names)

    def _forget_connections(self) -> None:
        # its password may be the one that has just changed
        with self._lock:
            self._connections.clear()

    def _flow(self, flow_id: str) -> Flow:
        path = load_settings().config_dir / FOLDER / f"{flow_id}.toml"
        stamp = _stamp(path)
        with self._lock:
            known = self._flows.get(flow_id)
        if known is None or known[0] != stamp:
            known = (stamp, read_file(path))
            with self._lock:
                self._flows[flow_id] = known
        return known[1]


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Shared] = WeakKeyDictionary()


def shared() -> Shared:
    """What the watches of this loop share."""
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = Shared()
    return _of_loop[loop]
