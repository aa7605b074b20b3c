"""One private PostgreSQL for the whole session, and a fresh warehouse for each test that asks for one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import LOCAL_MACHINE, ROOT
from sluiceway.ledger import store
from sluiceway.ledger.migrate import migrate
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import PsycopgSession
from sluiceway.settings import PREFIX, load_settings
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec
from tests.distribution import Distribution, longest_first
from tests.warehouses import Warehouses

RUNS = ROOT / ".local" / "pytest"
THROWN_AWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
"""A server whose data nobody needs after a crash: a small load takes a quarter less."""

# before anything imports Airflow, which writes a configuration into its home
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-", dir=ROOT / ".local" / "tmp")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
# what hypothesis remembers of a failure; a folder of its own in the checkout otherwise
os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".local" / "hypothesis")


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files in the project, in a folder of this session's own: two sessions may run at once."""
    if config.option.basetemp is None:
        RUNS.mkdir(parents=True, exist_ok=True)
        config.option.basetemp = RUNS / f"session-{os.getpid()}"
        # what failed sessions have left, and it is of no use while another one fails
        for left in RUNS.glob("session-*"):
            if not _runs(int(left.name.removeprefix("session-"))):
                shutil.rmtree(left, ignore_errors=True)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Distribution:
    """For -n 2."""
    return Distribution(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first."""
    longest_first(items)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pytest_unconfigure() -> None:
    """Nothing stays of the Airflow that this process imports."""
    shutil.rmtree(os.environ["AIRFLOW_HOME"], ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Temporary files stay for a look when a test failed."""
    if exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(session.config.option.basetemp, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No SLUICEWAY_ variable of the user's shell, no running stack and no GitHub reaches a test."""
    own = [key for key in os.environ if key.startswith(PREFIX) or key == "GITHUB_ACTIONS"]
    kept = {key: os.environ.pop(key) for key in own}
    os.environ["SLUICEWAY_ENV_FILE"] = str(tmp_path_factory.mktemp("no-stack") / "none.env")
    # the tests' own servers
    os.environ["SLUICEWAY_PRIVATE_HOSTS"] = LOCAL_MACHINE
    load_settings.cache_clear()
    yield
    del os.environ["SLUICEWAY_ENV_FILE"], os.environ["SLUICEWAY_PRIVATE_HOSTS"]
    os.environ.update(kept)


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Sets SLUICEWAY_ variables for one test: setting(groups="quickstart")."""

    def change(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"{PREFIX}{name.upper()}", str(value))
        load_settings.cache_clear()

    yield change
    monkeypatch.undo()
    load_settings.cache_clear()


def let_through(folder: Path) -> None:
    """PostgreSQL runs as another user when the tests run as root: it must be able to reach its data."""
    for parent in (folder, *folder.parents):
        if parent.owner() == folder.owner() and parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose `warehouse` database has an empty ledger."""
    folder = tmp_path_factory.mktemp("postgres")
    let_through(folder)
    # a connection that meets a geometry takes half as long when the server has loaded PostGIS before
    settings = {**THROWN_AWAY, "shared_preload_libraries": "postgis-3"}
    cluster = Cluster(folder / "pg", Credentials(folder / "secrets"), settings=settings)
    cluster.start()
    migrate(cluster.url("sluiceway_owner", "warehouse"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def warehouses(postgres: Cluster) -> Warehouses:
    """Copies of the warehouse for tests that share one for longer than a test."""
    return Warehouses(postgres)


@pytest.fixture
def database(warehouses: Warehouses) -> Iterator[str]:
    """The name of a copy of the warehouse that is as new."""
    with warehouses.lend() as name:
        yield name


@pytest.fixture(scope="module")
def shared_database(warehouses: Warehouses) -> Iterator[str]:
    """One copy for all tests of a file, which see what those before them have left."""
    with warehouses.lend() as name:
        yield name


@pytest.fixture
def warehouse_url(postgres: Cluster, database: str) -> str:
    """A fresh warehouse, as the role that loads."""
    return postgres.url("sluiceway_loader", database)


@pytest.fixture
def owner_url(postgres: Cluster, database: str) -> str:
    """The same warehouse, as the role that migrates."""
    return postgres.url("sluiceway_owner", database)


Rows = list[tuple[object, ...]]


@pytest.fixture
def query(warehouses: Warehouses, database: str) -> Callable[..., Rows]:
    """Runs one statement in the warehouse, with parameters, and returns its rows."""

    def run(statement: str, *parameters: object) -> Rows:
        cursor = warehouses.asker(database).execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def open_run(warehouses: Warehouses, database: str) -> Callable[[str], RunKey]:
    """Opens a run of master_etl in the ledger and returns its key."""

    def run(run_id: str) -> RunKey:
        session = PsycopgSession(warehouses.asker(database))
        key = RunKey("master_etl", run_id)
        store.open_run(session, key, commit_sha=None, trigger_kind="test")
        return key

    return run


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., TableSpec]:
    """Writes a table's TOML, and its source beside it, and reads the spec back."""

    def write(name: str, toml: str, **files: str | bytes) -> TableSpec:
        for file, content in files.items():
            path = tmp_path / file.replace("__", ".")
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path = tmp_path / f"{name}.toml"
        path.write_text(toml, encoding="utf-8")
        return read_spec(path)

    return write
