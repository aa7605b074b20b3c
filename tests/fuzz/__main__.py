"""Feed every target in turn, and tell what was answered by a traceback, a crash, or too much memory or time.

python -m tests.fuzz --seconds 600 [--seed 7] [--only csv wkb ...]
"""

from __future__ import annotations

import argparse
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from dev.environment import ROOT
from tests.fuzz.all_targets import TARGETS

FOUND = ROOT / ".local" / "fuzz"
MOST_MB = 400
"""More than before the first input, of the process and its children."""
LONGEST_S = 30.0
"""For one input."""
LOOK_S = 0.05
SHOWN = 300
"""Characters of an error."""
_ERROR = re.compile(r"[\w.]+(Error|Exception|Warning)\b")


@dataclass
class Told:
    """What came of one target."""

    tried: int = 0
    wrong: str | None = None
    peak_mb: int = 0


def main() -> int:
    """Exit code 1 where anything was found; the input stands in .local/fuzz/."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--only", nargs="*", choices=TARGETS, default=list(TARGETS), metavar="TARGET")
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}\n")
    FOUND.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name in arguments.only:
        told = feed(name, arguments.seconds / len(arguments.only), arguments.seed)
        wrong += told.wrong is not None
        sys.stdout.write(
            f"{name:<18} {told.tried:>7,} inputs, {told.peak_mb:>4} MB more  {told.wrong or 'all answered'}\n"
        )
        sys.stdout.flush()
    sys.stdout.write(f"{wrong} of {len(arguments.only)} targets answered an input wrongly\n")
    return int(wrong > 0)


def feed(name: str, seconds: float, seed: int) -> Told:
    """Feed one target in a process of its own, and watch over it."""
    current, tried, log = (FOUND / f"{name}.{ending}" for ending in ("input", "tried", "log"))
    for left in (current, tried):
        left.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.child", name, f"--seconds={seconds}", f"--seed={seed}"]
    told = Told()
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [*command, f"--current={current}", f"--tried={tried}"], stdout=subprocess.PIPE, stderr=errors, cwd=ROOT
        ) as child,
    ):
        assert child.stdout is not None
        if child.stdout.readline() == b"begun\n":
            told.wrong = _watch(psutil.Process(child.pid), current, told)
    told.tried = int(tried.read_text(encoding="ascii")) if tried.exists() else 0
    if told.wrong is None and child.returncode != 0:
        told.wrong = f"ended with {child.returncode}\n{log.read_text(encoding='utf-8', errors='replace')}"
    if told.wrong is not None:
        kept = _kept(name, current)
        kept.with_suffix(".why").write_text(told.wrong, encoding="utf-8", errors="replace")
        said = next((line for line in reversed(told.wrong.splitlines()) if _ERROR.match(line)), told.wrong)
        told.wrong = f"{said[:SHOWN]}\n  {kept}, why: {kept.with_suffix('.why').name}"
    return told


def _watch(process: psutil.Process, current: Path, told: Told) -> str | None:
    """Until it ends; why it was ended, where it was."""
    before = _megabytes(process)
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        told.peak_mb = max(told.peak_mb, _megabytes(process) - before)
        why = None
        if told.peak_mb > MOST_MB:
            why = f"it takes {told.peak_mb} MB more than before"
        elif _tried_since(current) > LONGEST_S:
            why = f"one input takes more than {LONGEST_S:g} s"
        if why is not None:
            process.kill()
            return why
        time.sleep(LOOK_S)
    return None


def _tried_since(current: Path) -> float:
    """Seconds; 0 where it was answered."""
    try:
        began = current.stat().st_mtime
    except FileNotFoundError:
        return 0
    return time.time() - began if began else 0


def _megabytes(process: psutil.Process) -> int:
    try:
        tree = [process, *process.children(recursive=True)]
        return sum(each.memory_info().rss for each in tree) >> 20
    except psutil.NoSuchProcess:
        return 0


def _kept(name: str, current: Path) -> Path:
    """The input that did it, where the next one does not take its place."""
    kept = FOUND / f"{name}-{int(time.time())}"
    if current.exists():
        kept.write_bytes(current.read_bytes())
    return kept


if __name__ == "__main__":
    sys.exit(main())
