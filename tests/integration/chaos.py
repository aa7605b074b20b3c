"""Kill, cut and fill everything that a run on Celery stands on, at random moments: is every row where it should be?

    python -m tests.integration.chaos --times 3 --seed 7 [--only worker redis ...]

Twenty real tables on three workers. After each blow: the tables hold what a clean run left, no row and no reject is
there twice, the ledger is closed, the run is green or its verdict says why not, and no session, lock or process is
left. How long it took until what was hit ran again is measured with the settings that every deployment has.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from dev.network import HOST, NET, WAREHOUSE, Network, network
from dev.stack import Stack
from dev.workers import SLOTS, Worker, several
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.settings import Settings
from sluiceway.tables import registry
from tests.conftest import let_through
from tests.integration.deployment import DAG_ID, Deployment

RESULT = ROOT / "bench" / "results" / "chaos.json"
WORKERS = 3
LONGEST_S = 600
"""After which a run hangs."""
WITHIN_S = 12.0
"""A blow falls so long after the first load began, at most."""
SETTLED_S = 20
LIMITS_S = {"task": 60, "worker": 130, "taken": 170, "scheduler": 60}
"""The median time until what was hit runs again."""
DURABLE = {"synchronous_commit": "on"}
"""The local stack may lose the last half second of a server that crashes; here it crashes on purpose."""
TAKER = "worker-1"
GOING_ON = """
    SELECT task_id, map_index, try_number, state FROM task_instance
    WHERE run_id = %s AND state IN ('running', 'queued', 'scheduled', 'up_for_retry')
"""
OFTEN = 50
WAITING = "SELECT count(*) FROM dag_run WHERE run_id LIKE %s AND state IN ('queued', 'running')"
AT_ONCE = f"""
    SELECT 'runs', count(*) FROM dag_run WHERE dag_id = '{DAG_ID}' AND state = 'running'
    UNION ALL SELECT 'tasks', count(*) FROM task_instance WHERE state = 'running'
    UNION ALL SELECT pool, sum(pool_slots) FROM task_instance WHERE state = 'running' GROUP BY 1
"""
RUNNING = """
    SELECT task_id, map_index, try_number, state, hostname, pid, start_date FROM task_instance
    WHERE run_id = %s AND state IN ('running', 'queued') AND task_id LIKE 'sub.load_table%%'
"""
JOB = (
    "SELECT 1 FROM job WHERE job_type = %s AND state = 'running' AND start_date > %s AND latest_heartbeat > start_date"
)
LEFT = """
    SELECT application_name, state, query FROM pg_stat_activity
    WHERE usename = 'sluiceway_loader' AND pid <> pg_backend_pid() AND application_name <> 'chaos'
