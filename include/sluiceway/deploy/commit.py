"""Commits as people and services write them: 40 hex digits, or the first 7 and more of them."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from sluiceway.errors import NoCommitError

FULL = 40
SHORTEST = 7
SHOWN = 80
"""Characters of an answer that an error shows."""

_COMMIT = re.compile(rf"[0-9a-f]{{{SHORTEST},{FULL}}}")


class Deployed(BaseModel):
    """The commit that an environment serves, and who says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    """7 to 40 hex digits, lower case."""
    place: str
    """The address, or the service and its revision."""

    @property
    def is_full(self) -> bool:
        """Whether all 40 digits are known."""
        return len(self.commit) == FULL


class Sighting(BaseModel):
    """One look at an environment, that saw the commit at some moment between the two."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str
    began_at: datetime
    ended_at: datetime


def parse(text: str, place: str) -> Deployed:
    """The commit in `text`; raises NoCommitError that shows what came."""
    commit = text.strip().lower()
    if not _COMMIT.fullmatch(commit):
        raise NoCommitError(
            f"{place} should say which commit is deployed, {SHORTEST} to {FULL} hex digits, and says {shortened(text)}"
        )
    return Deployed(commit=commit, place=place)


def shortened(text: str) -> str:
    """What came, on one line, as an error shows it."""
    line = " ".join(text.split())
    if not line:
        return "nothing"
    return repr(line if len(line) <= SHOWN else f"{line[:SHOWN]}...")


# a thousand tables hold a few commits
@lru_cache(maxsize=1024)
def same(one: str, other: str) -> bool:
    """Whether both name one commit: the shorter begins the longer, and has at least 7 digits."""
    if one == other:
        return len(one) >= SHORTEST
    short, long = sorted((one.lower(), other.lower()), key=len)
    return len(short) >= SHORTEST and long.startswith(short)


def require_full(found: Deployed) -> Deployed:
    """The same; raises NoCommitError for a short one, which can name no run."""
    if not found.is_full:
        raise NoCommitError(
            f"{found.place} says {found.commit!r}, {len(found.commit)} digits of a commit: a run is named by all "
            f"{FULL}, so publish all of them (git rev-parse HEAD)"
        )
    return found
