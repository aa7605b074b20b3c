"""Which tests go to one process when several share them: those of a file, and those that share a running Airflow."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

SHARED_AIRFLOW = ("tests/integration/flows", "tests/integration/deploy", "tests/integration/master")
"""Folders whose tests share one. They take the longest, so they are begun first."""
OWN_AIRFLOW = ("tests/dev", "tests/web", "tests/test_package.py")
"""What takes long after that."""


class Distribution(LoadScopeScheduling):
    """Hands out whole files and whole folders."""

    def _split_scope(self, nodeid: str) -> str:
        return place(nodeid)


def place(nodeid: str) -> str:
    """The folder or file whose tests stay together."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in SHARED_AIRFLOW if PurePosixPath(file).is_relative_to(folder)), file)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests so that no process is left with a long one at the end."""
    firsts = (*SHARED_AIRFLOW, *OWN_AIRFLOW)

    def turn(item: pytest.Item) -> int:
        file = PurePosixPath(item.nodeid.partition("::")[0])
        return next((number for number, first in enumerate(firsts) if file.is_relative_to(first)), len(firsts))

    items.sort(key=turn)
