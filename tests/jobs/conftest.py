"""The database that jobs write, as the role that may, and what stands for the services that they ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dev.cluster import Cluster
from sluiceway.errors import SettingsError
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Service
from sluiceway.sources.connections import Connection, Connections
from tests.stand_ins.gbif import Gbif


@pytest.fixture
def jobs_url(postgres: Cluster, database: str) -> str:
    """Of an empty warehouse, for the role of jobs."""
    return postgres.url("sluiceway_jobs", database)


@pytest.fixture
def gbif() -> Iterator[Gbif]:
    """A GBIF that takes batches."""
    with Gbif() as service:
        yield service


def connected(**held: dict[str, Any]) -> Connections:
    """Finds those connections: by id, what each holds."""

    def find(conn_id: str) -> Connection:
        if conn_id not in held:
            raise SettingsError(f"There is no connection {conn_id!r}")
        return Connection(conn_id=conn_id, conn_type="http", **held[conn_id])

    return find


def nowhere(_conn_id: str) -> Connection:
    """Nobody has written down a connection."""
    raise SettingsError("There is no connection")


@pytest.fixture
def asking() -> Iterator[Callable[..., Asker]]:
    """Makes what asks a service, as fast as it likes."""
    made: list[Asker] = []

    def make(service: Service, connections: Connections = nowhere, **more: Any) -> Asker:
        made.append(Asker(service, lambda _service, _requests: 0.0, connections, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()
