"""What is said of a commit once its run has begun or ended, and that GitHub is told. No run waits for it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sluiceway.deploy import github
from sluiceway.deploy.commit import FULL
from sluiceway.deploy.spec import Environment
from sluiceway.errors import StatusNotToldError
from sluiceway.ids import MASTER
from sluiceway.ledger import commit_statuses
from sluiceway.ledger.commit_statuses import FOR_DAYS, CommitStatus, Outcome
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.rows import Run
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import Connections
from sluiceway.spans import lasting

REACHED = "data is at your commit"
NOT_YET = "data is not at your commit yet"
AT_ONCE = 20
"""So many are told in one look; the others wait for the next."""
FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0
_LOG = re.compile(r" \(log: \S+\)")
_CUT = "..."

Page = Callable[[str, str], str | None]
"""From a DAG and a run's id to the address of the run's page; None where nobody knows it."""

log = logging.getLogger(__name__)


def outcome_of(run: Run) -> Outcome:
    """What is to be said of the run's commit."""
    if run.status == "success":
        said = REACHED
    elif run.status == "running":
        said = NOT_YET
    else:
        said = _line(run.note or f"the run {run.run_id} is {run.status}")
    deployed, commit = run.deployed_sha or "", run.commit_sha or ""
    return Outcome(
        # a run of a short one has seen the whole when it was let through
        commit_sha=deployed if deployed.startswith(commit) else commit,
        run_id=run.run_id,
        state=run.status,
        description=said,
    )


def _line(sentence: str) -> str:
    """It in so few characters as GitHub takes, without the addresses of logs, which the page has."""
    line = " ".join(_LOG.sub("", sentence).split())
    return line if len(line) <= github.LONGEST else line[: github.LONGEST - len(_CUT)].rstrip() + _CUT


def tell_due(url: str, environment: Environment, connections: Connections, page: Page) -> int:
    """Tell GitHub what became of commits since it was told last. What cannot be told is tried again, for a day.

    :returns: how many outcomes it was told.
    """
    with connect(url) as session:
        check_revision(session)
        runs = commit_statuses.runs_to_tell(session, environment.name)
        # the newest come first: what an older run of a commit says no longer counts
        newest = {outcome.commit_sha: outcome for outcome in map(outcome_of, reversed(runs))}
        # a short one may be known in full once the run is let through
        known = [each for each in newest.values() if len(each.commit_sha) == FULL or each.state != "running"]
        commit_statuses.want(session, environment.name, known)
    count = 0
    for _ in range(AT_ONCE):
        with connect(url) as session:
            due = commit_statuses.claim(session, environment.name)
        if due is None:
            break
        try:
            github.tell(environment, due, page(MASTER, due.run_id), connections)
        except StatusNotToldError as error:
            _keep(url, due, error)
            if error.of_all:
                break
            continue
        with connect(url) as session:
            commit_statuses.told(session, due)
        count += 1
    return count


def _keep(url: str, due: CommitStatus, error: StatusNotToldError) -> None:
    """Write down why it was not told, and say so in a line."""
    own_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (due.tries - 1))
    wait_s = max(own_s, min(error.wait_s, 2 * timedelta(days=FOR_DAYS).total_seconds()))
    with connect(url) as session:
        commit_statuses.not_told(session, due, str(error), again_in_s=wait_s)
    again_at = datetime.now(UTC) + timedelta(seconds=wait_s)
    is_last = again_at > due.since + timedelta(days=FOR_DAYS)
    then = "It is not tried again." if is_last else f"It is tried again in {lasting(timedelta(seconds=wait_s))}."
    log.warning(
        "%s: GitHub was not told that the run %s of %s is %s: %s. %s",
        due.environment,
        due.run_id,
        due.commit_sha,
        due.state,
        str(error).removesuffix("."),
        then,
    )
