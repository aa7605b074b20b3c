"""One stack for the tests that only look at it; those that kill one start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.guard import marked
from dev.stack import Stack


@pytest.fixture(scope="package")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without DAGs."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="package")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a DAG, one that makes none, and one that cannot be imported."""
    folder = tmp_path_factory.mktemp("dags")
    (folder / "one.py").write_text('from airflow.sdk import DAG\n\ndag = DAG("one", schedule=None)\n')
    (folder / "none.py").write_text("from airflow.sdk import DAG\n")
    (folder / "wrong.py").write_text('from airflow.sdk import DAG\n\nraise RuntimeError("wrong")\n')
    return folder


@pytest.fixture(scope="package")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared stack's folder. PostgreSQL may run as another user, who has to get in."""
    folder = tmp_path_factory.mktemp("state")
    for parent in (folder, *folder.parents):
        if parent.owner() == folder.owner() and parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)
    return folder


@pytest.fixture(scope="package")
def stack(state: Path, dags: Path, empty: Path) -> Iterator[Stack]:
    with Stack.running(state, dags=dags, plugins=empty) as running:
        yield running
    assert marked(running.env["SLUICEWAY_STACK"]) == []
