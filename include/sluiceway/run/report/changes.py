"""What became of tables between two runs, as the page that compares them tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sluiceway.ledger.history import TableChange

_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class ColumnChanges(NamedTuple):
    """The source's columns: those that came, that went, and those whose values are of another kind."""

    came: tuple[str, ...]
    went: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]
    """Column, kind before, kind after."""


class Changed(NamedTuple):
    """One table."""

    told: TableChange
    columns: ColumnChanges | None
    """None: the ledger does not hold the columns of both times."""

    @property
    def is_same(self) -> bool:
        """Whether nothing became of it that anybody could tell."""
        told = self.told
        counted = told.inserted, told.updated, told.deleted, told.rejected, told.failed
        return (
            not any(counted)
            and not any(self.columns or ())
            and told.rows_before == told.rows_after
            and not self.has_other_file
        )

    @property
    def has_other_file(self) -> bool:
        """Whether its file, or the code of its transform, was another one at the later load."""
        specs = self.told.spec_before, self.told.spec_after
        return None not in specs and specs[0] != specs[1]


def changed(told: TableChange) -> Changed:
    """The change with what it says of columns."""
    before, after = told.columns_before, told.columns_after
    if before is None or after is None:
        return Changed(told, None)
    both = [name for name in before if name in after]
    return Changed(
        told,
        ColumnChanges(
            came=tuple(name for name in after if name not in before),
            went=tuple(name for name in before if name not in after),
            retyped=tuple((name, before[name], after[name]) for name in both if before[name] != after[name]),
        ),
    )


def comparison_url(conf: Mapping[str, Any] | None, earlier: str | None, later: str | None) -> str | None:
    """Where the forge compares two commits; None where nobody told where it is, or they are no two commits.

    :param conf: a run's, in which CI says whose commit it deploys (`repository`) and from which of its own runs
        (`ci_run_url`): below that repository's address on forges that are like GitHub.
    """
    if earlier is None or later is None or earlier == later or not all(map(_COMMIT.fullmatch, (earlier, later))):
        return None
    repository, ci_run = ((conf or {}).get(key) for key in ("repository", "ci_run_url"))
    if not isinstance(repository, str) or not isinstance(ci_run, str):
        return None
    forge = urlsplit(ci_run)
    if forge.scheme != "https" or "@" in forge.netloc or not forge.path.startswith(f"/{repository}/"):
        return None
    return f"https://{forge.netloc}/{repository}/compare/{earlier}...{later}"
