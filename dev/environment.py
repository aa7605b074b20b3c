"""The environment of every process of the stack, built from nothing but a whitelist of the user's own.

Whatever AIRFLOW_* the user's shell has stays out: it belongs to another Airflow.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.credentials import Credentials, write_private
from dev.guard import MARKER
from dev.redis import Redis

ROOT = Path(__file__).resolve().parent.parent
KEPT = re.compile(r"PATH|HOME|USER|LANG|LC_\w+|TZ|TERM|\w+_proxy|\w*_CERT\w*|\w*SSL\w*|SLUICEWAY_\w+", re.IGNORECASE)
RECOVERY = ROOT / "deploy" / "recovery.env"
"""The settings that make recovery short, the same in every deployment."""
ADMIN = "admin"
LOCAL_MACHINE = "localhost,127.0.0.1,::1"
"""What a development box may have asked: its own servers."""
WAREHOUSE_POOL_SLOTS = 8
SERVICES_POOL_SLOTS = 4


def make_private(folder: Path) -> None:
    """Make a folder that others cannot read; as root it lets pass, for PostgreSQL runs as another user then."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


@dataclass(frozen=True)
class Layout:
    """Where one stack keeps what it writes; everything is below `state`."""

    state: Path
    dags: Path = ROOT / "dags"
    plugins: Path = ROOT / "plugins"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def parse_logs(self) -> Path:
        """A log per DAG file, of its parsing; in a folder per day."""
        return self.logs / "airflow" / "dag_processor"

    @property
    def airflow_home(self) -> Path:
        return self.state / "airflow"

    @property
    def temporary(self) -> Path:
        return self.state / "tmp"

    @property
    def reports(self) -> Path:
        return self.state / "reports"

    @property
    def record(self) -> Path:
        return self.state / "stack.json"

    @property
    def workers(self) -> Path:
        """Which Celery workers there shall be."""
        return self.state / "workers.json"

    @property
    def pids(self) -> Path:
        """Of Airflow's components and workers that run, by name."""
        return self.state / "pids.json"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.state / "secrets")

    def make(self) -> None:
        """Its folders, which others may not read: data, logs and passwords lie there."""
        make_private(self.state)
        for folder in (self.logs, self.airflow_home, self.temporary, self.reports):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)


@dataclass(frozen=True)
class Ports:
    """What the stack listens on; the log ports are reserved names only, nothing serves there (the files are local)."""

    api: int
    worker_logs: int
    triggerer_logs: int


