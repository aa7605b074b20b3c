"""A load in a control group of its own: the kernel holds its limits, and says whom it ended.

Only where this process may make one (version 2, delegated or root's): else they are skipped, and what holds there
instead stands in test_limited.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluiceway.errors import LoadEndedError, MemoryLimitError
from sluiceway.load import cgroup, limited
from sluiceway.load.limited import Ended, run_within
from sluiceway.tables.limits import Limits

MIB = 1 << 20
LIMITS = Limits(64 * MIB, 0.5)


def may_be_made() -> bool:
    group = cgroup.make(LIMITS)
    if group is None:
        return False
    group.remove()
    return group.holds_memory and group.holds_cpu


real = pytest.mark.skipif(not may_be_made(), reason="no control group of version 2 may be made here")


@pytest.fixture
def ended() -> list[Ended]:
    return []


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    assert groups() == []


def groups() -> list[Path]:
    return [path for parent in cgroup._parents() for path in parent.glob(f"{cgroup.NAME}*")]


def stands_in() -> Path:
    return cgroup.ROOT / Path("/proc/self/cgroup").read_text(encoding="ascii").strip().removeprefix("0::/")


def hold(size: int) -> None:
    held = bytearray()
    while len(held) < size:
        held += b"x" * MIB


@real
def test_the_work_stands_in_a_group_with_its_limits_and_none_is_left(ended: list[Ended]) -> None:
    def work() -> list[str]:
        deadline = time.monotonic() + 10
        while cgroup.NAME not in str(stands_in()) and time.monotonic() < deadline:
            time.sleep(0.01)
        names = ("memory.max", "memory.oom.group", "cpu.max")
        return [(stands_in() / name).read_text(encoding="ascii").strip() for name in names]

    assert run_within(LIMITS, work, ended.append) == [str(64 * MIB), "1", "50000 100000"]


@real
def test_work_that_needs_more_is_ended_by_the_kernel_and_this_process_goes_on(ended: list[Ended]) -> None:
    with pytest.raises(MemoryLimitError, match=r"the load had [\d.]+ .iB and its limit is 64 MiB.*Set `memory`"):
        run_within(LIMITS, lambda: hold(256 * MIB), ended.append)
    assert len(ended) == 1


@real
def test_all_of_the_work_ends_with_what_it_has_started(ended: list[Ended]) -> None:
    code = f"held = bytearray()\nwhile len(held) < {256 * MIB}: held += b'x' * {MIB}"

    def work() -> None:
        subprocess.run([sys.executable, "-c", code], check=False)
        time.sleep(60)

    with pytest.raises(MemoryLimitError):
        run_within(LIMITS, work, ended.append)


@real
def test_a_kill_by_a_person_is_told_from_one_by_the_kernel_that_happens_meanwhile(ended: list[Ended]) -> None:
    def work() -> None:
        # in a group of its own the kernel ends another process, as it would a neighbour's load
        with pytest.raises(MemoryLimitError):
            run_within(Limits(16 * MIB), lambda: hold(128 * MIB), lambda _: None)
        os.kill(os.getpid(), signal.SIGKILL)

    before = limited._killed_by_kernel()
    with pytest.raises(LoadEndedError, match=r"signal 9 \(SIGKILL\).*by hand or by a crash"):
        run_within(Limits(512 * MIB), work, ended.append)
    assert limited._killed_by_kernel() >= before


@real
def test_the_group_of_a_process_that_was_killed_is_removed_by_the_next_load(ended: list[Ended]) -> None:
    code = (
        "import os, signal; from sluiceway.load.limited import run_within; from sluiceway.tables.limits import Limits\n"
        "run_within(Limits(67108864), lambda: (os.kill(os.getppid(), signal.SIGKILL), signal.pause()), print)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(groups()) == 1
    assert run_within(LIMITS, lambda: 1, ended.append) == 1


def test_none_is_made_where_there_is_no_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    assert cgroup.make(LIMITS) is None
