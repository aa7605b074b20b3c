"""Which tests go to one process when several share them, and in which order."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

WITH_AIRFLOW = ("tests/integration/sensors", "tests/integration/master")
"""Folders whose tests share a running Airflow, all of it. They take the longest, so they are begun first."""
WITH_SERVER = ("tests/web",)
"""Folders whose tests share an API server."""


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