"""


class WrongError(AssertionError):
    """After a blow something is not as it must be."""


@dataclass
class Hit:
    """What a blow hit, and how one sees that it works again."""

    what: str
    works_again: Callable[[], bool]
    repair: Callable[[], None] | None = None
    """What ends the blow, where the run may have ended before."""


@dataclass
class Chaos:
    """The stack under blows."""

    deployment: Deployment
    warehouse: Cluster
    network: Network
    random: random.Random
    run_id: str = ""
    clean: dict[str, tuple[int, str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        return self.deployment.stack

    def metadata(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """By a connection of its own: the server may have been restarted."""
        url = self.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
        with psycopg.connect(url, autocommit=True, row_factory=dict_row, connect_timeout=5) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def query(self, statement: str | sql.Composed, *parameters: object) -> list[tuple[Any, ...]]:
        """Of the warehouse."""
        text = statement.encode() if isinstance(statement, str) else statement
        url = self.stack.warehouse_url
        with psycopg.connect(url, autocommit=True, application_name="chaos", connect_timeout=5) as connection:
            cursor = connection.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def contents(self) -> dict[str, tuple[int, str]]:
        """Rows of each table, and a hash of all that they hold but for who wrote them."""
        found = {}
        for name in registry.deployed(Settings(groups="quickstart")):
            statement = sql.SQL(
                "SELECT count(*), sum(hashtextextended((to_jsonb(t) - 'etl_run_id')::text, 0)::numeric)::text FROM {} t"
            ).format(sql.Identifier(name))
            count, content = self.query(statement)[0]
            found[name] = (count, content)
        return found

    def begin(self) -> None:
        self.run_id = f"chaos__{uuid4().hex[:8]}"
        self.deployment.api.trigger(DAG_ID, self.run_id, {"force": True})

    def loads(self, *, state: str = "running", on: str | None = None) -> list[dict[str, Any]]:
        """Loads of the run in that state."""
        found = self.metadata(RUNNING, self.run_id)
        return [each for each in found if each["state"] == state and on in (None, each["hostname"])]

    def await_loads(self) -> list[dict[str, Any]]:
        """Those that go on at a random moment of the run."""
        while True:
            self.until(lambda: bool(self.loads()) or self.has_ended(), "a load")
            time.sleep(self.random.uniform(0, WITHIN_S))
            if found := self.loads():
                return found
            if self.has_ended():
                self.begin()  # the moment came after the last load: another run has one, too

    def await_end(self) -> str:
        """The run's state in Airflow."""
        states: list[str] = []

        def ended() -> bool:
            try:
                found = self.metadata("SELECT state FROM dag_run WHERE run_id = %s", self.run_id)
            except psycopg.OperationalError:
                return False  # it is being restarted
            states.append(found[0]["state"])
            return states[-1] in {"success", "failed"}

        self.until(ended, "the end of the run", LONGEST_S)
        return states[-1]

    def until(self, condition: Callable[[], bool], what: str, within_s: float = 180) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                raise WrongError(f"{what} was awaited for {within_s:.0f} s in vain")
            time.sleep(0.25)

    def works_again(self, loads: list[dict[str, Any]]) -> Callable[[], bool]:
        """Whether each of these loads has ended well, or has begun again."""
        before = {(each["task_id"], each["map_index"]): each["try_number"] for each in loads}

        def look() -> bool:
            found = self.metadata(
                "SELECT task_id, map_index, try_number, state FROM task_instance WHERE run_id = %s", self.run_id
            )
            now = {(each["task_id"], each["map_index"]): each for each in found}
            return all(
                now[key]["state"] == "success" or (now[key]["try_number"] > number and now[key]["state"] == "running")
                for key, number in before.items()
            )

        return look

    def job_again(self, kind: str) -> Callable[[], bool]:
        since = self.metadata("SELECT clock_timestamp() AS at")[0]["at"]
        return lambda: bool(self.metadata(JOB, kind, since))

    def processes(self, title: str) -> list[psutil.Process]:
        """Of this stack, by a part of their command lines."""
        below = psutil.Process(self.stack.supervisor).children(recursive=True)
        return [each for each in below if title in _command_line(each)]

    def worker(self, name: str) -> psutil.Process:
        (found,) = self.processes(f"celery@{name}:MainProcess")
        return found

    @staticmethod
    def later(seconds: float, mend: Callable[..., object], *arguments: object) -> Callable[[], None]:
        """End a blow after a while; what waits for that."""
        timer = threading.Timer(seconds, mend, arguments)
        timer.start()
        return timer.join

    def has_ended(self) -> bool:
        found = self.metadata("SELECT state FROM dag_run WHERE run_id = %s", self.run_id)
        return found[0]["state"] in {"success", "failed"}

    def pid_of_component(self, name: str) -> int:
        """By the events that the stack's supervisor has heard: components have their parent's command line."""
        return int(json.loads(self.stack.layout.pids.read_text(encoding="utf-8"))[name])

    def busy_worker(self, loads: list[dict[str, Any]]) -> str:
        return str(self.random.choice(loads)["hostname"])


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def kill_worker(chaos: Chaos) -> Hit:
    """All of one machine at once, as where its power fails: the stack ends what its main process leaves."""
    name = chaos.busy_worker(chaos.await_loads())
    hit = chaos.loads(on=name)
    chaos.worker(name).kill()
    return Hit(name, chaos.works_again(hit))


def kill_supervisor(chaos: Chaos) -> Hit:
    """The process of the worker that watches over a task: the task's own ends with it."""
    load = chaos.random.choice(chaos.await_loads())
    task = psutil.Process(load["pid"])
    supervisor = task.parent()
    assert supervisor is not None
    supervisor.kill()
    return Hit(f"of {load['task_id']}[{load['map_index']}]", chaos.works_again([load]))


def kill_task(chaos: Chaos) -> Hit:
    load = chaos.random.choice(chaos.await_loads())
    psutil.Process(load["pid"]).kill()
    return Hit(f"{load['task_id']}[{load['map_index']}]", chaos.works_again([load]))


