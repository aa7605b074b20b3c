"""Random lives of runs on the real Airflow: clears, marks, retries and kills, and what must be true after each.

The oracle knows neither ledger nor verdict: a run is green if all its tasks ended well in Airflow, if each table holds
what its source held when its last load began, and if the view was made in this run and holds what the table holds.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from sluiceway.errors import AirflowApiError, AirflowUnreachableError
from tests.integration.deployment import ROWS, Deployment, csv_of, name_of
from tests.integration.waiting_load import waiting_load

FLOWS = ("life1", "life2", "life3", "life4")
DEADLINE_S = 240
GOOD = {"success", "removed"}
WORDS = {"Green": "success", "Red": "failed", "Running": "running"}
SETTLED_S = 1.5
"""A run that has ended and stays so for this long is not about to be changed by its own tasks."""


log = logging.getLogger(__name__)
FIRST_TABLE = 9
TABLES_EACH = 3


def tables_of(flow: str) -> list[str]:
    """Tables that master_etl has, too."""
    first = FIRST_TABLE + FLOWS.index(flow) * TABLES_EACH
    return [name_of(number) for number in range(first, first + TABLES_EACH)]


def view_of(flow: str) -> str:
    return f"{flow}_view"


def declare(config: Path) -> None:
    """The flows of the histories, each with three tables and a view over the first, that knows when it was made."""
    (config / "flows").mkdir(exist_ok=True)
    for flow in FLOWS:
        (config / "flows" / f"{flow}.toml").write_text(
            f'flow_type = "tables"\ndescription = "Lives {flow}"\ntables = {json.dumps(tables_of(flow))}\n'
            '[[triggers]]\nid = "manual"\ntype = "cli"\n',
            encoding="utf-8",
        )
        first = tables_of(flow)[0]
        (config / "sql" / f"{view_of(flow)}.sql").write_text(
            f"-- description: {flow}\n-- tables: {first}\nSELECT id, value, now() AS made_at FROM {first}\n",
            encoding="utf-8",
        )


@dataclass
class Life:
    """One run of a flow, what is done to it, and what must be true of it."""

    deployment: Deployment
    flow: str
    random: random.Random
    run_id: str = field(default_factory=lambda: f"life__{uuid4().hex[:8]}")
    sources: dict[str, str] = field(default_factory=dict)
    attempted: dict[str, str] = field(default_factory=dict)
    """What each table's source held when its newest try began."""
    tries: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    began: datetime | None = None

    def live(self, steps: int) -> None:
        """Begin, do `steps` random things, and check after each."""
        for table in tables_of(self.flow):
            self._edit(table, f"{uuid4().hex[:4]}v")
        if self.random.random() < 0.3:
            self._edit(self.random.choice(tables_of(self.flow)), "")
        self._begin()
        self.settle()
        self.check()
        for _ in range(steps):
            if self.random.random() < 0.5:
                table = self.random.choice(tables_of(self.flow))
                self._edit(table, self.random.choice(["", f"{uuid4().hex[:4]}v", f"{uuid4().hex[:4]}v"]))
            action = self.random.choice(self._actions())
            action()
            self.settle()
            self.check()

    def _begin(self) -> None:
        """Enqueue it, and perhaps act on it before it begins, or kill one of its loads."""
        (self.began,) = self.deployment.query("SELECT clock_timestamp()")[0]
        self.deployment.api.trigger(self.flow, self.run_id, {"force": True})
        self.told.append("trigger")
        chance = self.random.random()
        if chance < 0.25:
            self._mark_early()
        elif chance < 0.5:
            self._kill()

    def _mark_early(self) -> None:
        """The whole run, or a task of it that has most likely not begun."""
        if self.random.random() < 0.3:
            self._mark_run()
            return
        task = self.random.choice(["opened", "plan", "sub.load_table", "final.validate", "final.aggregate"])
        state = self.random.choice(["success", "failed"])
        downstream = self.random.random() < 0.3
        self.told.append(f"mark {task} {state} early{' with what comes after it' if downstream else ''}")
        path = f"dags/{self.flow}/dagRuns/{self.run_id}/taskInstances/{task}"
        try:
            self.deployment.api.patch(path, {"new_state": state, "include_downstream": downstream})
        except AirflowApiError as error:
            self.told.append(f"refused: {error}")

    def _delete(self) -> None:
        """Delete the run in Airflow, perhaps after a part of it was cleared, and give its id to another."""
        if self.random.random() < 0.5:
            self._clear("plan", downstream=True)
        self.told.append("delete")
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_deleted():
            # a run that goes on cannot be
            if time.monotonic() > deadline:
                raise AssertionError(self._story("it cannot be deleted"))
            time.sleep(0.3)
        self.tries.clear()
        self._begin()

    def _is_deleted(self) -> bool:
        try:
            self.deployment.api.delete(f"dags/{self.flow}/dagRuns/{self.run_id}")
        except AirflowApiError as error:
            # the scheduler works on the same rows: Airflow tells their deadlock as 500
            if error.status not in {httpx.codes.CONFLICT, httpx.codes.INTERNAL_SERVER_ERROR}:
                raise
            return False
        return True

    def _clear_and_mark(self) -> None:
        self._clear("plan", downstream=True)
        self._mark_early()

    def _actions(self) -> list[Callable[[], None]]:
        clear = [self._clear_load, self._clear_load, self._clear_some, self._clear_failed, self._clear_failed]
        early = [self._delete, self._clear_and_mark]
        return [
            *clear,
            *early,
            self._mark,
            self._mark_run,
            self._retry,
            self._clear_while_it_runs,
            self._clear_and_kill,
        ]

    def _edit(self, table: str, value: str) -> None:
        self.sources[table] = value
        self.deployment.source(table, csv_of(ROWS, value=value) if value else "id,value\n")
        self.told.append(f"{table} := {value or 'empty'}")

    def _clear(self, *tasks: str | tuple[str, int], **options: bool) -> None:
        self.told.append(f"clear {tasks} {options}")
        try:
            self.deployment.clear(self.run_id, *tasks, dag_id=self.flow, **options)
        except AirflowApiError as error:
            self.told.append(f"refused: {error}")

    def _clear_load(self) -> None:
        index = self.random.randrange(len(tables_of(self.flow)))
        self._clear(("sub.load_table", index), downstream=self.random.random() < 0.5)

    def _clear_some(self) -> None:
        tasks = ["deploy_gate", "plan", "pre.check_sources", "final.validate", "final.aggregate", "sub.cleanup_history"]
        self._clear(self.random.choice([*tasks, "opened", "verdict"]), downstream=self.random.random() < 0.5)

    def _clear_failed(self) -> None:
        self._clear(only_failed=True)

    def _clear_while_it_runs(self) -> None:
        self._clear("plan", downstream=True)
        time.sleep(self.random.uniform(0, 4))
        self._clear_load()

    def _clear_and_kill(self) -> None:
        self._clear("plan", downstream=True)
        self._kill()

    def _mark(self) -> None:
        task, index = self.random.choice(
            [
                ("final.aggregate", -1),
                ("final.validate", -1),
                ("pre.check_sources", -1),
                *(("sub.load_table", each) for each in range(len(tables_of(self.flow)))),
            ]
        )
        state = self.random.choice(["success", "failed"])
        self.told.append(f"mark {task}[{index}] {state}")
        try:
            self.deployment.mark(self.run_id, task, state, index, dag_id=self.flow)
        except AirflowApiError as error:
            self.told.append(f"refused: {error}")

    def _mark_run(self) -> None:
        state = self.random.choice(["success", "failed"])
        self.told.append(f"mark run {state}")
        self.deployment.api.patch(f"dags/{self.flow}/dagRuns/{self.run_id}", {"state": state})

    def _retry(self) -> None:
        self.told.append("retry")
        try:
            self.deployment.api.retry(self.flow, self.run_id)
        except AirflowApiError as error:
            self.told.append(f"refused: {error}")

    def _kill(self) -> None:
        """A process of one of its loads, in the middle of it."""
        table = self.random.choice(tables_of(self.flow))
        self.told.append(f"kill the load of {table}")
        with psycopg.connect(self.deployment.stack.warehouse_url) as blocker:
            if blocker.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                return
            blocker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                if (pid := waiting_load(self.deployment, table)) is not None:
                    os.kill(pid, signal.SIGKILL)
                    self.deployment.query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        f"AND application_name = 'sluiceway load {table}'"
                    )
                    break
                if self._run()["state"] not in {"queued", "running"}:
                    break
                time.sleep(0.1)
            blocker.rollback()

    def settle(self) -> None:
        """Wait until Airflow has ended the run and the ledger has said what it is."""
        deadline, since = time.monotonic() + DEADLINE_S, None
        while time.monotonic() < deadline:
            if self._run()["state"] in {"queued", "running"}:
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since > SETTLED_S:
                break
            time.sleep(0.3)
        else:
            raise AssertionError(self._story("the run has not ended"))
        for table, number in self._tries().items():
            if number > self.tries.get(table, 0):
                self.tries[table] = number
                self.attempted[table] = self.sources[table]

    def check(self) -> None:
        """Ledger, page and `runs show` say what is true; so does the state in Airflow, or the remark says why not."""
        expected, why = self.truth()
        self._compare_runs()
        shown, page = self._shown(), self._page()
        run, _ = self.deployment.ledger(self.run_id, self.flow)
        state = self._run()["state"]
        found = {"ledger": run.status, "runs show": shown["status"], "page": page}
        if set(found.values()) != {expected}:
            raise AssertionError(self._story(f"expected {expected} ({why}), found {found}: {run.note} {run.remark}"))
        if state != expected and f"Airflow shows the run as {state}" not in (run.remark or ""):
            raise AssertionError(self._story(f"Airflow says {state} and no remark says why: {run.note} {run.remark}"))
        self.told.append(f"= {expected}")

    def truth(self) -> tuple[str, str]:
        """By Airflow's tasks and the warehouse alone."""
        bad = {
            task["task_id"]: task["state"]
            for task in self.deployment.api.task_instances(self.flow, self.run_id)
            if task["task_id"] != "verdict" and task["state"] not in GOOD
        }
        if bad:
            return "failed", f"tasks {bad}"
        for table in tables_of(self.flow):
            if self._held(table) != self.attempted.get(table):
                return "failed", f"{table} holds {self._held(table)!r} and not {self.attempted.get(table)!r}"
        first, view = tables_of(self.flow)[0], view_of(self.flow)
        made = self.deployment.query(f"SELECT min(made_at), min(value) FROM {view}") if self._stands(view) else []
        if not made or self.began is None or made[0][0] < self.began:
            return "failed", f"{view} was not made in this run"
        if made[0][1] != f"{self._held(first)}1":
            return "failed", f"{view} holds {made[0][1]} and {first} {self._held(first)}"
        return "success", "all is as it should be"

    def _held(self, table: str) -> str | None:
        """What a table's source held when it was loaded."""
        if not self._stands(table):
            return None
        return str(self.deployment.query(f"SELECT value FROM {table} WHERE id = 1")[0][0]).removesuffix("1")

    def _stands(self, relation: str) -> bool:
        return bool(self.deployment.query(f"SELECT to_regclass('{relation}') IS NOT NULL")[0][0])

    def _run(self) -> dict[str, Any]:
        try:
            return self.deployment.api.run(self.flow, self.run_id)
        except AirflowUnreachableError:
            # the server may close a connection in the moment in which it is used again
            return self.deployment.api.run(self.flow, self.run_id)

    def _tries(self) -> dict[str, int]:
        """How often each table's load was begun: a row each, for another plan may give it another task's numbers."""
        found = self.deployment.query(
            f"SELECT table_name, count(*) FROM etl.task_run WHERE run_id = '{self.run_id}' "
            f"AND dag_id = '{self.flow}' AND table_name IS NOT NULL GROUP BY 1"
        )
        return {str(table): int(number) for table, number in found}

    def _compare_runs(self) -> None:
        """Have run_watch look now: by itself it does so within a minute."""
        run_id = f"now__{uuid4().hex[:8]}"
        self.deployment.api.trigger("run_watch", run_id, {})
        deadline = time.monotonic() + DEADLINE_S
        while self.deployment.api.run("run_watch", run_id)["state"] not in {"success", "failed"}:
            if time.monotonic() > deadline:
                raise AssertionError(self._story("run_watch does not end"))
            time.sleep(0.3)

    def _shown(self) -> dict[str, Any]:
        command = [str(Path(sys.executable).parent / "sluiceway"), "runs", "show", self.run_id, "--dag", self.flow]
        env = dict(self.deployment.stack.env)
        done = subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, check=False, timeout=60)
        if not done.stdout.strip():
            raise AssertionError(self._story(f"runs show says nothing: {done.stderr}"))
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def _page(self) -> str:
        stack = self.deployment.stack
        answer = httpx.get(
            f"{stack.url}/sluiceway/runs/{self.flow}/{self.run_id}",
            headers={"Authorization": f"Bearer {stack.token()}"},
            timeout=30,
        )
        found = re.search(r"<h1>(\w+)", answer.text)
        return WORDS.get(found[1], found[1]) if found else f"{answer.status_code} {answer.text[:200]}"

    def _story(self, end: str) -> str:
        return f"{self.flow}/{self.run_id}: {'; '.join(self.told)}; {end}"


def live(deployment: Deployment, *, lives: int, seed: int, steps: int = 3) -> list[str]:
    """Live that many, four flows at once; the story of each that was not told right.

    :param seed: the same one makes the same choices.
    """
    wrong: list[str] = []
    numbers = iter(range(lives))
    lock = threading.Lock()

    def work(flow: str) -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            life = Life(deployment.twin(), flow, random.Random(f"{seed}/{number}"))
            try:
                life.live(steps)
                log.info("life %d: %s", number, "; ".join(life.told))
            except AssertionError as error:
                log.exception("life %d", number)
                wrong.append(f"life {number} of seed {seed}: {error}")
            finally:
                life.deployment.restore()
                life.deployment.close()

    with ThreadPoolExecutor(len(FLOWS)) as pool:
        # what ends one for another reason than a story is raised here
        list(pool.map(work, FLOWS))
    return wrong
