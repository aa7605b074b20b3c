"""The process that holds a stack together: starts PostgreSQL and Airflow, waits for their health, stops them in order.

It runs below `dev.guard`, so nothing survives it. Its standard input is its lifeline: first the order (JSON); when
the pipe closes, whoever wanted the stack is gone, and it stops, unless a line `detach` came first (`make up`).
"""

import fcntl
import json
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import psutil
import psycopg

from dev import environment, guard, workers
from dev.airflow_processes import AirflowProcesses
from dev.cluster import Cluster, free_port
from dev.components import COMMANDS
from dev.credentials import write_private
from dev.environment import ROOT, Layout, Ports
from dev.errors import StackError, StackStartError
from dev.redis import Redis
from dev.workers import Worker

log = logging.getLogger(__name__)

START_SECONDS = 180
PARSE_SECONDS = 30
# the triggerer alone may take 10 s when it is only asked
STOP_SECONDS = (1.0, 0.5)
POLL_SECONDS = 0.1
# whatever ends, speaks or is asked wakes the supervisor before
WATCH_SECONDS = 10
# the names the health endpoint uses, and where it says when it last heard of each
HEARTBEATS = {
    "scheduler": "latest_scheduler_heartbeat",
    "triggerer": "latest_triggerer_heartbeat",
    "dag_processor": "latest_dag_processor_heartbeat",
}


class StopRequestedError(StackError):
    """Somebody asked the stack to stop, or nobody wants it any more."""


class PortTakenError(StackError):
    """Another process took the API server's port between the look and the start."""


