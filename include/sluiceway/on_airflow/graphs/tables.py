"""The tables whose files are wrong, as Airflow shows them before any run: a small DAG each."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from sluiceway.tables import registry

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_STEM = 200
"""Of a DAG's id, which may be 250."""

log = logging.getLogger(__name__)


def broken() -> dict[str, str]:
    """What is wrong with the files of this deployment's tables, by the ids of the DAGs that say so.

    A flow's id has no hyphen, so that no flow and none of its DAGs is called so.
    """
    found: dict[str, str] = {}
    for stem, problem in registry.read_deployed().wrong.items():
        log.error("Table %s: %s", stem, problem)
        # what is wrong may be the name itself, "city (copy)", which is no id for Airflow
        dag_id = f"table-{re.sub(r'[^A-Za-z0-9_.-]', '_', stem)[:LONGEST_STEM]}__broken"
        found[dag_id] = f"{found[dag_id]}\n{problem}" if dag_id in found else problem
    return found


def say_of(problem: str) -> Callable[[Context], None]:
    """The step of the DAG of a table whose file is wrong."""

    def say(_context: Context) -> None:
        """Say what is wrong with the file."""
        from sluiceway.errors import ConfigError

        raise ConfigError(problem)

    return say
