"""Programs beside PostgreSQL: what benchmarks and parity tests compare with, and Redis for the stack on Celery."""

from __future__ import annotations

import os
import shutil
import subprocess

from dev.errors import PeersMissingError

DEBIAN_PACKAGES = {"ogr2ogr": "gdal-bin", "shp2pgsql": "postgis", "redis-server": "redis-server"}


def ensure(*programs: str) -> None:
    """Install those that are missing, where apt-get can.

    :raises PeersMissingError: it cannot; says how a person can.
    """
    missing = [DEBIAN_PACKAGES[program] for program in programs if not shutil.which(program)]
    if not missing:
        return
    # RUNLEVEL: what is installed begins no service of its own
    quiet = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]
    install = [*quiet, "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    may_install = shutil.which("apt-get") and os.geteuid() == 0
    # a fresh machine has no package lists
    commands = [["apt-get", "update", "-q"], install] if may_install else []
    if not commands or any(subprocess.run(command, check=False).returncode for command in commands):
        raise PeersMissingError(f"These are missing; on Debian, Ubuntu: sudo apt-get install {' '.join(missing)}")
