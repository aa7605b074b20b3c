"""What a run that waits for its commit sees when it looks: its commit, a newer one that waits too, or neither yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluiceway.deploy.commit import FULL, same
from sluiceway.deploy.probe import probe
from sluiceway.deploy.spec import Environment
from sluiceway.errors import EndpointUnavailableError, NoCommitError
from sluiceway.sources.connections import Connections

QueuedRun = Callable[[str], str | None]
"""From a commit to the id of a run for it that waits; None when there is none."""


class Sight(BaseModel):
    """One look at an environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["reached", "superseded", "waiting"]
    commit: str | None = None
    """What the environment serves; None when it did not say."""
    said: str
    """What was seen, as a sentence without its full stop."""


async def look(spec: Environment, connections: Connections, commit: str, queued_run: QueuedRun) -> Sight:
    """One look. An environment that does not answer, or says something else than a commit, is waited for as well:
    a load balancer between two deploys does both.

    :param commit: the commit the run waits for, 40 hex digits.
    :raises SettingsError: the connection that the environment names is missing or broken.
    """
    try:
        found = await probe(spec, connections)
    except (EndpointUnavailableError, NoCommitError) as error:
        return Sight(outcome="waiting", said=str(error))
    if same(found.commit, commit):
        served = commit if len(commit) == FULL else found.commit
        return Sight(outcome="reached", commit=served, said=f"{found.place} serves {served}")
    # only a run that came later can still wait behind this one: runs begin in their order, one at a time
    newer = await asyncio.to_thread(queued_run, found.commit)
    if newer is None:
        return Sight(outcome="waiting", commit=found.commit, said=f"{found.place} serves {found.commit}")
    return Sight(
        outcome="superseded",
        commit=found.commit,
        said=f"{spec.name} serves the newer commit {found.commit}, whose run {newer} waits; no table was touched",
    )
