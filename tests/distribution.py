"""Which tests go to one process when several share them, and in which order."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

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


def next_of(places: Collection[str], *, is_worker: bool) -> str | None:
    """Which place comes next; None: there is none.

    :param is_worker: whether the process has the places without an Airflow, which is waited for more than it works.
    """
    without = (each for each in places if each not in FIRST) if is_worker else iter(())
    return next(without, next(iter(places), None))


class Distribution(LoadScopeScheduling):
    """Hands out whole places: of three processes the last one works, while the others wait for their Airflow."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        found = next_of(self.workqueue, is_worker=len(self.nodes) > 2 and node is self.nodes[-1])
        if found is not None:
            self.workqueue.move_to_end(found, last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        return place(nodeid)