def take_and_kill(chaos: Chaos) -> Hit:
    """A worker that has taken tasks and not begun them: what would begin them was stopped before."""
    taken: list[dict[str, Any]] = []

    def has_taken() -> bool:
        found = chaos.metadata(GOING_ON, chaos.run_id)
        # the others have ended all that they could
        taken[:] = [each for each in found if each["state"] == "queued"]
        return bool(taken) and len(taken) == len(found)

    for _ in range(3):
        chaos.until(has_taken, "a task that is taken and not begun", 300)
        time.sleep(1)
    chaos.worker(TAKER).kill()
    return Hit(f"{TAKER} with {len(taken)}", chaos.works_again(taken))


def stop_pool(chaos: Chaos) -> None:
    # a process of the pool has the title of the task that it did last
    for process in chaos.worker(TAKER).children():
        process.suspend()


def drain_worker(chaos: Chaos) -> Hit:
    """SIGTERM to the main process, as Kubernetes sends it to a pod."""
    name = chaos.busy_worker(chaos.await_loads())
    hit = chaos.loads(on=name)
    chaos.worker(name).terminate()
    return Hit(name, chaos.works_again(hit))


def kill_component(name: str, job: str) -> Callable[[Chaos], Hit]:
    def kill(chaos: Chaos) -> Hit:
        chaos.await_loads()
        again = chaos.job_again(job)
        os.kill(chaos.pid_of_component(name), signal.SIGKILL)
        return Hit(name, again)

    return kill


def kill_api_server(chaos: Chaos) -> Hit:
    loads = chaos.await_loads()
    (found,) = [each for each in chaos.processes("airflow api_server") if "worker" not in _command_line(each)][:1]
    found.kill()
    return Hit("api-server", chaos.works_again(loads))


def restart_warehouse(chaos: Chaos) -> Hit:
    """An immediate shutdown, as of a server that crashes; it is back within seconds."""
    loads = chaos.await_loads()
    assert chaos.warehouse.pid
    os.kill(chaos.warehouse.pid, signal.SIGQUIT)
    chaos.until(lambda: chaos.warehouse.running() is None, "the end of the warehouse")
    chaos.warehouse.start()
    return Hit("warehouse", chaos.works_again(loads))


