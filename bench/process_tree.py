"""Runs a command and measures it: seconds, and the peak memory of all its processes together."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Measured:
    """One run of a command. Memory is the resident set of the whole process tree, in bytes."""

    seconds: float
    peak_bytes: int
    output: str


def measure(command: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Measured:
    """Run `command` to its end; raises SystemExit with its last lines when it fails."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=dict(env), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = 0
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_SECONDS):
            peak = max(peak, resident_bytes(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        output, _ = process.communicate()
    finally:
        done.set()
        sampler.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ... failed:\n{output[-2000:]}")
    return Measured(time.monotonic() - started, peak, output)


def resident_bytes(pid: int) -> int:
    """Memory of a process and all its descendants; what ends meanwhile counts as nothing."""
    total = 0
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
