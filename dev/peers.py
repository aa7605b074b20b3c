"""Programs that the benchmarks and the parity tests compare with: ogr2ogr, shp2pgsql."""

from __future__ import annotations

import os
import shutil
import subprocess

from dev.errors import PeersMissingError

DEBIAN_PACKAGES = {"ogr2ogr": "gdal-bin", "shp2pgsql": "postgis"}


def ensure(*programs: str) -> None:
    """Install those that are missing, where apt-get can.

    :raises PeersMissingError: it cannot; says how a person can.
    """
    missing = [DEBIAN_PACKAGES[program] for program in programs if not shutil.which(program)]
    if not missing:
        return
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    may_install = shutil.which("apt-get") and os.geteuid() == 0
    # a fresh machine has no package lists
    commands = [["apt-get", "update", "-q"], install] if may_install else []
    if not commands or any(subprocess.run(command, check=False).returncode for command in commands):
        raise PeersMissingError(f"These are missing; on Debian, Ubuntu: sudo apt-get install {' '.join(missing)}")
