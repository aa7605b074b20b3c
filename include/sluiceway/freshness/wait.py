"""Waits until the data belongs to a commit, or until it is known that it will not: the gate before tests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Literal

from sluiceway.deploy.commit import FULL, SHORTEST, same
from sluiceway.errors import ConfigError, nearest
from sluiceway.freshness.facts import LedgerFacts, RunFacts, TableFacts
from sluiceway.freshness.judge import RED, hold_other_data, newest_run_of, others, told
from sluiceway.freshness.model import Frozen

POLL_S = 5.0
SETTLE_S = 60.0
"""So long a run that had ended before anybody waited is not the last word: one of a rollback, or of `trigger --again`,
is in Airflow's queue and not in the ledger yet."""


class Outlook(Frozen):
    """How the data stands to a commit."""

    state: Literal["reached", "lost", "waiting", "unknown"]
    """lost: it will not come by the runs that there are; unknown: the ledger cannot be read at the moment."""
    sentence: str
    at: datetime | None = None
    """When, by the warehouse's clock; None: it does not answer."""
    ended_at: datetime | None = None
    """When the run ended by which all is lost."""


def look(commit: str, tables: Collection[str], facts: LedgerFacts | str) -> Outlook:
    """What the ledger says of the commit now.

    :param commit: 7 to 40 hex digits, as `checked` gives them.
    :raises ConfigError: several commits begin so; names them.
    """
    if isinstance(facts, str):
        return Outlook(state="unknown", sentence=facts)
    return _look(commit, tables, facts).model_copy(update={"at": facts.at})


def _look(commit: str, tables: Collection[str], facts: LedgerFacts) -> Outlook:
    known = commits_of(facts)
    beginning = sorted(each for each in known if each.startswith(commit))
    # a short one that a service publishes is the same commit as the long one that begins so
    if beginning and not all(same(each, max(beginning, key=len)) for each in beginning):
        raise ConfigError(f"Several commits begin with {commit!r}: {', '.join(beginning)}; write more of it.")
    if not tables:
        return Outlook(state="lost", sentence="there is no table whose data could belong to it")
    missing = others(tables, commit, facts)
    if not missing:
        count = f"all {len(tables):,} tables" if len(tables) > 1 else "the one table"
        return Outlook(state="reached", sentence=f"The data of {count} belongs to {commit}.")
    run = newest_run_of(commit, facts.runs)
    left = f"{hold_other_data(len(missing), len(tables))}: {told(missing, facts)}"
    if run is None:
        hint = "" if beginning else nearest(commit, known, listing=False)
        return Outlook(state="waiting", sentence=f"no run of {commit} has begun{hint}; {left}")
    if run.status == "running":
        return Outlook(state="waiting", sentence=f"its run {run.run_id} goes on; {left}")
    if run.status in RED | {"superseded"}:
        said = f"its run {run.run_id} is {run.status}: {run.note or 'no reason was told'}"
        return Outlook(state="lost", sentence=said, ended_at=run.finished_at)
    overtaken = [name for name in missing if _came_after(run, facts.tables.get(name, TableFacts()), commit)]
    if overtaken:
        said = f"its run {run.run_id} was green, and other data came after it: {told(overtaken, facts)}"
        return Outlook(state="lost", sentence=said, ended_at=run.finished_at)
    return Outlook(state="waiting", sentence=f"its run {run.run_id} was green and did not load all; {left}")


def _came_after(run: RunFacts, table: TableFacts, commit: str) -> bool:
    """Whether the table has another commit's data since the run ended."""
    if run.finished_at is None or table.commit_sha is None or same(table.commit_sha, commit):
        return False
    return any(each is not None and each > run.finished_at for each in (table.data_from, table.looked_at))


def checked(commit: str) -> str:
    """The commit in lower case.

    :raises ConfigError: it is none.
    """
    found = commit.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{FULL}}}", found):
        raise ConfigError(f"--commit {commit!r} is no commit: write {SHORTEST} to {FULL} of its hex digits.")
    return found


def commits_of(facts: LedgerFacts) -> set[str]:
    """Every commit that the facts name."""
    held = {each for table in facts.tables.values() for each in (table.commit_sha, table.green_commit_sha) if each}
    return held | {run.commit for run in facts.runs if run.commit}


def wait(
    ask: Callable[[], Outlook],
    tell: Callable[[str], None],
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outlook:
    """Ask until the answer is final or the time is over; the last answer.

    :param tell: is told what is waited for, whenever that changes.
    """
    began, before = clock(), ""
    until, first_at = began + timeout_s, None
    while True:
        outlook = ask()
        left = until - clock()
        first_at = first_at or outlook.at
        is_old = outlook.ended_at is not None and first_at is not None and outlook.ended_at <= first_at
        is_lost = outlook.state == "lost" and not (is_old and clock() - began < SETTLE_S)
        if outlook.state == "reached" or is_lost or left <= 0:
            return outlook
        if outlook.sentence != before:
            tell(outlook.sentence)
            before = outlook.sentence
        sleep(min(POLL_S, left))