@dataclass
class Supervisor:
    """One run of one stack."""

    layout: Layout
    extra: Mapping[str, str]
    postgres: Mapping[str, str]
    workers: Sequence[Worker] | None = None
    """On Celery, these at first; None: on the LocalExecutor."""
    restarts: bool = False
    """Whether what ends by itself is started again, as every deployment does."""
    address: str | None = None
    """On which its servers listen beside 127.0.0.1, for workers with a network of their own."""
    stack_id: str = field(default_factory=lambda: os.environ[guard.MARKER])
    guard: psutil.Process = field(default_factory=lambda: psutil.Process(os.getppid()))
    stop_signal: int | None = None
    workers_changed: bool = False
    woken: int = -1
    """Readable after a signal."""
    detached: bool = False
    cluster: Cluster = field(init=False)
    redis: Redis | None = None
    airflow: AirflowProcesses | None = None
    migration: subprocess.Popen[bytes] | None = None
    """Of the ledger; whether it failed is asked of it, so nobody else may reap it."""
    variables: dict[str, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        marker = {guard.MARKER: self.stack_id}
        warehouse = not os.environ.get("SLUICEWAY_WAREHOUSE_URL")
        place, credentials = self.layout.state / "pg", self.layout.credentials
        also = (self.address,) if self.address else ()
        networks = [f"{each.rpartition('.')[0]}.0/24" for each in also]
        listening = {"listen_addresses": ",".join(("127.0.0.1", *also))}
        settings = {**listening, **self.postgres}
        self.cluster = Cluster(place, credentials, warehouse, environment=marker, settings=settings, networks=networks)
        if self.workers is not None:
            self.redis = Redis(self.layout.state / "redis", credentials, also=also, environment=marker)

    def run(self) -> int:
        self.woken, wake = os.pipe2(os.O_NONBLOCK)
        signal.set_wakeup_fd(wake)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)
        signal.signal(signal.SIGUSR1, self._on_change)
        # of no effect but to wake: without a handler nothing is written for it
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        try:
            self._record("starting")
            self._start()
            self._record("ready")
            log.info("Ready after %.1f s", time.monotonic() - self.began)
            while True:
                self._pause(WATCH_SECONDS)
        except StopRequestedError as reason:
            log.info("Stopping: %s", reason)
            outcome, error = "stopped", None
        except (StackError, OSError, psycopg.Error, subprocess.SubprocessError) as reason:
            log.exception("Failed")
            outcome, error = "failed", f"{reason}"
        finally:
            self._stop()
        self._record(outcome, error=error)
        return int(outcome == "failed")

    def _on_signal(self, signum: int, _frame: object) -> None:
        self.stop_signal = signum

    def _on_change(self, _signum: int, _frame: object) -> None:
        self.workers_changed = True

    def _start(self) -> None:
        self.layout.make()
        self.cluster.start()
        if self.redis:
            self.redis.start()
        log.info("PostgreSQL is up after %.1f s", time.monotonic() - self.began)
        self.migration = self._start_ledger_migration()
        for attempt in range(3):
            try:
                self._start_airflow()
                self._wait_until_healthy()
                break
            except PortTakenError:
                log.warning("Port of attempt %d was taken, trying another", attempt + 1)
                self._stop_airflow()
        else:
            raise StackStartError("three free ports in a row were taken by other processes: try again")
        self._wait_for_ledger(self.migration)
        self._wait_until_parsed()
        if self.redis:
            self._wait_for_workers()

    def _start_ledger_migration(self) -> subprocess.Popen[bytes] | None:
        """`sluiceway ledger migrate`, beside Airflow's start."""
        if not (ROOT / "include/sluiceway/cli/app.py").exists():
            return None
        with self._log("ledger") as output:
            command = [str(Path(sys.executable).parent / "sluiceway"), "ledger", "migrate"]
            variables = self._base() | environment.sluiceway(self.layout, self.cluster) | dict(self.extra)
            return subprocess.Popen(
                command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _wait_for_ledger(self, migration: subprocess.Popen[bytes] | None) -> None:
        if not migration:
            return
        while migration.poll() is None:
            self._pause()
        if migration.returncode:
            raise StackStartError(f"sluiceway ledger migrate failed.{self._tail('ledger')}")

    def _start_airflow(self) -> None:
        record = self.layout.record
        last = json.loads(record.read_text()).get("api_port") if record.exists() else None
        ports = Ports(free_port(last), free_port(), free_port())
        self.variables = (
            self._base()
            | environment.sluiceway(self.layout, self.cluster)
            | environment.sluiceway_airflow(self.layout, ports)
            | environment.airflow(self.layout, self.cluster, ports)
            | (environment.celery(self.cluster, self.redis) if self.redis else {})
            | ({"AIRFLOW__API__HOST": "0.0.0.0"} if self.address else {})
            | dict(self.extra)
        )
        environment.write_lines(self.layout.state / "airflow.env", self.variables)
        for_people = {key: value for key, value in self.variables.items() if key.startswith("SLUICEWAY_")}
        environment.write_lines(self.layout.state / "sluiceway.env", for_people)
        self._record("starting", api_port=ports.api)
        shutil.rmtree(self.layout.parse_logs, ignore_errors=True)
        fleet = self.workers or ()
        for name in ("prepare", *COMMANDS, *(worker.name for worker in fleet)):
            self._log(name).close()
        workers.write(self.layout.workers, fleet)
        with self._log("components") as output:
            self.airflow = AirflowProcesses.start(
                self.variables,
                self.layout.logs,
                output.fileno(),
                self.layout.workers,
                restarts=self.restarts,
            )
        self.airflow.settle()

    def _wait_until_healthy(self) -> None:
        since = datetime.now(UTC)
        deadline = time.monotonic() + START_SECONDS
        waiting = ["metadatabase", *HEARTBEATS]
        while waiting:
            self._pause()
            if time.monotonic() > deadline:
                name = {"metadatabase": "api-server", "dag_processor": "dag-processor"}.get(waiting[0], waiting[0])
                raise StackStartError(f"{name} was not healthy after {START_SECONDS} s.{self._tail(name)}")
            still = self._unhealthy(since)
            for name in set(waiting) - set(still):
                log.info("%s is healthy after %.1f s", name, time.monotonic() - self.began)
            waiting = still

    def _unhealthy(self, since: datetime) -> list[str]:
        """Components not heard of since the start; a heartbeat of the run before does not count."""
        url = f"{self.variables['SLUICEWAY_AIRFLOW_URL']}/api/v2/monitor/health"
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
                health = json.load(answer)
        except OSError:
            return ["metadatabase", *HEARTBEATS]
        missing = [] if health["metadatabase"]["status"] == "healthy" else ["metadatabase"]
        for name, key in HEARTBEATS.items():
            heard = health[name].get(key)
            if health[name]["status"] != "healthy" or not heard or datetime.fromisoformat(heard) < since:
                missing.append(name)
        return missing

    def _wait_until_parsed(self) -> None:
        """Until what every DAG file holds, DAGs, an import error or nothing, stands in the metadata."""
        expected = {str(path.relative_to(self.layout.dags)) for path in dag_files(self.layout.dags)}
        deadline = time.monotonic() + PARSE_SECONDS
        assert self.airflow
        processor = psutil.Process(self.airflow.pids["dag-processor"])
        while missing := {file for file in expected if not self._is_parsed(file, processor)}:
            if time.monotonic() > deadline:
                log.warning("Not parsed after %d s: %s", PARSE_SECONDS, ", ".join(sorted(missing)))
                return
            self._pause()

    def _is_parsed(self, file: str, processor: psutil.Process) -> bool:
        """A file without a DAG leaves no trace but its log, which is open until its result is stored."""
        logs = {path.resolve() for path in self.layout.parse_logs.glob(f"*/*/{file}.log")}
        return bool(logs) and logs.isdisjoint(Path(each.path) for each in processor.open_files())

    def _wait_for_workers(self) -> None:
        """Until each says in its log that it is ready."""
        deadline = time.monotonic() + START_SECONDS
        for worker in self.workers or ():
            while not re.search(r"celery@\S+ ready", self._read(worker.name)):
                if time.monotonic() > deadline:
                    raise StackStartError(
                        f"{worker.name} was not ready after {START_SECONDS} s.{self._tail(worker.name)}"
                    )
                self._pause()

    def _stop(self) -> None:
        """Airflow first, then PostgreSQL; whatever is left below goes by force."""
        try:
            self._stop_airflow()
        finally:
            if self.redis:
                self.redis.stop()
            self.cluster.stop()
            guard.end_all(self.stack_id, patience=1)
            (self.layout.state / "airflow.env").unlink(missing_ok=True)
            remaining = environment.sluiceway(self.layout, self.cluster)
            if self.cluster.warehouse and not self.cluster.running():
                remaining = {key: value for key, value in remaining.items() if not key.endswith("_URL")}
            environment.write_lines(self.layout.state / "sluiceway.env", remaining)

    def _stop_airflow(self) -> None:
        """Ask, insist, end by force."""
        if self.airflow:
            self.airflow.stop(STOP_SECONDS)
        servers = (self.cluster.pid, self.redis.pid if self.redis else None)
        guard.end_all(self.stack_id, patience=0.2, spare=[pid for pid in servers if pid])
        if self.airflow:
            self.airflow.process.wait()
            self.airflow = None

    def _pause(self, seconds: float = POLL_SECONDS) -> None:
        """Wait a moment; raise when the stack is to stop or a part of it has died."""
        if self.stop_signal is not None:
            raise StopRequestedError(f"signal {signal.Signals(self.stop_signal).name}")
        self._check_airflow()
        self._check_servers()
        # a signal, a child that has ended, and word from Airflow or from whoever wants the stack end the wait
        lifeline = [] if self.detached else [0]
        spoken = [self.airflow.spoken] if self.airflow else []
        longest = self.airflow.next_s(seconds) if self.airflow else seconds
        if self.woken in (found := select.select([*lifeline, *spoken, self.woken], [], [], longest)[0]):
            os.read(self.woken, 1024)
            awaited = [self.airflow.process.pid if self.airflow else None, self.redis.pid if self.redis else None]
            awaited.append(self.migration.pid if self.migration else None)
            guard.reap(spare=[pid for pid in (*awaited, self.cluster.pid) if pid])
        if 0 in found:
            if not (message := os.read(0, 1024)):
                raise StopRequestedError("nobody uses it any more")
            self.detached = b"detach" in message

    def _check_servers(self) -> None:
        """PostgreSQL and Redis run, or are started again."""
        if self.cluster.pid and not self.cluster.running():
            if not self.restarts:
                raise StackStartError(f"PostgreSQL has stopped by itself; see {self.cluster.log_file}")
            log.warning("PostgreSQL has stopped by itself and is started again")
            self.cluster.start()
        if self.redis and self.redis.ended():
            log.warning("Redis has stopped by itself and is started again")
            self.redis.start()

    def _check_airflow(self) -> None:
        if not self.airflow:
            return
        if self.airflow.hear():
            write_private(self.layout.pids, json.dumps(self.airflow.pids))
        for name, status in self.airflow.ended.items():
            if name == "api-server" and "address already in use" in self._tail(name).lower():
                raise PortTakenError(name)
            raise StackStartError(f"{name} ended by itself with status {status}.{self._tail(name)}")
        if self.airflow.process.poll() is not None:
            raise StackStartError(f"Airflow did not start.{self._tail('components')}")
        if self.workers_changed:
            self.workers_changed = False
            self.airflow.settle()

    def _base(self) -> dict[str, str]:
        return environment.bare(self.layout, self.stack_id)

    def _log(self, name: str) -> BinaryIO:
        """A fresh log of that name; the one before stays as .1."""
        path = self.layout.logs / f"{name}.log"
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        return path.open("wb")

    def _read(self, name: str) -> str:
        path = self.layout.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _tail(self, name: str) -> str:
        return "\n".join([f" {self.layout.logs / name}.log ends:", *self._read(name).splitlines()[-20:]])

    def _record(self, phase: str, *, error: str | None = None, api_port: int | None = None) -> None:
        path = self.layout.record
        before = json.loads(path.read_text()) if path.exists() else {}
        facts = {
            "id": self.stack_id,
            "phase": phase,
            "error": error,
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "guard_pid": self.guard.pid,
            "guard_started": self.guard.create_time(),
            "api_port": api_port or before.get("api_port"),
            "dags": str(self.layout.dags),
            "plugins": str(self.layout.plugins),
            "url": self.variables.get("SLUICEWAY_AIRFLOW_URL"),
            "on_celery": self.redis is not None,
        }
        write_private(path, json.dumps(facts, indent=2))


def dag_files(folder: Path) -> list[Path]:
    """The files Airflow takes for DAG files: those that mention both words."""
    words = (b"dag", b"airflow")
    return [path for path in sorted(folder.rglob("*.py")) if all(word in path.read_bytes().lower() for word in words)]


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    guard.become_subreaper()
    guard.die_with_parent(os.getppid())
    # what the stack writes, logs too, is for its user alone
    os.umask(0o077)
    order = json.loads(os.read(0, 1 << 20))
    layout = Layout(Path(order["state"]), Path(order["dags"]), Path(order["plugins"]))
    lock = (layout.state / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.error("Another stack is starting or running in %s", layout.state)
        return 1
    told = order["workers"]
    fleet = None if told is None else [Worker.of(each) for each in told]
    return Supervisor(layout, order["env"], order["postgres"], fleet, order["restarts"], order["address"]).run()


if __name__ == "__main__":
    sys.exit(main())
