"""Which PostgreSQL server this machine has, and how to install one. Standard library only: set-up runs it first.

`python -m dev.postgres` installs what is missing where it can (Debian and Ubuntu, as root or with sudo).
"""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.errors import PostgresMissingError

log = logging.getLogger(__name__)

KNOWN_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/bin",
)
MISSING = """\
{what} is not installed, and it cannot be installed from here: {why}.
  Debian, Ubuntu:  sudo apt-get install postgresql postgresql-contrib 'postgresql-*-postgis-3'
  Fedora:          sudo dnf install postgresql-server postgis
  macOS:           brew install postgresql@17 postgis
Then run make setup again. With SLUICEWAY_WAREHOUSE_URL set to your own PostGIS database, PostgreSQL without PostGIS
is enough (Airflow keeps its metadata in it)."""


@dataclass(frozen=True)
class Server:
    """One installed PostgreSQL: where its programs are, its major version, whether PostGIS comes with it."""

    bin: Path
    major: int
    postgis: bool


def postgis_needed() -> bool:
    """A warehouse of the user's own needs no PostGIS here."""
    return not os.environ.get("SLUICEWAY_WAREHOUSE_URL")


def installed() -> list[Server]:
    """Every PostgreSQL server found here, newest first."""
    found = {server.bin.resolve(): server for folder in _folders() if (server := _inspect(folder))}
    return sorted(found.values(), key=lambda server: server.major, reverse=True)


def find(*, postgis: bool, major: int | None = None) -> Server:
    """The newest server that fits; `major` restricts it to the version that made a data folder."""
    for server in installed():
        if (server.postgis or not postgis) and major in (None, server.major):
            return server
    wanted = f"PostgreSQL {major or ''}".strip() + (" with PostGIS" if postgis else "")
    raise PostgresMissingError(MISSING.format(what=wanted, why="run make setup, which installs it where it can"))


def ensure() -> Server:
    """The server to use, installed by apt-get first if there is none."""
    postgis = postgis_needed()
    try:
        return find(postgis=postgis)
    except PostgresMissingError:
        _apt_install(postgis=postgis)
        return find(postgis=postgis)


def _folders() -> Iterator[Path]:
    for pattern in KNOWN_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))
    if pg_config := shutil.which("pg_config"):
        yield Path(_output(pg_config, "--bindir"))
    yield from (Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)


def _inspect(folder: Path) -> Server | None:
    """None when the folder has no server, only clients, or one that does not run."""
    if not all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
        return None
    version = re.search(r"\d+", _output(folder / "postgres", "--version"))
    return version and Server(folder, int(version.group()), _has_postgis(folder))


def _has_postgis(folder: Path) -> bool:
    pg_config = folder / "pg_config"
    major = folder.parent.name
    shares = [Path("/usr/share/postgresql") / major, folder.parent / "share/postgresql", folder.parent / "share"]
    if pg_config.exists():
        shares.insert(0, Path(_output(pg_config, "--sharedir")))
    return any((share / "extension/postgis.control").exists() for share in shares)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _apt_install(*, postgis: bool) -> None:
    """Install Debian's packages without the cluster that Debian would create and start with them."""
    what = "PostgreSQL with PostGIS" if postgis else "PostgreSQL"
    if not shutil.which("apt-get"):
        raise PostgresMissingError(MISSING.format(what=what, why="this machine has no apt-get"))
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and (
        not shutil.which("sudo") or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode
    ):
        raise PostgresMissingError(MISSING.format(what=what, why="it needs root, or sudo without a password"))
    subprocess.run([*sudo, "apt-get", "update", "-q"], check=True)
    major = _debian_major()
    packages = [f"postgresql-{major}", *([f"postgresql-{major}-postgis-3"] if postgis else [])]
    log.info("Installing %s", " ".join(packages))
    no_cluster = "/etc/postgresql-common/createcluster.d/sluiceway-setup.conf"
    script = f"""
        set -e
        export DEBIAN_FRONTEND=noninteractive
        mkdir -p {Path(no_cluster).parent}
        trap 'rm -f {no_cluster}' EXIT
        echo 'create_main_cluster = false' >{no_cluster}
        apt-get install -y -q --no-install-recommends {" ".join(packages)}
    """
    subprocess.run([*sudo, "bash", "-c", script], check=True)


def _debian_major() -> int:
    """The major that is here already, or else the one the distribution's own `postgresql` stands for."""
    if servers := installed():
        return servers[0].major
    version = re.search(r"postgresql-(\d+)", _output("apt-cache", "depends", "postgresql"))
    if not version:
        raise PostgresMissingError(MISSING.format(what="PostgreSQL", why="apt-get knows no package postgresql"))
    return int(version.group(1))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        server = ensure()
    except (PostgresMissingError, subprocess.CalledProcessError) as error:
        log.error("%s", error)
        sys.exit(1)
    log.info("PostgreSQL %s%s in %s", server.major, " with PostGIS" if server.postgis else "", server.bin)
