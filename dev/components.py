"""Airflow's components as children of one process that imported Airflow once.

Four separate `airflow ...` commands import the same modules four times, 4 x 3.5 s. Forked from one process they share
them. Every line on standard output is an event for the supervisor: `started NAME PID`, `ended NAME STATUS`. Every line
on standard input is an order of its, as JSON: to start a component again, or a worker; to send a signal to one.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dev.environment import ADMIN, SERVICES_POOL_SLOTS, WAREHOUSE_POOL_SLOTS
from dev.guard import die_with_parent
from dev.workers import Worker

# Logs are read from the shared folder, so nothing needs to serve them over HTTP. The API server has the most to import
# of its own, which nobody shares: it starts first, beside the imports that the others share.
FIRST = {"api-server": ["api-server"]}
REST = {
    "dag-processor": ["dag-processor"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
COMMANDS = FIRST | REST


def import_common() -> None:
    """What every component needs; no thread and no database connection may come of it before the fork."""
    import airflow.cli.cli_parser  # noqa: F401


def import_jobs() -> None:
    """What all the others and the tasks share. With the SDK the first run takes 6.8 s, without it 9.8 s."""
    import airflow.dag_processing.manager
    import airflow.jobs.scheduler_job_runner
    import airflow.jobs.triggerer_job_runner
    import airflow.sdk
    import airflow.sdk.execution_time.supervisor
    import airflow.sdk.execution_time.task_runner  # noqa: F401


def import_library() -> None:
    """What tasks and DAG files import first: the scheduler's workers and the DAG processor hand it on by fork.

    Without it each task takes 0.7 s of a core more, and the parsing of our DAG files twice as long. Not pyogrio: it
    brings pandas, 100 MB that the tables without a geometry do not need.
    """
    import sluiceway.load.limited
    import sluiceway.load.merge
    import sluiceway.load.rejected
    import sluiceway.load.session
    import sluiceway.load.staging
    import sluiceway.on_airflow.operators.load_table
    import sluiceway.run.report.collect
    import sluiceway.run.report.write
    import sluiceway.run.steps
    import sluiceway.sources.formats.csv  # noqa: F401
    from sluiceway.on_airflow import graphs

    # what DAG files have of us
    for graph in pkgutil.iter_modules(graphs.__path__, f"{graphs.__name__}."):
        importlib.import_module(graph.name)

    files = {Path(module.__file__) for name, module in sys.modules.items() if is_ours(name) and module.__file__}
    written = {file: file.stat().st_mtime_ns for file in files}
    os.register_at_fork(after_in_child=partial(forget_if_edited, written))


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "sluiceway"


def forget_if_edited(written: dict[Path, int]) -> None:
    """In a new process: an edit of the library counts from the next task or parsing on, as without any of this.

    Once: what that process imports then is the edited library, and a load that it forks must go on with those classes,
    or it could not hand over what it did.
    """
    if any(not file.exists() or file.stat().st_mtime_ns != stamp for file, stamp in written.items()):
        written.clear()
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]


def prepare_database() -> None:
    """Create or migrate the metadata, once per version (the database's comment says which), the pool and the user."""
    from importlib.metadata import version

    from airflow import settings
    from airflow.models.pool import Pool
    from airflow.utils.db import upgradedb
    from sqlalchemy import text

    engine = settings.engine
    assert engine
    mark = (
        f"migrated by Airflow {version('apache-airflow')}, FAB provider {version('apache-airflow-providers-fab')}, "
        f"with pools for warehouse and services"
    )
    read = text("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()")
    with engine.connect() as connection:
        if connection.scalar(read) == mark:
            return
    upgradedb()
    create_administrator()
    Pool.create_or_update_pool(
        "warehouse", WAREHOUSE_POOL_SLOTS, "Transactions in the warehouse at the same time", include_deferred=False
    )
    Pool.create_or_update_pool(
        "services", SERVICES_POOL_SLOTS, "Lanes of jobs at the same time", include_deferred=False
    )
    with engine.begin() as connection:
        connection.execute(text(f"COMMENT ON DATABASE airflow IS '{mark}'"))


def create_administrator() -> None:
    """The user of `make up`, and the roles, which API server and DAG processor would else create side by side."""
    from airflow.providers.fab.www.security_appless import ApplessAirflowSecurityManager
    from airflow.utils.session import create_session
    from werkzeug.security import generate_password_hash

    with create_session() as session:
        security = ApplessAirflowSecurityManager(session)
        security.sync_roles()
        if security.find_user(username=ADMIN):
            return
        password = generate_password_hash(os.environ["SLUICEWAY_AIRFLOW_PASSWORD"])
        security.add_user(
            ADMIN, "Local", "Administrator", "admin@localhost", security.find_role("Admin"), hashed_password=password
        )


def import_worker() -> None:
    """What workers import beside all that: with it one is ready in 2 s, of which Celery waits for one."""
    import airflow.providers.celery.cli.celery_command
    import airflow.providers.celery.executors.celery_executor_utils  # noqa: F401


def fork(name: str, logs: Path, work: Callable[[], object]) -> int:
    """Run `work` in a child whose output goes to the component's log."""
    parent = os.getpid()
    if pid := os.fork():
        return pid
    status = 1
    try:
        die_with_parent(parent)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # the orders are not for it
        os.close(null)
        with (logs / f"{name}.log").open("ab", buffering=0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        work()
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run_command(arguments: list[str], worker: Worker | None = None, temporary: Path | None = None) -> None:
    if worker and temporary:
        worker.become(temporary)
        if worker.addresses:
            # what is imported here knows the addresses of before
            os.execv(sys.executable, [sys.executable, "-m", "airflow", *arguments])  # noqa: S606
    if arguments[0] in {"scheduler", "dag-processor", "celery"}:
        import_library()
    sys.argv = ["airflow", *arguments]
    runpy.run_module("airflow", run_name="__main__", alter_sys=False)


def emit(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Components:
    """The children, by pid.

    :param logs: the folder of their logs, a file each
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.names: dict[int, str] = {}
        self.stopping = False

    def start(self, name: str, command: list[str], worker: Worker | None = None) -> None:
        temporary = Path(os.environ["TMPDIR"])
        pid = fork(name, self.logs, partial(run_command, command, worker, temporary))
        self.names[pid] = name
        emit("started", name, pid)

    def obey(self, line: bytes) -> None:
        order = json.loads(line)
        if "signum" in order:
            self.signal(order["signum"], order["name"])
        elif facts := order.get("worker"):
            worker = Worker.of(facts)
            self.start(worker.name, worker.command(), worker)
        else:
            self.start(order["name"], COMMANDS[order["name"]])

    def signal(self, signum: int, of: str | None = None) -> None:
        for pid, name in self.names.items():
            if of in (None, name):
                os.kill(pid, signum)

    def stop(self, signum: int, _frame: object) -> None:
        self.stopping = True
        self.signal(signum)

    def collect(self) -> None:
        """Tell which have ended."""
        while self.names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if name := self.names.pop(pid, None):
                emit("ended", name, os.waitstatus_to_exitcode(status))

    def serve(self) -> None:
        """Obey orders until it is told to stop, or nobody is left who gives them; then wait for the children."""
        woken, wake = os.pipe2(os.O_NONBLOCK)
        # of no effect but to wake
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGTERM, self.stop)
        self.collect()
        orders = b""
        while self.names or not self.stopping:
            spoken, _, _ = select.select([woken] if self.stopping else [woken, 0], [], [])
            if woken in spoken:
                os.read(woken, 1024)
                self.collect()
            if 0 in spoken:
                if not (heard := os.read(0, 4096)):
                    self.stop(signal.SIGTERM, None)
                *lines, orders = (orders + heard).split(b"\n")
                for line in lines:
                    self.obey(line)


def main() -> int:
    components = Components(Path(sys.argv[1]))
    import_common()
    if status := os.waitstatus_to_exitcode(os.waitpid(fork("prepare", components.logs, prepare_database), 0)[1]):
        emit("ended", "prepare", status)
        return 1
    gc.freeze()  # the children share these pages only as long as nobody's garbage collector touches them
    for name, command in FIRST.items():
        components.start(name, command)
    import_jobs()
    if "Celery" in os.environ["AIRFLOW__CORE__EXECUTOR"]:
        import_worker()
    gc.freeze()
    for name, command in REST.items():
        components.start(name, command)
    components.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
