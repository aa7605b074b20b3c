"""Which run is meant, where a person types its id or the first characters of it."""

from __future__ import annotations

from collections.abc import Sequence

from sluiceway.errors import ConfigError
from sluiceway.ledger.store import RunKey

SHOWN = 5


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
