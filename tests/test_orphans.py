"""A process whose parent is killed ends too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

CHILD = """
import sys, time
from sluiceway.orphans import end_with_parent
if sys.argv[1] == "ends":
    end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has PR_SET_PDEATHSIG")
@pytest.mark.parametrize("how", ["ends", "goes on"])
def test_a_process_ends_with_its_parent_where_it_asks_for_that(how: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD, how], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            deadline = time.monotonic() + (10 if how == "ends" else 1)
            while time.monotonic() < deadline and _lives(child):
                time.sleep(0.02)
            assert _lives(child) == (how == "goes on")
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
