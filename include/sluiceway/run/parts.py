"""What a run does with tables that are loaded in parts, beside the loads; on_airflow/graphs/ wraps it as tasks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sluiceway.amounts import counted
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.load import parts, staged_parts
from sluiceway.run import steps
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.tables import registry

log = logging.getLogger(__name__)


def split_tables(*, only: Sequence[str]) -> list[str]:
    """The tables of this run whose files say `split`, largest source first; `steps.plan` plans them with the others.

    :param only: names of a subset; empty for all tables this deployment runs.
    """
    tables = registry.read_deployed()
    split = {name for name, spec in tables.right.items() if spec.split is not None}
    return steps.largest_first(tables, [name for name in steps.chosen(tables, only) if name in split])


def plan_parts(
    url: str,
    run: RunKey,
    *,
    only: Sequence[str],
    force: bool = False,
    connections: Connections = from_environment,
) -> list[dict[str, Any]]:
    """Plan the parts of this run's split tables, a part of each in turn, so that no table waits for another.

    :param only: names of a subset; empty for all tables this deployment runs.
    :returns: per part its table, its number from 1, and how many there are.
    """
    planned = []
    for name in split_tables(only=only):
        numbers = parts.plan_parts(registry.read_one(name), url, run=run, force=force, connections=connections)
        planned += [{"table": name, "part": number, "of": len(numbers)} for number in numbers]
        log.info("%s: %s", name, counted(len(numbers), "part") if numbers else "is loaded in one, or is unchanged")
    return sorted(planned, key=lambda each: int(each["part"]))


def cleanup_parts(url: str) -> list[str]:
    """Drop the rows of parts that no open run needs.

    :returns: the names of the tables that held them.
    """
    with connect(url) as session:
        left = staged_parts.drop_left(session)
    if left:
        log.warning("%d tables of parts that no run needs were dropped: %s", len(left), ", ".join(left))
    return left
