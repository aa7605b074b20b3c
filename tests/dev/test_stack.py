"""The local stack ends whole while it starts, and takes nothing of the user's shell but what is meant."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dev import environment
from dev.cluster import Cluster
from dev.environment import ROOT, Layout
from dev.errors import StackStartError
from dev.guard import marked
from dev.stack import Stack, start, stop

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder without DAGs."""
    (folder := tmp_path / "empty").mkdir()
    return folder


def test_an_airflow_of_the_users_shell_stays_out() -> None:
    source = {
        "PATH": "/bin",
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__CORE__EXECUTOR": "X",
        "SSL_CERT_FILE": "c",
        "PYTHONPATH": "p",
    }
    assert environment.inherited(source) == {"PATH": "/bin", "SSL_CERT_FILE": "c"}


def test_a_warehouse_of_the_users_own_is_used_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = "postgresql://me:secret@db.example/mine?sslmode=require"
    monkeypatch.setenv("SLUICEWAY_WAREHOUSE_URL", mine)
    layout = Layout(tmp_path)
    cluster = Cluster(tmp_path / "pg", layout.credentials, warehouse=False)
    variables = environment.sluiceway(layout, cluster) | environment.airflow(
        layout, cluster, environment.Ports(1, 2, 3)
    )
    assert variables["SLUICEWAY_WAREHOUSE_URL"] == variables["SLUICEWAY_OWNER_URL"] == mine
    assert variables["AIRFLOW_CONN_WAREHOUSE"] == "postgres://me:secret@db.example/mine?sslmode=require"


def test_a_recycled_pid_is_not_taken_for_the_stack(tmp_path: Path) -> None:
    myself = {"pid": os.getpid(), "started": 1.0, "guard_pid": os.getpid(), "guard_started": 1.0, "phase": "ready"}
    Layout(tmp_path).record.write_text(json.dumps(myself))
    assert Stack.attach(tmp_path) is None
    assert stop(tmp_path) is False


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_supervisor_that_gets_a_signal_while_it_starts_stops_everything(
    tmp_path: Path, empty: Path, signum: signal.Signals
) -> None:
    layout = Layout(tmp_path, empty, empty)
    with ThreadPoolExecutor(1) as background:
        starting = background.submit(start, layout, {})
        while not (tmp_path / "airflow.env").exists():  # PostgreSQL runs, Airflow is being started
            assert not starting.done()
            time.sleep(0.05)
        record = json.loads(layout.record.read_text())
        os.kill(record["pid"], signum)
        with pytest.raises(StackStartError):
            starting.result(30)
    assert marked(record["id"]) == []
    assert not (tmp_path / "pg/data/postmaster.pid").exists()  # PostgreSQL was shut down, not killed
    assert (tmp_path / "sluiceway.env").read_text().count("AIRFLOW") == 0


def test_ctrl_c_in_a_program_stops_the_stack_it_started(tmp_path: Path) -> None:
    # a job in the background of a script inherits an ignored SIGINT; a terminal's program does not
    code = (
        "from pathlib import Path; from dev.stack import *; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); start(Layout(Path(sys.argv[1])), {})"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, process_group=0) as program:
        while not (tmp_path / "airflow.env").exists():
            assert program.poll() is None
            time.sleep(0.05)
        os.killpg(program.pid, signal.SIGINT)
        program.wait(30)
    assert marked(json.loads((tmp_path / "stack.json").read_text())["id"]) == []
    assert not (tmp_path / "pg/data/postmaster.pid").exists()
