"""Which runs are a commit's, which of two commits is the newer, and whether a deployed commit needs a run.

Nothing here goes by when a run was queued, for a retry and a clear queue it again: Airflow keeps the moment at which a
run was first enqueued as `run_after`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from sluiceway.deploy.commit import FULL, SHORTEST, same
from sluiceway.deploy.stints import Loads, Stint
from sluiceway.errors import DeployRunError
from sluiceway.ids import DEPLOY_RUNS

RUNS_OF_A_COMMIT = 99
"""A commit's runs: the first, those after failed ones, and those of rollbacks to it."""
WAITING = ("queued", "running")
_NAMED = re.compile(rf"{DEPLOY_RUNS}([0-9a-f]{{{SHORTEST},{FULL}}})(?:__[0-9]+)?")


class CommitRun(BaseModel):
    """A run whose id names a commit, as Airflow shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    state: str
    enqueued_at: datetime
    """When it was first enqueued."""
    ended_at: datetime | None = None
    conf: dict[str, Any] = {}

    def counts_for(self, commit: str) -> bool:
        """Whether it loads the commit, and all tables.

        :param commit: 7 to 40 hex digits.
        """
        return contradiction(self.run_id, self.conf) is None and same(str(self.conf["commit_sha"]), commit)


def run_ids(commit: str) -> list[str]:
    """The ids of the commit's runs, in order."""
    first = f"{DEPLOY_RUNS}{commit}"
    return [first, *(f"{first}__{number}" for number in range(2, RUNS_OF_A_COMMIT + 1))]


def next_run_id(commit: str, taken: Collection[str]) -> str:
    """The first of them that no run has.

    :raises DeployRunError: each has one.
    """
    for run_id in run_ids(commit):
        if run_id not in taken:
            return run_id
    raise DeployRunError(f"All {RUNS_OF_A_COMMIT} ids of {commit} have a run: delete old ones of them in Airflow.")


def contradiction(run_id: str, conf: Mapping[str, Any]) -> str | None:
    """How the conf of a run that is named as a commit's says that it is not, as a sentence; None: it does not."""
    if not run_id.startswith(DEPLOY_RUNS):
        return None
    named, commit = _NAMED.fullmatch(run_id), conf.get("commit_sha")
    should = "Name it otherwise, or start the commit's run with `sluiceway trigger`."
    if named is None:
        return f"The run's id begins with {DEPLOY_RUNS} and names no commit, {SHORTEST} to {FULL} hex digits. {should}"
    if not commit:
        wrong = "has no commit_sha"
    elif not same(str(commit), named[1]):
        wrong = f"has the commit_sha {commit!r}"
    elif conf.get("tables"):
        wrong = "names tables, where a commit's run loads all"
    else:
        return None
    return f"The run's id says that it is the run of the commit {named[1]}, and its conf {wrong}. {should}"


def is_newer(stint: Stint | None, *, first_enqueued_at: datetime, enqueued_at: datetime) -> bool:
    """Whether what an environment serves is newer than the commit of a run. In doubt it is not: then the run waits.

    :param stint: since when it is served; None when nobody knows.
    :param first_enqueued_at: the first of the served commit's runs.
    :param enqueued_at: the run's own.
    """
    if stint is not None and stint.other_seen_at is not None and stint.other_seen_at > enqueued_at:
        return True  # it was deployed after the run was enqueued, whether for the first time or once more
    if stint is not None and stint.first_seen_at <= enqueued_at:
        return False
    return first_enqueued_at > enqueued_at


def needs_nothing(commit: str, runs: Sequence[CommitRun], loads: Loads) -> str | None:
    """Why a commit that is deployed needs no run, as the rest of a sentence; None: it needs one.

    :param commit: 40 hex digits.
    """
    counting = sorted((run for run in runs if run.counts_for(commit)), key=lambda run: run.enqueued_at)
    # one that is superseded has nothing to load any more, though its last task may go on; unless it was cleared
    standing = [run for run in counting if run.run_id not in loads.superseded or run.state == "queued"]
    if waiting := [run for run in standing if run.state in WAITING]:
        return f"its run {waiting[-1].run_id} is {waiting[-1].state}"
    if loads.is_current:
        return "it is loaded"
    if not standing:
        return None
    newest = standing[-1]
    if loads.has_other_since(newest.ended_at or newest.enqueued_at):
        return None
    return f"its run {newest.run_id} has ended: {newest.state}"