def restart_metadata(chaos: Chaos) -> Hit:
    """The stack starts it again, and the scheduler, which ends without it."""
    loads = chaos.await_loads()
    pid = int((chaos.stack.layout.state / "pg" / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    return Hit("metadata", _patiently(chaos.works_again(loads)))


def kill_redis(chaos: Chaos) -> Hit:
    loads = chaos.await_loads()
    (found,) = chaos.processes("redis-server")
    found.kill()
    return Hit("redis", chaos.works_again(loads))


def fill_disk(chaos: Chaos) -> Hit:
    """Of one worker's temporary folder, for 20 s."""
    name = chaos.busy_worker(chaos.await_loads())
    folder = chaos.stack.layout.temporary / name
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    (folder / "full").write_bytes(b"x" * ((1 << 20) - 4096))
    mend = chaos.later(20, subprocess.run, ["umount", "--lazy", folder])
    return Hit(name, chaos.works_again(chaos.loads(on=name)), mend)


def _patiently(look: Callable[[], bool]) -> Callable[[], bool]:
    """Where the server that is asked is the one that was hit."""

    def patient() -> bool:
        try:
            return look()
        except psycopg.OperationalError:
            return False

    return patient


BLOWS: Mapping[str, Callable[[Chaos], Hit]] = {
    "worker": kill_worker,
    "supervisor": kill_supervisor,
    "task": kill_task,
    "taken": take_and_kill,
    "sigterm": drain_worker,
    "scheduler": kill_component("scheduler", "SchedulerJob"),
    "triggerer": kill_component("triggerer", "TriggererJob"),
    "dag-processor": kill_component("dag-processor", "DagProcessorJob"),
    "api-server": kill_api_server,
    "warehouse": restart_warehouse,
    "metadata": restart_metadata,
    "redis": kill_redis,
    "disk": fill_disk,
}


BEFORE: Mapping[str, Callable[[Chaos], None]] = {"taken": stop_pool}
"""What is done before the run begins."""


def blow(chaos: Chaos, kind: str) -> dict[str, Any]:
    """One run, one blow, and what must be true after it.

    :raises WrongError: it is not.
    """
    if kind in BEFORE:
        BEFORE[kind](chaos)
    chaos.begin()
    hit = BLOWS[kind](chaos)
    at = time.monotonic()
    again: float | None = None
    deadline = at + LONGEST_S
    while again is None and time.monotonic() < deadline:
        if hit.works_again():
            again = time.monotonic() - at
        elif _patiently(lambda: chaos.has_ended())():
            break
        time.sleep(0.25)
    state = chaos.await_end()
    took = time.monotonic() - at
    if hit.repair:
        hit.repair()
    note = check(chaos, state)
    return {"kind": kind, "hit": hit.what, "again_s": again, "ended_s": took, "state": state, "note": note}


def check(chaos: Chaos, state: str) -> str:
    """That all is as it must be after a run; its verdict.

    :raises WrongError: it is not.
    """
    chaos.until(lambda: not chaos.query(LEFT), f"the end of sessions {chaos.query(LEFT)}", SETTLED_S)
    rows = chaos.query("SELECT status, note FROM etl.run WHERE run_id = %s", chaos.run_id)
    if not rows or rows[0][0] not in {"success", "failed"}:
        raise WrongError(f"the ledger is not closed: {rows}")
    status, note = rows[0]
    if status != state:
        raise WrongError(f"Airflow says {state} and the ledger {status}: {note}")
    if not note:
        raise WrongError("the verdict says nothing")
    contents = chaos.contents()
    if wrong := {name: (contents[name], chaos.clean[name]) for name in contents if contents[name] != chaos.clean[name]}:
        raise WrongError(f"tables are not as a clean run leaves them: {wrong}")
    twice = chaos.query(
        "SELECT t.table_name, t.try_number, t.rejected, count(r.*) FROM etl.table_run t LEFT JOIN etl.reject r USING "
        "(dag_id, run_id, table_name, try_number) WHERE t.run_id = %s AND t.status = 'loaded' "
        "GROUP BY 1, 2, 3 HAVING t.rejected <> count(r.*)",
        chaos.run_id,
    )
    if twice:
        raise WrongError(f"rejects are not as counted: {twice}")
    locks = chaos.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    if locks != [(0,)]:
        raise WrongError(f"locks are left: {locks}")
    return str(note)


def cut_off(chaos: Chaos) -> Hit:
    """One worker from everything, for 30 s."""
    name = chaos.busy_worker(chaos.await_loads())
    hit = chaos.loads(on=name)
    chaos.network.cut(name)
    return Hit(name, chaos.works_again(hit), chaos.later(30, chaos.network.mend, name))


def cut_from_warehouse(chaos: Chaos) -> Hit:
    """One worker from the warehouse alone, for 30 s."""
    name = chaos.busy_worker(chaos.await_loads())
    hit = chaos.loads(on=name)
    chaos.network.cut_from_warehouse(name)
    return Hit(name, chaos.works_again(hit), chaos.later(30, chaos.network.mend_to_warehouse, name))


def trigger_often(chaos: Chaos) -> Hit:
    """Fifty runs at once; by Airflow's database never more goes on than is declared."""
    often = [f"{chaos.run_id}__{number}" for number in range(OFTEN)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda run: chaos.deployment.api.trigger(DAG_ID, run, {"tables": ["airline"]}), often))
    pools = {each["pool"]: each["slots"] for each in chaos.metadata("SELECT pool, slots FROM slot_pool")}
    most: dict[str, int] = {}
    url = chaos.stack.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(WAITING, [f"{chaos.run_id}%"]).fetchone() != (0,):
            for name, count in connection.execute(AT_ONCE).fetchall():
                most[name] = max(most.get(name, 0), count)
            time.sleep(0.05)
    limits = {"runs": 1, "tasks": WORKERS * SLOTS, **pools}
    if over := {name: count for name, count in most.items() if count > limits[name]}:
        raise WrongError(f"more at once than declared: {over} of {limits}")
    red = chaos.metadata("SELECT run_id FROM dag_run WHERE run_id LIKE %s AND state <> 'success'", f"{chaos.run_id}%")
    if red:
        raise WrongError(f"red: {red}")
    return Hit(f"at most {most} at once", lambda: True)


BLOWS = {**BLOWS, "cut-off": cut_off, "cut-from-warehouse": cut_from_warehouse, "triggers": trigger_often}


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[Deployment, Cluster, Network]]:
    """The stack on Celery, with the demo's tables, and a warehouse that is a server of its own."""
    let_through(folder)
    fleet = [replace(worker, namespace=worker.name) for worker in several(WORKERS)]
    with network([worker.name for worker in fleet]) as lines:
        yield from _deployed(folder, fleet, lines)


