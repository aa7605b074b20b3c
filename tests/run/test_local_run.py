"""`sluiceway tables run` that is stopped or killed: real processes, real signals, and one sentence that is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

from dev.cluster import Cluster
from dev.environment import ROOT
from sluiceway.ledger import store
from sluiceway.ledger.left_behind import close_left_behind
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from tests.waiting import wait_until

Query = Callable[..., list[tuple[object, ...]]]
Start = Callable[..., "subprocess.Popen[str]"]
SPEC = """
description = "Cities"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", name = "text" }
"""
STOPPED = "stopped; nothing was changed"
KILLED = "its process is gone without a word (killed, or its machine went down); "
COMMITTED = "the load of city had been committed (2 rows extracted)"
BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["^C", "TERM"])
RUNS = "SELECT dag_id, status, note, finished_at IS NOT NULL FROM etl.run"
TABLES = "SELECT status, error_type, error FROM etl.table_run ORDER BY try_number DESC LIMIT 1"


@pytest.fixture
def environment(tmp_path: Path, warehouse_url: str) -> dict[str, str]:
    """Of a shell in which the command is typed: one table, and its source."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "city.toml").write_text(SPEC)
    (tmp_path / "tables" / "city.csv").write_text("id,name\n1,new\n2,new\n")
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "include"),
        "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", str(ROOT / ".local" / "pycache")),
        "SLUICEWAY_CONFIG_DIR": str(tmp_path),
        "SLUICEWAY_WAREHOUSE_URL": warehouse_url,
        "SLUICEWAY_ENV_FILE": os.environ["SLUICEWAY_ENV_FILE"],
        "SLUICEWAY_PRIVATE_HOSTS": "127.0.0.1",
    }


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Starts the program; nothing of it is left afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from sluiceway.cli.app import app; app()", *arguments]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, and what it printed."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@contextmanager
def holding(url: str, *statements: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """What another session holds."""
    with psycopg.connect(url) as other:
        for statement in statements:
            other.execute(statement)
        yield other
        other.rollback()


@pytest.fixture
def waits(query: Query) -> Callable[[str], bool]:
    """Whether the command's session of that name waits for a lock."""

    def look(name: str) -> bool:
        return bool(
            query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s AND wait_event_type = 'Lock'", name)
        )

    return look


@pytest.fixture
def loaded(query: Query) -> None:
    """The table stands with older rows."""
    query("CREATE TABLE city (id integer PRIMARY KEY, name text, etl_run_id text NOT NULL)")
    query("INSERT INTO city VALUES (1, 'old', 'r'), (2, 'old', 'r')")


@BOTH
def test_a_load_that_is_stopped_while_the_warehouse_works_breaks_off_at_once(
    start: Start,
    loaded: None,
    warehouse_url: str,
    query: Query,
    waits: Callable[[str], bool],
    number: signal.Signals,
    code: int,
) -> None:
    with holding(warehouse_url, "LOCK TABLE city"):
        process = start("tables", "run", "city")
        wait_until(lambda: waits("sluiceway load city"))
        process.send_signal(number)
        assert told(process) == (code, "", f"{STOPPED}\n")
    assert query(RUNS) == [("cli", "failed", STOPPED, True)]
    assert query(TABLES) == [("failed", "StoppedError", STOPPED)]
    assert query("SELECT DISTINCT name FROM city") == [("old",)]
    assert query("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'sluiceway %'") == []


@BOTH
def test_a_load_that_is_stopped_while_it_waits_for_its_turn_says_so(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool], number: signal.Signals, code: int
) -> None:
    with holding(warehouse_url, "SELECT pg_advisory_lock(hashtext('sluiceway.load.city'))"):
        process = start("tables", "run", "city", "--json")
        wait_until(lambda: waits("sluiceway load city"))
        process.send_signal(number)
        assert told(process) == (code, "", f"{STOPPED}\n")
    assert query(RUNS) == [("cli", "failed", STOPPED, True)]


class _NeverAnswers(BaseHTTPRequestHandler):
    asked = threading.Event()
    over = threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.over.wait(30)

    do_HEAD = do_GET  # noqa: N815  # the name that http.server asks for


@BOTH
def test_a_load_that_is_stopped_while_its_source_does_not_answer_says_so(
    start: Start, environment: dict[str, str], query: Query, number: signal.Signals, code: int
) -> None:
    _NeverAnswers.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _NeverAnswers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_address[1]}/city.csv"
    (Path(environment["SLUICEWAY_CONFIG_DIR"]) / "tables" / "city.toml").write_text(SPEC.replace("city.csv", uri))
    try:
        process = start("tables", "run", "city")
        assert _NeverAnswers.asked.wait(30)
        process.send_signal(number)
        assert told(process) == (code, "", f"{STOPPED}\n")
    finally:
        _NeverAnswers.over.set()
        server.shutdown()
        server.server_close()
    assert query(RUNS) == [("cli", "failed", STOPPED, True)]


