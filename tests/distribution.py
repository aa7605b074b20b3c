"""Which tests go to one process when several share them, and in which order."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

WITH_SERVER = (
    "tests/integration/sensors",
    "tests/on_airflow/web",
    "tests/integration/master",
    "tests/integration/jobs",
    "tests/integration/workers",
    "tests/integration/pages",
    "tests/integration/bigquery",
)
"""Folders whose tests share a running Airflow, or its API server."""
FIRST = (
    "tests/integration/master",
    "tests/deploy/test_trigger.py",
    "tests/on_airflow/web",
    "tests/integration/sensors",
    "tests/integration/jobs",
    "tests/integration/workers",
    "tests/integration/pages",
    "tests/integration/bigquery",
    "tests/jobs/test_lanes_together.py",
)
"""The longest, so that no process is left with one at the end. The second of the two that start a whole Airflow comes
when the first runs, and a file that waits more than it works before both: two starts at once take twice as long."""


def place(nodeid: str) -> str:
    """The folder or the file whose tests stay together."""
    file = nodeid.partition("::")[0]
    return next((each for each in WITH_SERVER if PurePosixPath(file).is_relative_to(each)), file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests so that no process is left with a long one at the end."""
    items.sort(key=lambda item: FIRST.index(found) if (found := place(item.nodeid)) in FIRST else len(FIRST))


class Distribution(LoadScopeScheduling):
    """Hands out whole places."""

    def _split_scope(self, nodeid: str) -> str:
        return place(nodeid)
