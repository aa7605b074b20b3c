"""Which run is meant, where a person types its id, its commit, or the first characters of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sluiceway.deploy.commit import FULL, same
from sluiceway.errors import ConfigError, nearest
from sluiceway.ledger.store import RunKey

SHOWN = 5
SHORTEST = 4
"""Digits of a commit that a person types; git takes as few."""


def the_one(typed: str, found: Sequence[RunKey]) -> RunKey | None:
    """The run of that id, else the only one that begins so; None where there is none.

    :param found: the runs that begin so.
    :raises ConfigError: there are several; names them.
    """
    whole = [key for key in found if key.run_id == typed]
    found = whole or [key for key in found if typed and key.run_id.startswith(typed)]
    if len(found) < 2:
        return found[0] if found else None
    if len({key.run_id for key in found}) == 1:
        dags = ", ".join(sorted(key.dag_id for key in found))
        raise ConfigError(f"Several DAGs have a run {found[0].run_id!r}: name one of {dags} with --dag.")
    names = sorted(str(key) for key in found)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise ConfigError(
        f"Several runs begin with {typed!r}: {', '.join(names[:SHOWN])}{more}; write more of the one you mean."
    )


def the_commit(typed: str, known: Collection[str]) -> list[str]:
    """How runs spell the commit: in full, or as short as some service says it.

    :param known: the commits of all runs.
    :raises ConfigError: it is no commit, none begins so, or several do; names them, or the nearest.
    """
    begin = typed.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{FULL}}}", begin):
        raise ConfigError(f"--commit {typed!r} is no commit: write {SHORTEST} to {FULL} of its hex digits.")
    found = sorted(each for each in known if each.startswith(begin) or same(each, begin))
    if not found:
        heads = {each[: len(begin)] for each in known}
        raise ConfigError(
            f"No run is of a commit {typed!r}{nearest(begin, heads, listing=False) or ';'} `sluiceway runs list` shows "
            f"the newest."
        )
    longest = max(found, key=len)
    if not all(same(each, longest) for each in found):
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ConfigError(f"Several commits begin with {typed!r}: {', '.join(found[:SHOWN])}{more}; write more of it.")
    return found
