"""The local stack: PostgreSQL with PostGIS, and all of Airflow, started and stopped as one.

From Python:

    with Stack.running() as stack:      # the one that `make up` started, or a new one for as long as the block lasts
        requests.get(f"{stack.url}/api/v2/dags", headers={"Authorization": f"Bearer {stack.token()}"})

From a shell: `python -m dev.stack up | down | status | airflow ARGS...`; with EXECUTOR=celery in the environment `up`
starts a Redis and WORKERS Celery workers beside it.
"""

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from dev import environment
from dev.environment import ADMIN, ROOT, Layout
from dev.errors import StackError, StackStartError
from dev.workers import Worker, several

console = Console(highlight=False)
STATE = ROOT / ".local"
STOP_SECONDS = 60
WORKERS = 3
"""How many, unless it is said."""


@dataclass(frozen=True)
class Stack:
    """A running stack.

    :param env: the complete environment of its processes; run `airflow` or `sluiceway` with it
    """

    layout: Layout
    url: str
    env: Mapping[str, str] = field(repr=False)  # holds passwords
    supervisor: int = 0
    on_celery: bool = False

    @property
    def username(self) -> str:
        return ADMIN

    @property
    def password(self) -> str:
        return self.layout.credentials.password("admin")

    @property
    def warehouse_url(self) -> str:
        return self.env["SLUICEWAY_WAREHOUSE_URL"]

    @property
    def owner_url(self) -> str:
        return self.env["SLUICEWAY_OWNER_URL"]

    def token(self) -> str:
        """An access token of the administrator for `Authorization: Bearer`."""
        body = json.dumps({"username": self.username, "password": self.password}).encode()
        request = urllib.request.Request(f"{self.url}/auth/token", body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return str(json.load(answer)["access_token"])

    @classmethod
    def attach(cls, state: Path = STATE) -> "Stack | None":
        """The stack that runs in that folder, or None."""
        record = _record(Layout(state))
        if not _supervises(record) or record["phase"] != "ready":
            return None
        layout = Layout(state, Path(record["dags"]), Path(record["plugins"]))
        lines = (state / "airflow.env").read_text(encoding="utf-8").splitlines()
        env = dict(line.split("=", 1) for line in lines)
        return cls(layout, record["url"], env, record["pid"], record["on_celery"])

    @classmethod
    @contextmanager
    def running(
        cls,
        state: Path = STATE,
        *,
        dags: Path = ROOT / "dags",
        plugins: Path = ROOT / "plugins",
        env: Mapping[str, str] | None = None,
        postgres: Mapping[str, str] | None = None,
        workers: Sequence[Worker] | None = None,
        restarts: bool = False,
        address: str | None = None,
    ) -> Iterator["Stack"]:
        """The stack that runs in `state`, or one that is started now and stopped at the end of the block.

        :param env: variables for its processes, over what the stack sets itself
        :param postgres: settings of its server, over those of `dev.cluster`
        :param workers: of Celery; None: tasks run on the LocalExecutor
        :param restarts: start what ends by itself again, as every deployment does; on Celery always
        :param address: where its servers listen beside 127.0.0.1, for workers with a network of their own
        :raises StackError: a stack with other settings runs there.
        """
        layout = Layout(state.resolve(), dags.resolve(), plugins.resolve())
        if stack := cls.attach(layout.state):
            if env or stack.layout != layout:
                raise StackError(f"a stack with other settings runs in {state}: make down, or use another folder")
            if workers is not None and not stack.on_celery:
                raise StackError("a stack without workers runs here: make down, then start it on Celery")
            yield stack
            return
        starter = start(layout, env or {}, postgres, workers, restarts=restarts, address=address)
        try:
            stack = cls.attach(layout.state)
            assert stack
            yield stack
        finally:
            finish(starter)


def start(
    layout: Layout,
    env: Mapping[str, str],
    postgres: Mapping[str, str] | None = None,
    workers: Sequence[Worker] | None = None,
    *,
    restarts: bool = False,
    address: str | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a supervisor and wait until its stack is ready. It stops when the pipe to it closes."""
    layout.make()
    _wait_until_gone(_record(layout))
    stack_id = secrets.token_hex(8)
    supervised = layout.logs / "supervisor.log"
    supervised.touch(mode=0o600)
    with supervised.open("wb") as output:
        guarded = subprocess.Popen(
            [sys.executable, "-m", "dev.guard", sys.executable, "-m", "dev.supervisor"],
            cwd=ROOT,
            env=environment.bare(layout, stack_id),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        places = {"state": str(layout.state), "dags": str(layout.dags), "plugins": str(layout.plugins)}
        fleet = None if workers is None else [asdict(worker) for worker in workers]
        order = {"env": dict(env), "postgres": dict(postgres or {}), "workers": fleet}
        _tell(guarded, json.dumps({**places, **order, "restarts": restarts or workers is not None, "address": address}))
        while (record := _record(layout)).get("id") != stack_id or record["phase"] == "starting":
            if guarded.poll() is not None:
                break
            time.sleep(0.05)
        record = _record(layout)
        if record.get("id") != stack_id or record["phase"] != "ready":
            guarded.wait(STOP_SECONDS)
            tail = (layout.logs / "supervisor.log").read_text().splitlines()[-3:]
            raise StackStartError(_record(layout).get("error") or "\n".join(tail))
    except BaseException:
        finish(guarded)
        raise
    return guarded


def finish(guarded: "subprocess.Popen[bytes]") -> None:
    """Close the lifeline and wait until everything below has ended."""
    assert guarded.stdin
    guarded.stdin.close()
    guarded.wait(STOP_SECONDS)


def stop(state: Path = STATE) -> bool:
    """Stop the stack of that folder; False if none runs."""
    record = _record(Layout(state))
    if not _guards(record):
        return False
    os.kill(record["pid"] if _supervises(record) else record["guard_pid"], signal.SIGTERM)
    _wait_until_gone(record)
    return True


def _tell(guarded: "subprocess.Popen[bytes]", line: str) -> None:
    assert guarded.stdin
    guarded.stdin.write(f"{line}\n".encode())
    guarded.stdin.flush()


def _record(layout: Layout) -> dict[str, Any]:
    if not layout.record.exists():
        return {}
    record: dict[str, Any] = json.loads(layout.record.read_text(encoding="utf-8"))
    return record


def _supervises(record: Mapping[str, Any]) -> bool:
    return bool(record) and _is_alive(record["pid"], record["started"])


def _guards(record: Mapping[str, Any]) -> bool:
    return bool(record) and _is_alive(record["guard_pid"], record["guard_started"])


def _is_alive(pid: int, started: float) -> bool:
    """The same process still lives; a pid is used again sooner or later, a pid with its start time is not."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until_gone(record: Mapping[str, Any]) -> None:
    """A stack that is being stopped, or whose supervisor was killed, still clears up behind itself."""
    if record and record["phase"] == "starting" and _supervises(record):
        raise StackError("the stack is being started by somebody else: wait a moment, or make down")
    deadline = time.monotonic() + STOP_SECONDS
    while _guards(record) or _supervises(record):
        if time.monotonic() > deadline:
            raise StackError(f"the stack did not stop within {STOP_SECONDS} s: see process {record['guard_pid']}")
        time.sleep(0.05)


def workers_asked_for(source: Mapping[str, str] = os.environ) -> list[Worker] | None:
    """The workers that EXECUTOR and WORKERS ask for; None: the LocalExecutor.

    :raises StackError: one of them has no such value.
    """
    executor = source.get("EXECUTOR") or "local"
    if executor not in ("local", "celery"):
        raise StackError(f"EXECUTOR={executor}: there is no such executor here; write EXECUTOR=celery, or nothing")
    count = source.get("WORKERS") or str(WORKERS)
    if not count.isdigit():
        raise StackError(f"WORKERS={count}: write a number, as in WORKERS={WORKERS}")
    return several(int(count)) if executor == "celery" else None


def up() -> int:
    workers = workers_asked_for()
    if stack := Stack.attach():
        console.print("Running already.")
        if workers is not None and not stack.on_celery:
            raise StackError("The stack that runs has no workers: make down, then make up EXECUTOR=celery")
    else:
        more = " and Airflow" if workers is None else f", Airflow, Redis and {len(workers)} workers"
        console.print(f"Starting PostgreSQL{more} (Ctrl-C stops them) ...")
        guarded = start(Layout(STATE), {}, workers=workers)
        _tell(guarded, "detach")
        stack = Stack.attach()
        assert stack
    console.print(f"Airflow    {stack.url}\nUser       {stack.username}\nPassword   {stack.password}")
    console.print(f"Logs       {stack.layout.logs}\nSettings   {STATE / 'sluiceway.env'} (sluiceway reads it)")
    console.print("Stop it with make down.")
    return 0


def down() -> int:
    console.print("Stopped." if stop() else "Not running.")
    return 0


def status() -> int:
    stack = Stack.attach()
    console.print(f"Running at {stack.url}" if stack else "Not running.")
    if error := _record(Layout(STATE)).get("error"):
        console.print(f"The last one failed: {error}", markup=False)
    return 0 if stack else 1


def airflow(arguments: list[str]) -> int:
    """Run Airflow's own command line against the running stack."""
    if not (stack := Stack.attach()):
        raise StackError("the stack is not running: make up")
    command = [str(Path(sys.executable).parent / "airflow"), *arguments]
    return subprocess.run(command, env=dict(stack.env), cwd=ROOT, check=False).returncode


def main(arguments: list[str]) -> int:
    commands = {"up": up, "down": down, "status": status}
    try:
        match arguments:
            case [name] if name in commands:
                return commands[name]()
            case ["airflow", *rest]:
                return airflow(shlex.split(" ".join(rest)) if len(rest) == 1 else rest)
    except StackError as error:
        Console(stderr=True, highlight=False).print(f"{error}", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    console.print("usage: python -m dev.stack up | down | status | airflow ARGS...", markup=False)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