def inherited(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What of the user's environment reaches the stack."""
    return {key: value for key, value in source.items() if KEPT.fullmatch(key)}


def bare(layout: Layout, stack_id: str) -> dict[str, str]:
    """The environment of what starts the stack: no Airflow in it yet."""
    return inherited() | {
        MARKER: stack_id,
        "TMPDIR": str(layout.temporary),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPYCACHEPREFIX": str(ROOT / ".local" / "pycache"),  # no __pycache__ in the checkout
        "SPT_NOENV": "1",
    }


def sluiceway(layout: Layout, cluster: Cluster) -> dict[str, str]:
    """What a `sluiceway` command reads, whether or not Airflow runs."""
    given = os.environ.get("SLUICEWAY_WAREHOUSE_URL")
    return {
        "SLUICEWAY_WAREHOUSE_URL": given or cluster.url("sluiceway_loader", "warehouse"),
        "SLUICEWAY_OWNER_URL": os.environ.get("SLUICEWAY_OWNER_URL")
        or given
        or cluster.url("sluiceway_owner", "warehouse"),
        "SLUICEWAY_JOBS_URL": os.environ.get("SLUICEWAY_JOBS_URL")
        or given
        or cluster.url("sluiceway_jobs", "warehouse"),
        "SLUICEWAY_GROUPS": os.environ.get("SLUICEWAY_GROUPS", "quickstart"),
        "SLUICEWAY_REPORTS_DIR": str(layout.reports),
        "SLUICEWAY_PRIVATE_HOSTS": os.environ.get("SLUICEWAY_PRIVATE_HOSTS", LOCAL_MACHINE),
    }


def sluiceway_airflow(layout: Layout, ports: Ports) -> dict[str, str]:
    """How a `sluiceway` command reaches the running Airflow."""
    return {
        "SLUICEWAY_AIRFLOW_URL": f"http://127.0.0.1:{ports.api}",
        "SLUICEWAY_AIRFLOW_USERNAME": ADMIN,
        "SLUICEWAY_AIRFLOW_PASSWORD": layout.credentials.password("admin"),
    }


def airflow(layout: Layout, cluster: Cluster, ports: Ports) -> dict[str, str]:
    """The configuration of Airflow itself."""
    url = f"http://127.0.0.1:{ports.api}"
    credentials = layout.credentials
    urls = sluiceway(layout, cluster)
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": 6,
            "dags_folder": layout.dags,
            "plugins_folder": layout.plugins,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            # of two edits within this time the second shows at the next parsing but one; 30 s by default
            "min_serialized_dag_update_interval": 1,
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            # with another port than 8080 every task fails without a log unless this says so too
            "execution_api_server_url": f"{url}/execution/",
            "fernet_key": credentials.fernet_key(),
        },
        "database": {
            "sql_alchemy_conn": cluster.url("airflow", "airflow").replace("postgresql:", "postgresql+psycopg2:"),
            # a request may need a second connection: with the default of 15, twenty at once wait 30 s for each other
            "sql_alchemy_max_overflow": 45,
        },
        "api": {
            "base_url": url,
            "host": "127.0.0.1",
            "port": ports.api,
            "workers": 1,
            "secret_key": credentials.signing_key("api-secret"),
        },
        "api_auth": {"jwt_secret": credentials.signing_key("jwt-secret")},
        "logging": {
            "base_log_folder": layout.logs / "airflow",
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            "dag_processor_child_process_log_directory": layout.parse_logs,
            "worker_log_server_port": ports.worker_logs,
            "trigger_log_server_port": ports.triggerer_logs,
        },
        # with 0.1 the scheduler alone takes a quarter of a core while nobody does anything
        "scheduler": {"scheduler_idle_sleep_time": 0.25, "enable_health_check": False},
        # a changed file shows within seconds; Airflow's own defaults are made for thousands of files
        "dag_processor": {
            "refresh_interval": 5,
            "bundle_refresh_check_interval": 2,
            "min_file_process_interval": 30,
            "parsing_processes": 2,
        },
        "usage_data_collection": {"enabled": False},
    }
    return {
        **read_lines(RECOVERY),
        "AIRFLOW_HOME": str(layout.airflow_home),
        "AIRFLOW_CONN_WAREHOUSE": _connection(urls["SLUICEWAY_WAREHOUSE_URL"]),
        "AIRFLOW_CONN_WAREHOUSE_JOBS": _connection(urls["SLUICEWAY_JOBS_URL"]),
        **{
            f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
            for section, keys in options.items()
            for key, value in keys.items()
        },
    }


def celery(cluster: Cluster, redis: Redis) -> dict[str, str]:
    """What differs where tasks run on Celery's workers."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": redis.url,
        "AIRFLOW__CELERY__RESULT_BACKEND": cluster.url("airflow", "airflow").replace(
            "postgresql:", "db+postgresql+psycopg2:"
        ),
        # a worker takes no more tasks than it has slots
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "SLUICEWAY_BROKER_URL": redis.url,
    }


def _connection(url: str) -> str:
    """As Airflow writes it."""
    return re.sub(r"^postgresql(\+\w+)?:", "postgres:", url)


def read_lines(path: Path) -> dict[str, str]:
    """What `KEY=VALUE` lines say; comments are left out."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", maxsplit=1) for line in lines if line and not line.startswith("#"))


def write_lines(path: Path, variables: Mapping[str, str]) -> None:
    """KEY=VALUE lines that only their owner can read."""
    write_private(path, "".join(f"{key}={value}\n" for key, value in sorted(variables.items())))
