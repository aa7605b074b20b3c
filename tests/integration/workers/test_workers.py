"""Tables on several workers: who loads what, who comes and goes, and what a lost worker leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from dev import workers
from dev.workers import Worker
from tests.integration.deployment import DAG_ID, ROWS, Deployment, name_of
from tests.integration.workers.conftest import FLEET, GREEDY, HEAVY, SLOW

ALL = [name_of(number) for number in range(1, 9)]
LIGHT = [name for name in ALL if name != HEAVY]
LOADING = "SELECT count(*) FROM task_instance WHERE run_id = %s AND state = 'running' AND hostname = %s"


def listed(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """What `sluiceway workers` says, by worker."""
    command = [str(Path(sys.executable).parent / "sluiceway"), "workers", "--json"]
    env = dict(deployment.stack.env)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    return {each["name"]: each for each in json.loads(done.stdout)}


def slow_down(deployment: Deployment, seconds: float) -> None:
    for name in ALL:
        path = deployment.config / "transforms" / f"{name}.py"
        path.write_text(SLOW.format(seconds=seconds), encoding="utf-8")


def busy(deployment: Deployment, run_id: str, worker: str) -> bool | None:
    """Whether the worker has a table of the run; None: not yet."""
    found = deployment.metadata(f"{LOADING} AND task_id LIKE 'sub.load_table%%'", run_id, worker)
    return True if found[0]["count"] else None


def pid_of(deployment: Deployment, worker: str) -> int:
    """Of the worker's main process."""
    return int(json.loads(deployment.stack.layout.pids.read_text(encoding="utf-8"))[worker])


def assert_each_row_stands_once(deployment: Deployment, tables: list[str]) -> None:
    for name in tables:
        assert deployment.query(f"SELECT count(*), count(DISTINCT id) FROM {name}") == [(ROWS, ROWS)]
        assert deployment.query(f"SELECT count(*) FROM etl.reject WHERE table_name = '{name}'") == [(0,)]


def test_tables_spread_over_the_workers_and_a_queues_tables_go_to_its_own(deployment: Deployment) -> None:
    slow_down(deployment, 1)
    run_id = deployment.run(tables=ALL, force=True)
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status) == ("success", "success"), run.note
    assert {tables[name].worker for name in LIGHT} == {"worker-1", "worker-2", "worker-3"}
    assert tables[HEAVY].worker == "worker-heavy"
    tasks = deployment.tasks(run_id)
    assert tasks[f"sub.load_table_heavy[{HEAVY}]"]["queue"] == "heavy"
    assert tasks["sub.load_table[t01]"]["queue"] == "default"


def test_workers_are_listed_with_what_they_run(deployment: Deployment) -> None:
    with psycopg.connect(deployment.stack.warehouse_url) as blocker:
        # so long the load goes on
        blocker.execute(f"LOCK TABLE {HEAVY} IN ACCESS EXCLUSIVE MODE".encode())
        run_id = deployment.trigger(tables=[HEAVY], force=True)
        deployment.until(lambda: busy(deployment, run_id, "worker-heavy"), said=lambda: deployment.shown(run_id))
        found = listed(deployment)
        blocker.rollback()
    assert {name: (each["queues"], each["slots"]) for name, each in found.items()} == {
        **{f"worker-{number}": (["default"], 1) for number in (1, 2, 3)},
        "worker-heavy": (["heavy"], 1),
    }
    assert all(each["answers"] and each["heartbeat_age_s"] < 10 for each in found.values())
    (task,) = found["worker-heavy"]["tasks"]
    assert task == {"dag_id": DAG_ID, "run_id": run_id, "task_id": "sub.load_table_heavy", "map_index": 0}
    assert deployment.wait(run_id) == "success"


def test_a_run_without_a_table_of_a_queue_is_green_and_so_is_one_with_that_table_alone(deployment: Deployment) -> None:
    for chosen, skipped in ((["t01"], "sub.load_table_heavy"), ([HEAVY], "sub.load_table")):
        run_id = deployment.run(tables=chosen, force=True)
        run, tables = deployment.ledger(run_id)
        assert (deployment.state(run_id), run.status, list(tables)) == ("success", "success", chosen), run.note
        tasks = deployment.tasks(run_id)
        assert (tasks[skipped]["state"], tasks["final.aggregate"]["state"]) == ("skipped", "success")


