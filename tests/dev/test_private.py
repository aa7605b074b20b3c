"""What the local stack writes is for its user alone, whatever the user's umask lets through."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.credentials import Credentials, write_private
from dev.environment import Layout, Ports, airflow


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("stands", [True, False], ids=["stands already", "is new"])
def test_the_folders_of_a_stack_are_closed_to_others(tmp_path: Path, stands: bool) -> None:
    layout = Layout(tmp_path / "state")
    folders = layout.logs, layout.airflow_home, layout.temporary, layout.reports
    for folder in folders if stands else ():
        folder.mkdir(parents=True)
    layout.make()
    assert {mode(folder) for folder in folders} == {0o700}
    # PostgreSQL runs as another user where root starts it, and must come through
    assert mode(layout.state) == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_secret_is_closed_to_others_also_in_the_place_of_a_file_that_was_open(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "secrets")
    assert credentials.password("admin") == credentials.password("admin")
    assert (mode(tmp_path / "secrets"), mode(tmp_path / "secrets" / "admin")) == (0o700, 0o600)
    (tmp_path / "open").write_text("old")
    write_private(tmp_path / "open", "new")
    assert (mode(tmp_path / "open"), (tmp_path / "open").read_text()) == (0o600, "new")


def test_airflow_is_told_to_close_its_logs_to_others(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    told = airflow(layout, Cluster(tmp_path / "pg", layout.credentials), Ports(1, 2, 3))
    modes = {key.rpartition("__")[2]: value for key, value in told.items() if key.endswith("_PERMISSIONS")}
    assert modes == {
        "FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
    }
