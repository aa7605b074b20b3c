"""Which tests go to one process when several share them, and in which order."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

WITH_AIRFLOW = ("tests/integration/flows", "tests/integration/deploy", "tests/integration/master", "tests/dev")
"""Folders whose tests share a running Airflow, all of it. They take the longest, so they are begun first."""
WITH_SERVER = ("tests/web",)
"""Folders whose tests share an API server."""
MOST_AIRFLOWS = 2
"""How many run at once: more of them take the processors from each other, and the tests' limits of time with them."""


def place(nodeid: str) -> str:
    """The folder or the file whose tests stay together."""
    file = nodeid.partition("::")[0]
    return next((each for each in (*WITH_AIRFLOW, *WITH_SERVER) if PurePosixPath(file).is_relative_to(each)), file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests so that no process is left with a long one at the end."""
    firsts = (*WITH_AIRFLOW, *WITH_SERVER)
    items.sort(key=lambda item: firsts.index(found) if (found := place(item.nodeid)) in firsts else len(firsts))


class Distribution(LoadScopeScheduling):
    """Hands out whole places."""

    def _split_scope(self, nodeid: str) -> str:
        return place(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        airflows = sum(
            scope in WITH_AIRFLOW and not all(tests.values())
            for other, work in self.assigned_work.items()
            for scope, tests in work.items()
            if other is not node
        )
        without = next((scope for scope in self.workqueue if scope not in WITH_AIRFLOW), None)
        if airflows >= MOST_AIRFLOWS and without is not None:
            self.workqueue.move_to_end(without, last=False)
        super()._assign_work_unit(node)