def test_a_queue_without_a_worker_keeps_its_tables_waiting_and_a_plan_that_is_cleared_is_judged_again(
    deployment: Deployment,
) -> None:
    workers.change(lambda fleet: workers.without(fleet, "worker-heavy"), deployment.stack)
    run_id = deployment.trigger(tables=["t01", HEAVY], force=True)
    waits = (
        "SELECT count(*) FROM task_instance WHERE run_id = %s AND (task_id, state) IN "
        "(('sub.load_table_heavy', 'queued'), ('sub.load_table', 'success'))"
    )
    deployment.until(
        lambda: True if deployment.metadata(waits, run_id)[0]["count"] == 2 else None,
        said=lambda: deployment.shown(run_id),
    )
    workers.change(lambda _: FLEET, deployment.stack)
    assert deployment.wait(run_id) == "success"
    for downstream, tries in ((False, 1), (True, 2)):
        deployment.clear(run_id, "plan_heavy", downstream=downstream)
        deployment.until(lambda: True if deployment.ledger(run_id)[0].status == "running" else None)
        assert deployment.wait(run_id) == "success"
        run, tables = deployment.ledger(run_id)
        assert (run.status, tables[HEAVY].try_number, sorted(tables)) == ("success", tries, ["t01", HEAVY]), run.note
    assert_each_row_stands_once(deployment, ["t01", HEAVY])


def test_a_worker_that_joins_gets_work_and_one_that_is_drained_ends_its_task_and_takes_no_more(
    deployment: Deployment,
) -> None:
    slow_down(deployment, 5)
    run_id = deployment.trigger(tables=LIGHT, force=True)
    deployment.until(lambda: busy(deployment, run_id, "worker-2"), said=lambda: deployment.shown(run_id))
    drained_at = time.time()
    workers.change(lambda fleet: [*workers.without(fleet, "worker-2"), Worker("worker-4", 1)], deployment.stack)
    assert deployment.wait(run_id) == "success"
    loads = [task for name, task in deployment.tasks(run_id).items() if name.startswith("sub.load_table[")]
    assert {task["hostname"] for task in loads} == {"worker-1", "worker-2", "worker-3", "worker-4"}
    assert {task["try_number"] for task in loads} == {1}, "a task of a worker that is drained is not cut off"
    begun = [
        load["started_at"]
        for load in deployment.metadata(
            "SELECT extract(epoch FROM start_date)::float8 AS started_at FROM task_instance "
            "WHERE run_id = %s AND hostname = 'worker-2' ORDER BY start_date",
            run_id,
        )
    ]
    assert begun[-1] < drained_at + 1
    assert_each_row_stands_once(deployment, LIGHT)
    assert "worker-2" not in listed(deployment)


def test_a_worker_that_is_killed_delays_the_run_and_loses_nothing(deployment: Deployment) -> None:
    slow_down(deployment, 2)
    run_id = deployment.trigger(tables=LIGHT, force=True)
    deployment.until(lambda: busy(deployment, run_id, "worker-3"), said=lambda: deployment.shown(run_id))
    os.kill(pid_of(deployment, "worker-3"), signal.SIGKILL)
    assert deployment.wait(run_id) == "success"
    run, tables = deployment.ledger(run_id)
    assert run.status == "success", run.note
    assert sorted(tables) == LIGHT
    again = [task for task in deployment.tasks(run_id).values() if task["try_number"] > 1]
    assert len(again) == 1, "what the killed one had was begun again, and nothing else"
    assert_each_row_stands_once(deployment, LIGHT)
    left = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert deployment.query(left) == [(0,)]
    deployment.until(lambda: True if "worker-3" in listed(deployment) else None)


def test_a_load_that_needs_more_memory_than_its_limit_ends_alone_and_once(deployment: Deployment) -> None:
    slow_down(deployment, 0)
    run_id = deployment.run(tables=["t01", "t02", GREEDY], force=True)
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status) == ("failed", "failed")
    assert [tables[name].status for name in ("t01", "t02", GREEDY)] == ["loaded", "loaded", "failed"]
    assert tables[GREEDY].try_number == 1
    assert (tables[GREEDY].peak_rss_bytes or 0) > 512 << 20
    note = run.note or ""
    assert f"{GREEDY} (MemoryLimitError: Out of memory: the load had " in note
    assert "its limit is 512 MiB" in note
    assert "Set `memory` in the table's file" in note
    assert {each["name"] for each in listed(deployment).values()} == {worker.name for worker in FLEET}
