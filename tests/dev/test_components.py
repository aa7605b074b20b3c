"""The process from which Airflow's components, their workers and the tasks are forked."""

from __future__ import annotations

import subprocess
import sys

from dev.environment import ROOT

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


PRELOADED = """
import runpy, sys
from dev.components import import_library

import_library()
before = set(sys.modules)
runpy.run_path("dags/master_etl.py")
print(*sorted(name for name in set(sys.modules) - before if name.startswith("sluiceway.")))
"""
"""What a task imports of the library when it parses its DAG's file, beside what it was forked with."""


def test_a_task_of_the_master_is_forked_with_what_its_dag_file_imports() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", PRELOADED], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    ).stdout.split()
    # the kinds of what starts a flow are imported for the flows that have them
    assert [name for name in imported if not name.startswith("sluiceway.flows.kinds")] == []