def _deployed(folder: Path, fleet: list[Worker], lines: Network) -> Iterator[tuple[Deployment, Cluster, Network]]:
    settings = {**DURABLE, "listen_addresses": f"127.0.0.1,{WAREHOUSE}"}
    credentials = Credentials(folder / "secrets")
    warehouse = Cluster(folder / "warehouse", credentials, settings=settings, networks=[f"{NET}.0/24"])
    warehouse.start()
    # a worker's own 127.0.0.1 is another
    here = f"127.0.0.1:{warehouse.port}"
    addresses = ((here, f"{WAREHOUSE}:{warehouse.port}"), ("127.0.0.1", HOST))
    fleet = [replace(worker, addresses=addresses) for worker in fleet]
    roles = {"WAREHOUSE": "sluiceway_loader", "OWNER": "sluiceway_owner", "JOBS": "sluiceway_jobs"}
    os.environ |= {f"SLUICEWAY_{name}_URL": warehouse.url(role, "warehouse") for name, role in roles.items()}
    os.environ["SLUICEWAY_GROUPS"] = "quickstart"
    try:
        with (
            Stack.running(folder / "stack", postgres=DURABLE, workers=fleet, address=HOST) as stack,
            AirflowApi(stack.url, stack.username, stack.password) as api,
            closing(Deployment(stack, api, ROOT / "include" / "config")) as deployment,
        ):
            yield deployment, warehouse, lines
    finally:
        warehouse.stop()


def written(seed: int, done: list[dict[str, Any]], wrong: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of the blows until now, as RESULT has it."""
    times = {
        kind: [each["again_s"] for each in done if each["kind"] == kind and each["again_s"] is not None]
        for kind in BLOWS
    }
    recovery = {
        kind: {"median_s": statistics.median(found), "worst_s": max(found), "times": len(found)}
        for kind, found in times.items()
        if found
    }
    late = [kind for kind, limit in LIMITS_S.items() if kind in recovery and recovery[kind]["median_s"] > limit]
    result = {"seed": seed, "recovery": recovery, "late": late, "wrong": wrong, "blows": done}
    RESULT.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="blows of each kind")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="*", choices=BLOWS, default=list(BLOWS), metavar="KIND")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.stderr.write("make chaos cuts workers off from the network, which root alone may: sudo make chaos\n")
        return 2
    sys.stdout.write(f"seed {arguments.seed}\n")
    kinds = [kind for kind in arguments.only for _ in range(arguments.times)]
    chance = random.Random(arguments.seed)
    chance.shuffle(kinds)
    done, wrong = [], []
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", dir=ROOT / ".local" / "tmp") as place,
        deployed(Path(place)) as (deployment, warehouse, lines),
    ):
        chaos = Chaos(deployment, warehouse, lines, chance)
        chaos.begin()
        if (state := chaos.await_end()) != "success":
            raise WrongError(f"the first run, which nothing hit, is {state}")
        chaos.clean = chaos.contents()
        for number, kind in enumerate(kinds, start=1):
            try:
                done.append(blow(chaos, kind))
                told = f"{done[-1]}"
            except WrongError as error:
                wrong.append({"kind": kind, "run_id": chaos.run_id, "wrong": str(error)})
                told = f"WRONG {error}"
            sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {number}/{len(kinds)} {kind}: {told}\n")
            sys.stdout.flush()
            written(arguments.seed, done, wrong)  # hours may go by until the last one
    result = written(arguments.seed, done, wrong)
    for kind, found in result["recovery"].items():
        sys.stdout.write(f"{kind:<14} median {found['median_s']:6.1f} s   worst {found['worst_s']:6.1f} s\n")
    sys.stdout.write(f"{len(done)} blows as they should be, {len(wrong)} wrong, late: {result['late']}\n")
    return int(bool(wrong or result["late"]))


if __name__ == "__main__":
    sys.exit(main())
