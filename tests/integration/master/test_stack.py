"""The local stack while it runs: it refuses strangers, and a second one beside it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from dev.environment import ROOT
from dev.errors import StackError, StackStartError
from dev.guard import marked
from dev.stack import Stack
from tests.conftest import let_through
from tests.integration.deployment import Deployment
from tests.integration.master.conftest import HURRIED_DAG_ID, WRONG

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def stack(_running: Deployment) -> Stack:
    return _running.stack


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without DAGs."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a second stack; the first start prepares its database."""
    folder = tmp_path_factory.mktemp("beside")
    let_through(folder)
    return folder


def post(url: str, body: dict[str, str]) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}


def get(url: str, token: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ports_of(stack: Stack) -> list[int]:
    return [int(url.rsplit(":", 1)[1].split("/")[0]) for url in (stack.url, stack.warehouse_url)]


def processes_of(stack: Stack) -> list[psutil.Process]:
    """All below the guard, PostgreSQL and its own children too, which wipe their environment."""
    guard = psutil.Process(json.loads(stack.layout.record.read_text())["guard_pid"])
    return [guard, *guard.children(recursive=True)]


@contextmanager
def another_program(state: Path, empty: Path) -> Iterator[tuple[subprocess.Popen[str], Stack, list[psutil.Process]]]:
    """A program of its own that holds a stack open, as a test run or a demo does."""
    code = f"""
import sys
from pathlib import Path
from dev.stack import Stack
with Stack.running(Path({str(state)!r}), dags=Path({str(empty)!r}), plugins=Path({str(empty)!r})):
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as program:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        stack = Stack.attach(state)
        assert stack
        yield program, stack, processes_of(stack)
        program.kill()


def lives(process: psutil.Process) -> bool:
    """A zombie does not: it has ended, and only its parent is slow to notice."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_nothing_is_left(stack: Stack, processes: list[psutil.Process], seconds: float = 15) -> None:
    assert len(processes) > 15  # the check has something to find: guard, supervisor, PostgreSQL's seven, Airflow's ten
    deadline = time.monotonic() + seconds
    while any(lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [process for process in processes if lives(process)] == []
    assert marked(stack.env["SLUICEWAY_STACK"]) == []
    assert not any(listens(port) for port in ports_of(stack))


def test_others_on_the_machine_read_nothing_that_the_stack_writes(stack: Stack) -> None:
    state = stack.layout.state
    # the databases' server keeps its own folder closed, also to whoever else looks here
    every = [state, *(path for path in state.rglob("*") if not path.is_relative_to(state / "pg" / "data"))]
    assert len(every) > 50
    open_ = {
        str(path): oct(path.lstat().st_mode) for path in every if path.lstat().st_mode & 0o006 and not path.is_symlink()
    }
    assert open_ == {}


def test_the_administrator_gets_a_token_that_opens_the_api(stack: Stack) -> None:
    assert post(f"{stack.url}/auth/token", {"username": stack.username, "password": stack.password})[0] == 201
    assert get(f"{stack.url}/api/v2/dags", stack.token()) == 200


@pytest.mark.parametrize("password", ["admin", "wrong"])
def test_a_wrong_password_is_refused(stack: Stack, password: str) -> None:
    assert post(f"{stack.url}/auth/token", {"username": stack.username, "password": password})[0] == 401


def test_the_api_is_closed_without_a_token(stack: Stack) -> None:
    assert get(f"{stack.url}/api/v2/dags") == 401
    assert post(f"{stack.url}/auth/token", {"username": "", "password": ""})[0] == 400
    assert get(f"{stack.url}/auth/token") != 200  # it hands out a token when everybody is admin


def test_what_holds_a_secret_is_private(stack: Stack) -> None:
    state = stack.layout.state
    private = [state / "airflow.env", state / "sluiceway.env", *(state / "secrets").iterdir()]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}


def test_a_second_user_of_the_folder_gets_the_running_stack(stack: Stack) -> None:
    layout = stack.layout
    with Stack.running(layout.state, dags=layout.dags, plugins=layout.plugins) as again:
        assert again == stack
    assert Stack.attach(layout.state) == stack  # leaving the block did not stop it


def test_a_running_stack_does_not_serve_another_dags_folder(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="other settings"), Stack.running(stack.layout.state, dags=tmp_path):
        pass


def test_the_warehouse_pool_exists(stack: Stack) -> None:
    assert get(f"{stack.url}/api/v2/pools/warehouse", stack.token()) == 200


def test_it_is_ready_when_every_dag_file_is_parsed_and_waits_for_no_dag_where_there_is_none(stack: Stack) -> None:
    assert get(f"{stack.url}/api/v2/dags/{HURRIED_DAG_ID}", stack.token()) == 200
    with psycopg.connect(stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as connection:
        assert connection.execute("SELECT filename FROM import_error").fetchall() == [(WRONG,)]
    log = (stack.layout.logs / "supervisor.log").read_text()
    assert "Ready after" in log and "Not parsed" not in log


def test_the_loader_writes_and_the_reader_only_reads(stack: Stack) -> None:
    reader_password = stack.layout.credentials.password("sluiceway_reader")
    loader_password = stack.layout.credentials.password("sluiceway_loader")
    reader_url = stack.warehouse_url.replace("sluiceway_loader", "sluiceway_reader").replace(
        loader_password, reader_password
    )
    with psycopg.connect(stack.warehouse_url) as loader:
        loader.execute("CREATE TABLE spot AS SELECT ST_Point(1, 2) AS geom")
    with psycopg.connect(reader_url, autocommit=True) as reader:
        assert reader.execute("SELECT ST_X(geom) FROM spot").fetchone() == (1.0,)
        for statement in ("DELETE FROM spot", "CREATE TABLE mine (i int)", "CREATE TEMP TABLE mine (i int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def supervisor_of(stack: Stack) -> int:
    return int(json.loads(stack.layout.record.read_text())["pid"])


def test_a_second_stack_runs_beside_the_first_and_leaves_nothing_when_its_supervisor_is_killed(
    stack: Stack, beside: Path, empty: Path
) -> None:
    with another_program(beside, empty) as (_program, second, processes):
        assert not {*ports_of(stack)} & {*ports_of(second)}
        assert get(f"{second.url}/api/v2/dags", stack.token()) == 403  # each signs with keys of its own
        os.kill(supervisor_of(second), signal.SIGKILL)
        assert_nothing_is_left(second, processes)
        assert get(f"{stack.url}/api/v2/dags", stack.token()) == 200


def test_the_folder_of_a_killed_stack_serves_again_and_nothing_is_left_when_program_and_guard_are_killed(
    beside: Path, empty: Path
) -> None:
    with another_program(beside, empty) as (program, second, processes):
        os.kill(json.loads(second.layout.record.read_text())["guard_pid"], signal.SIGKILL)
        program.kill()
        assert_nothing_is_left(second, processes)


def test_a_component_that_cannot_start_is_named_with_the_end_of_its_log(beside: Path, empty: Path) -> None:
    broken = {"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"}
    message = r"(?s)scheduler ended by itself.*log ends:.*NoSuchExecutor"
    with (
        pytest.raises(StackStartError, match=message),
        Stack.running(beside, dags=empty, plugins=empty, env=broken),
    ):
        pass
