"""A control group for one load (cgroups(7), version 2): the kernel itself holds its limits and counts whom it ends.

One can be made where the worker's user owns a part of the tree and no process stands in the folder above: a systemd
unit with Delegate=yes whose processes stand in a group below its own, say (deploy/systemd/airflow-worker.service).
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sluiceway.tables.limits import Limits

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
NAME = "sluiceway-load-"
"""Begins the name of each; the id of the process that made it follows."""
PERIOD_US = 100_000
REMOVED_WITHIN_S = 2.0

_numbers = itertools.count(1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cgroup:
    """The control group of one load."""

    path: Path
    holds_memory: bool
    holds_cpu: bool

    def take_in(self, pid: int) -> None:
        """Have a process stand in it, with all that it starts; raises OSError where that may not be."""
        (self.path / "cgroup.procs").write_text(f"{pid}\n", encoding="ascii")

    def peak(self) -> int:
        """The most memory that it had, bytes; 0 where the kernel does not say (before 5.19)."""
        try:
            return int((self.path / "memory.peak").read_text(encoding="ascii"))
        except OSError:
            return 0

    def reached_limit(self) -> bool:
        """Whether the kernel has ended what stood in it for its own limit, and not for want of memory elsewhere."""
        return _count(self.path, "oom_kill") > 0 and _count(self.path, "oom") > 0

    def killed(self) -> int:
        """How many of its processes the kernel has ended for want of memory, its own or the machine's."""
        return _count(self.path, "oom_kill")

    def remove(self) -> None:
        """End what is left in it, and remove it; what cannot be removed a later load removes."""
        # a kernel before 5.14 has no such file
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1\n", encoding="ascii")
        deadline = time.monotonic() + REMOVED_WITHIN_S
        while True:
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    log.warning("The control group %s cannot be removed: %s", self.path, error)
                    return
                time.sleep(0.02)
            else:
                return


def make(limits: Limits) -> Cgroup | None:
    """A control group that holds these limits, the memory's in any case; None where none may be made."""
    for parent in _parents():
        _remove_left(parent)
        holds_memory = limits.memory is not None and _has(parent, "memory")
        holds_cpu = limits.cpu is not None and _has(parent, "cpu")
        if holds_memory < (limits.memory is not None) or not (holds_memory or holds_cpu):
            continue
        group = Cgroup(parent / f"{NAME}{os.getpid()}-{next(_numbers)}", holds_memory, holds_cpu)
        try:
            group.path.mkdir()
        except OSError:
            continue
        try:
            _set(group, limits)
        except OSError as error:
            log.debug("%s: %s", group.path, error)
            group.remove()
            continue
        return group
    return None


def killed_in_own() -> int | None:
    """How many processes of this process's own control group, its container's say, the kernel has ended so far for
    want of memory; None where only the whole machine is counted."""
    own = _own()
    if own is None or not (own / "memory.events").is_file():
        return None
    return _count(own, "oom_kill")


def _set(group: Cgroup, limits: Limits) -> None:
    def write(file: str, value: object) -> None:
        (group.path / file).write_text(f"{value}\n", encoding="ascii")

    if group.holds_memory:
        write("memory.max", limits.memory)
        # all of a load or nothing: a process of it alone that is gone would leave the others waiting
        write("memory.oom.group", 1)
        # a kernel without swap has no such file
        if (group.path / "memory.swap.max").exists():
            write("memory.swap.max", 0)
    if group.holds_cpu and limits.cpu is not None:
        write("cpu.max", f"{int(limits.cpu * PERIOD_US)} {PERIOD_US}")


def _own() -> Path | None:
    """The control group of this process; None where they are not of version 2."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/"):
            return ROOT / line.removeprefix("0::/")
    return None


def _parents() -> Iterator[Path]:
    """Below which a load's may stand: the one above this process's own, where nothing of ours stands; else that.

    systemd's slices are its own, also where this process might write there.
    """
    own = _own()
    if own is None:
        return
    for path in (own.parent, own) if own != ROOT else (own,):
        if path.suffix != ".slice" and (path / "cgroup.controllers").is_file():
            yield path


def _has(parent: Path, controller: str) -> bool:
    """Whether groups below have a controller; it is switched on where that is allowed."""
    switched = parent / "cgroup.subtree_control"
    try:
        if controller not in switched.read_text(encoding="ascii").split():
            # refused where this process may not, or where processes stand in the parent itself
            switched.write_text(f"+{controller}\n", encoding="ascii")
    except OSError:
        return False
    return True


def _remove_left(parent: Path) -> None:
    """Remove the groups whose makers were killed; the kernel removes none in which a process stands."""
    for path in parent.glob(f"{NAME}*"):
        pid = path.name.removeprefix(NAME).partition("-")[0]
        if not Path(f"/proc/{pid}").exists():
            with suppress(OSError):
                path.rmdir()


def _count(path: Path, event: str) -> int:
    try:
        lines = (path / "memory.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{event} ")), 0)
