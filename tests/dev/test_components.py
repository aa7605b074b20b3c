"""The process from which Airflow's components, their workers and the tasks are forked."""

from __future__ import annotations

import subprocess
import sys

FORKED = """
import os, sys
from functools import partial
from pathlib import Path
import sluiceway.amounts
from dev.components import forget_if_edited

before, written = sluiceway.amounts, {Path(sluiceway.amounts.__file__): EDITED}
os.register_at_fork(after_in_child=partial(forget_if_edited, written))
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
import sluiceway.amounts
print("task", sluiceway.amounts is before, flush=True)
of_task = sluiceway.amounts
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
import sluiceway.amounts
print("load", sluiceway.amounts is of_task, flush=True)
"""
"""A component that forks a task, which forks a load."""


def forked(edited: str) -> list[str]:
    script = FORKED.replace("EDITED", edited)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()


def test_a_task_imports_the_edited_library_and_its_load_goes_on_with_that() -> None:
    assert forked("0") == ["task False", "load True"]


def test_a_task_takes_the_library_over_that_nobody_has_edited() -> None:
    assert forked("Path(sluiceway.amounts.__file__).stat().st_mtime_ns") == ["task True", "load True"]
