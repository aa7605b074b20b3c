"""Benchmark of the trigger: what one call costs over the answers of Airflow, on each Python that a runner may have.

    make bench-trigger

Airflow's stand-in takes 50 ms for each answer; what it spends is taken off. Prints a table and writes
bench/results/trigger.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dev.environment import ROOT
from tests.stand_ins.airflow_rest import PASSWORD, USERNAME, AirflowRest

SCRIPT = ROOT / "include" / "sluiceway" / "deploy" / "trigger.py"
RESULTS = ROOT / "bench" / "results" / "trigger.json"
ANSWER_S = 0.05
LIMIT_S, LIMIT_MB = 0.5, 40
# a process begins with the peak of the one that started it, so a small one stands between
BETWEEN = """
import json, os, sys, time
began = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)]))
"""

console = Console(highlight=False)


@dataclass(frozen=True)
class Figures:
    """One Python, one case."""

    python: str
    case: str
    own_s: list[float]
    answers: int
    peak_mb: float


def pythons() -> dict[str, str]:
    """By version: this one, and what else is installed from 3.9 on."""
    found = {platform.python_version(): sys.executable}
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")):
        version = path.parent.parent.name
        if int(version.split(".")[1]) >= 9:
            found.setdefault(version, str(path))
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def measure(version: str, python: str, case: str, repeats: int) -> Figures:
    """Several calls: "new" starts a run each time, "there" finds it."""
    own, peaks, answers = [], [], 0
    with AirflowRest(answer_s=ANSWER_S) as airflow:
        airflow.add_dag(tags=["build:1"])
        for number in range(repeats + 1):
            commit = f"{number if case == 'new' else 0:040x}"
            airflow.spent_s, airflow.requests = 0.0, []
            command = [python, str(SCRIPT), "--url", airflow.uri, "--commit", commit, "--build-id", "1"]
            env = {"PATH": os.environ["PATH"], "AIRFLOW_USERNAME": USERNAME, "AIRFLOW_PASSWORD": PASSWORD}
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", BETWEEN, *command],
                env=env,
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, peak, code = json.loads(done.stdout.splitlines()[-1])
            if code != 0:
                raise SystemExit(done.stderr)
            if number == 0:
                continue  # reads the interpreter from disk, and makes the run of "there"
            own.append(round(seconds - airflow.spent_s, 4))
            peaks.append(peak / 2**20)
            answers = len(airflow.requests)
    return Figures(version, case, own, answers, round(max(peaks), 1))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    figures = [measure(*python, case, repeats) for python in pythons().items() for case in ("new", "there")]
    view = Table("Python", "run", "answers", "own s, median", "own s, worst", "peak MB", box=None, pad_edge=False)
    for each in figures:
        median, worst = f"{statistics.median(each.own_s):.3f}", f"{max(each.own_s):.3f}"
        view.add_row(each.python, each.case, str(each.answers), median, worst, f"{each.peak_mb:.1f}")
    console.print(view)
    console.print(f"limits: {LIMIT_S} s of its own, {LIMIT_MB} MB")
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
        "answer_s": ANSWER_S,
        "calls": [asdict(each) for each in figures],
        "own_s": max(statistics.median(each.own_s) for each in figures),
        "peak_mb": max(each.peak_mb for each in figures),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
