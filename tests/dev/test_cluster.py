"""The private PostgreSQL cluster keeps its data, whatever ended it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.errors import ClusterVersionError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder / "pg", Credentials(folder / "secrets"))
    cluster.start()
    yield cluster
    cluster.stop()


def test_a_restart_keeps_the_data(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url("sluiceway_loader", "warehouse")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    cluster.stop()
    assert cluster.running() is None
    cluster.start()
    with psycopg.connect(cluster.url("sluiceway_loader", "warehouse")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_killed_server_starts_again(cluster: Cluster) -> None:
    assert cluster.pid
    os.kill(cluster.pid, signal.SIGKILL)
    psutil.Process(cluster.pid).wait(10)
    assert (cluster.data / "postmaster.pid").exists()  # what kill -9 leaves behind
    cluster.start()
    assert cluster.running()


def test_a_running_cluster_is_used_and_left_running(cluster: Cluster) -> None:
    guest = Cluster(cluster.folder, cluster.credentials)
    guest.start()
    assert guest.port == cluster.port
    guest.stop()
    assert cluster.running()


@pytest.mark.parametrize("password", ["", "postgres"])
def test_a_wrong_password_is_refused(cluster: Cluster, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres", dbname="warehouse", password=password)


def test_data_of_another_version_is_named(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "pg", Credentials(tmp_path / "secrets"))
    cluster.data.mkdir(parents=True)
    (cluster.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ClusterVersionError, match=r"made by PostgreSQL 9, and this machine has \d+"):
        cluster.start()
