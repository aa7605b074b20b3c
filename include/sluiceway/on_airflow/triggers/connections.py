"""An environment's connection, fetched once: asking Airflow for it blocks, and the triggerer's loop must not."""

from __future__ import annotations

import asyncio

from sluiceway.deploy.spec import Environment
from sluiceway.on_airflow.connections import connections
from sluiceway.sources.connections import Connections


async def resolved_connections(spec: Environment) -> Connections:
    """Gives the environment's connection, whatever id is asked for."""
    if spec.connection is None:
        return connections
    found = await asyncio.to_thread(connections, spec.connection)
    return lambda _conn_id: found