@contextmanager
def committed_and_not_closed(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool]
) -> Iterator[subprocess.Popen[str]]:
    """A command whose load is committed, and which cannot close its run's row for as long as the block lasts."""
    with psycopg.connect(warehouse_url, autocommit=True) as turn:
        turn.execute("SELECT pg_advisory_lock(hashtext('sluiceway.load.city'))")
        process = start("tables", "run", "city")
        wait_until(lambda: waits("sluiceway load city"))
        with holding(warehouse_url, "SELECT 1 FROM etl.run FOR NO KEY UPDATE"):
            turn.execute("SELECT pg_advisory_unlock_all()")
            wait_until(lambda: query(TABLES)[0][0] == "loaded" and waits("%"))
            yield process


@BOTH
def test_a_command_that_is_stopped_after_the_commit_says_that_the_load_had_been_committed(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool], number: signal.Signals, code: int
) -> None:
    with committed_and_not_closed(start, warehouse_url, query, waits) as process:
        process.send_signal(number)
        time.sleep(0.3)
    assert told(process) == (code, "", f"stopped; {COMMITTED}\n")
    assert query(RUNS) == [("cli", "success", f"stopped; {COMMITTED}", True)]
    assert query("SELECT DISTINCT name FROM city") == [("new",)]
    assert query(TABLES) == [("loaded", None, None)]


def test_a_second_signal_ends_the_command_whatever_it_is_at(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool]
) -> None:
    with committed_and_not_closed(start, warehouse_url, query, waits) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert told(process)[0] == -signal.SIGTERM
    assert told(start("runs", "list"))[0] == 0
    assert query(RUNS) == [("cli", "success", KILLED + COMMITTED, True)]


@pytest.mark.parametrize("looker", [("runs", "list"), ("tables", "run", "city")], ids=" ".join)
def test_the_next_command_closes_what_a_killed_one_left(
    start: Start, loaded: None, warehouse_url: str, query: Query, waits: Callable[[str], bool], looker: tuple[str, ...]
) -> None:
    with holding(warehouse_url, "LOCK TABLE city"):
        process = start("tables", "run", "city")
        wait_until(lambda: waits("sluiceway load city"))
        process.kill()
        assert told(process)[0] == -signal.SIGKILL
        assert told(start("runs", "list"))[0] == 0
        assert query(RUNS) == [("cli", "running", None, False)], "the server has not heard of its end yet"
    wait_until(lambda: not query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'sluiceway load city'"))
    assert query("SELECT DISTINCT name FROM city") == [("old",)]
    assert told(start(*looker))[0] == 0
    assert query(f"{RUNS} ORDER BY started_at LIMIT 1") == [("cli", "failed", f"{KILLED}nothing was changed", True)]
    assert query("SELECT status, error FROM etl.table_run ORDER BY error LIMIT 1") == [
        ("failed", f"{KILLED}nothing was changed")
    ]


def test_a_command_that_was_killed_after_the_commit_is_closed_as_the_load_that_it_was(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool]
) -> None:
    with committed_and_not_closed(start, warehouse_url, query, waits) as process:
        process.kill()
        process.wait()
    ((run_id,),) = query("SELECT run_id FROM etl.run")
    wait_until(lambda: not waits("%"))
    code, out, _ = told(start("runs", "list", "--json"))
    assert code == 0
    (shown,) = json.loads(out)
    assert (shown["run_id"], shown["status"], shown["note"]) == (run_id, "success", KILLED + COMMITTED)


def test_a_command_that_lives_is_left_alone(
    start: Start, warehouse_url: str, query: Query, waits: Callable[[str], bool]
) -> None:
    with holding(warehouse_url, "SELECT pg_advisory_lock(hashtext('sluiceway.load.city'))"):
        process = start("tables", "run", "city")
        wait_until(lambda: waits("sluiceway load city"))
        assert told(start("runs", "list"))[0] == 0
        assert query(RUNS) == [("cli", "running", None, False)]
    assert told(process)[0] == 0
    assert query(RUNS) == [("cli", "success", None, True)]


def test_runs_of_airflow_are_left_alone_and_who_may_only_read_closes_nothing(
    warehouse_url: str, postgres: Cluster, database: str, query: Query
) -> None:
    with connect(warehouse_url) as session:
        for dag_id in ("master_etl", "cli"):
            store.open_run(session, RunKey(dag_id, "left"), commit_sha=None, trigger_kind="test")
    with connect(postgres.url("sluiceway_reader", database)) as session:
        assert close_left_behind(session) == []
    with connect(warehouse_url) as session:
        assert close_left_behind(session) == [RunKey("cli", "left")]
    assert query("SELECT dag_id, status FROM etl.run ORDER BY 1") == [("cli", "failed"), ("master_etl", "running")]


def test_the_error_that_a_killed_command_had_told_stands(warehouse_url: str, query: Query) -> None:
    run = RunKey("cli", "left")
    failed = {"status": "failed", "error_type": "SchemaDriftError", "error": "column 'id' is missing"}
    with connect(warehouse_url) as session:
        store.open_run(session, run, commit_sha=None, trigger_kind="cli")
        store.write_table_run(session, TableRun.model_validate({**run._asdict(), "table_name": "city", **failed}))
    with connect(warehouse_url) as session:
        assert close_left_behind(session) == [run]
    assert query(TABLES) == [tuple(failed.values())]
    assert query(RUNS) == [("cli", "failed", f"{KILLED}nothing was changed", True)]
