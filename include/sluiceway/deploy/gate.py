"""What a run that waits for its commit sees when it looks: its commit, a newer one that waits too, or neither yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluiceway.deploy.commit import FULL, Sighting, same
from sluiceway.deploy.order import WAITING, CommitRun, is_newer
from sluiceway.deploy.probe import sight
from sluiceway.deploy.spec import Environment
from sluiceway.deploy.stints import Stint
from sluiceway.errors import EndpointUnavailableError, NoCommitError
from sluiceway.sources.connections import Connections

WaitingRuns = Callable[[str], list[str]]
"""From a commit to the ids of runs named by it that have not ended."""
Write = Callable[[Sighting], None]
"""Writes down what was seen, as well as it can."""


class Sight(BaseModel):
    """One look at an environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["reached", "contested", "superseded", "waiting"]
    """contested: another commit is served and has `runs`, so who may read their conf judges which is the newer."""
    commit: str | None = None
    """What the environment serves; None when it did not say."""
    runs: tuple[str, ...] = ()
    """The runs named by what it serves that have not ended."""
    said: str
    """What was seen, as a sentence without its full stop."""


async def look(
    spec: Environment, connections: Connections, commit: str, waiting_runs: WaitingRuns, write: Write
) -> Sight:
    """One look. An environment that does not answer, or says something else than a commit, is waited for as well:
    a load balancer between two deploys does both.

    :param commit: the commit the run waits for, 40 hex digits.
    :raises SettingsError: the connection that the environment names is missing or broken.
    """
    try:
        found, seen = await sight(spec, connections)
    except (EndpointUnavailableError, NoCommitError) as error:
        return Sight(outcome="waiting", said=str(error))
    await asyncio.to_thread(write, seen)
    if same(found.commit, commit):
        served = commit if len(commit) == FULL else found.commit
        return Sight(outcome="reached", commit=served, said=f"{found.place} serves {served}")
    runs = await asyncio.to_thread(waiting_runs, found.commit)
    return Sight(
        outcome="contested" if runs else "waiting",
        commit=found.commit,
        runs=tuple(runs),
        said=f"{found.place} serves {found.commit}",
    )


def judge(
    contested: Sight, environment: str, runs: Sequence[CommitRun], stint: Stint | None, enqueued_at: datetime
) -> Sight:
    """What a contested look comes to: the commit that is served supersedes a run if it is newer and a run of it waits.

    :param runs: those named by what is served, ended ones too.
    :param stint: the environment's newest.
    :param enqueued_at: when the run that looked was enqueued.
    """
    served = str(contested.commit)
    counting = [run for run in runs if run.counts_for(served)]
    waiting = [run.run_id for run in counting if run.state in WAITING]
    if stint is not None and not same(stint.commit_sha, served):
        # the look was overtaken, and says nothing of what is served now: the next one is judged anew
        return contested.model_copy(update={"outcome": "waiting", "runs": ()})
    if not waiting or not is_newer(
        stint, first_enqueued_at=min(run.enqueued_at for run in counting), enqueued_at=enqueued_at
    ):
        return contested.model_copy(update={"outcome": "waiting"})
    said = f"{environment} serves the newer commit {served}, whose run {waiting[-1]} waits; no table was touched"
    return contested.model_copy(update={"outcome": "superseded", "said": said})
