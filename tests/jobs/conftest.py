"""The database that jobs write, as the role that may."""

from __future__ import annotations

import pytest

from dev.cluster import Cluster


@pytest.fixture
def jobs_url(postgres: Cluster, database: str) -> str:
    """Of an empty warehouse, for the role of jobs."""
    return postgres.url("sluiceway_jobs", database)
