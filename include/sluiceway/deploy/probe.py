"""Asks an environment which commit it serves, whatever its kind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sluiceway.deploy.commit import Deployed, Sighting
from sluiceway.deploy.spec import Environment, HttpEnvironment
from sluiceway.sources.connections import Connections, from_environment


async def probe(spec: Environment, connections: Connections = from_environment) -> Deployed:
    """The commit that the environment serves now. One question; patience is the caller's.

    :raises EndpointUnavailableError: it does not answer at the moment.
    :raises NoCommitError: it says something that is no commit.
    :raises SettingsError: the connection it names is missing or broken.
    """
    if isinstance(spec, HttpEnvironment):
        from sluiceway.deploy.version_endpoint import probe_http

        return await probe_http(spec, connections)
    from sluiceway.deploy.cloud_run import probe_cloud_run

    return await probe_cloud_run(spec, connections)


async def sight(spec: Environment, connections: Connections = from_environment) -> tuple[Deployed, Sighting]:
    """As `probe`, with when that was."""
    began_at = datetime.now(UTC)
    found = await probe(spec, connections)
    return found, Sighting(commit=found.commit, began_at=began_at, ended_at=datetime.now(UTC))


def probe_now(spec: Environment, connections: Connections = from_environment) -> Deployed:
    """As `probe`, where no event loop runs."""
    return asyncio.run(probe(spec, connections))
