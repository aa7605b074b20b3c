"""Benchmark of the local stack at rest: what each of its processes costs while nobody does anything.

    make bench-idle

Two stacks one after the other, round by round: one without a DAG, which is Airflow's own part, and one with those of
`dags/`. Prints a table and writes bench/results/idle.json. Everything lives in .local/bench-idle.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from dev.components import COMMANDS
from dev.environment import ROOT
from dev.guard import marked
from dev.stack import Stack

BENCH = ROOT / ".local" / "bench-idle"
RESULTS = ROOT / "bench" / "results" / "idle.json"
STACKS = ("bare", "shipped")
OURS = ("supervisor", "guard", "launcher")
"""Processes that run no code of Airflow's."""
LIMIT = 0.05
"""Cores, of all that is ours: those processes, and what the DAGs of `dags/` add to Airflow's."""
WARM_UP_S, MEASURED_S = 45.0, 60.0

console = Console(highlight=False)


def dags_of(name: str) -> Path:
    """The DAG files of a stack."""
    if name == "shipped":
        return ROOT / "dags"
    empty = BENCH / "dags"
    empty.mkdir(parents=True, exist_ok=True)
    return empty


def part_of(process: psutil.Process) -> str:
    """Which part of the stack a process is, or is below."""
    command = process.cmdline()
    if "dev.guard" in command:
        return "guard"
    if "dev.supervisor" in command:
        return "supervisor"
    if process.name() == "postgres":
        return "postgres"
    log = Path(f"/proc/{process.pid}/fd/1").readlink().stem
    return log if log in COMMANDS else "launcher"


def used(stack: Stack) -> dict[str, float]:
    """Seconds of processor time of each part so far, with those of children that have ended."""
    found: dict[str, float] = dict.fromkeys(("guard", "supervisor", "launcher", *COMMANDS, "postgres"), 0.0)
    for process in marked(stack.env["SLUICEWAY_STACK"]):
        try:
            found[part_of(process)] += sum(process.cpu_times())
        except (psutil.NoSuchProcess, FileNotFoundError):
            continue  # what has ended meanwhile counts as its parent's
    return found


def rest(name: str) -> Iterator[dict[str, float]]:
    """Cores of each part over one window of a stack at rest."""
    with Stack.running(BENCH / "stack", dags=dags_of(name)) as stack:
        time.sleep(WARM_UP_S)
        before, began = used(stack), time.monotonic()
        time.sleep(MEASURED_S)
        after, seconds = used(stack), time.monotonic() - began
    yield {part: (after[part] - before[part]) / seconds for part in after}


def show(result: dict[str, Any]) -> None:
    """Print the figures beside what they must reach."""
    view = Table("process", *STACKS, "limit", box=None, pad_edge=False)
    for part in result["cores"]["bare"]:
        view.add_row(part, *(f"{result['cores'][name][part]:.3f}" for name in STACKS), "")
    view.add_row("all", *(f"{result['all'][name]:.3f}" for name in STACKS), "")
    view.add_row("Airflow's own", f"{result['airflow']:.3f}", "", "")
    view.add_row("ours", "", f"{result['ours']:.3f}", f"{LIMIT:.3f}")
    console.print(view)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    windows: dict[str, list[dict[str, float]]] = {name: [] for name in STACKS}
    for turn in range(repeats):
        for name in STACKS:
            console.print(f"Round {turn + 1} of {repeats}: {name}")
            windows[name] += rest(name)
    cores = {
        name: {part: statistics.median(each[part] for each in found) for part in found[0]}
        for name, found in windows.items()
    }
    total = {name: sum(parts.values()) for name, parts in cores.items()}
    airflow = total["bare"] - sum(cores["bare"][part] for part in OURS)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "cores": cores,
        "all": total,
        "airflow": airflow,
        "ours": total["shipped"] - airflow,
        "windows": windows,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)
    shutil.rmtree(BENCH)


if __name__ == "__main__":
    main()
