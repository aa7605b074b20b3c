"""A triggerer that a test may kill: the stack ends when one of its own components does, so that one is only frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dev.stack import Stack


@dataclass(frozen=True)
class Triggerer:
    """One that runs, and what it writes."""

    process: psutil.Process
    log: Path

    def kill(self) -> None:
        """At once and whole, as a machine that goes away: its sockets too, when this returns."""
        every = [*self.process.children(recursive=True), self.process]
        for process in every:
            os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(every, timeout=10)
        assert not alive


@contextmanager
def own_triggerer(stack: Stack) -> Iterator[Triggerer]:
    """A triggerer beside the stack's for as long as the block lasts, unless it is killed before."""
    command = [str(Path(sys.executable).parent / "airflow"), "triggerer", "--skip-serve-logs"]
    path = stack.layout.logs / f"triggerer-{time.monotonic_ns()}.log"
    with path.open("wb") as log:
        child: subprocess.Popen[Any] = subprocess.Popen(
            command, env=dict(stack.env), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            yield Triggerer(psutil.Process(child.pid), path)
        finally:
            if child.poll() is None:
                for process in [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]:
                    process.kill()
            child.wait()


@contextmanager
def frozen_triggerer(stack: Stack) -> Iterator[None]:
    """The stack's own triggerer does nothing for as long as the block lasts."""
    log = str(stack.layout.logs / "triggerer.log")
    found = [process for process in psutil.process_iter() if _writes_to(process, log)]
    # the one that runs the triggers is its child, and writes into a pipe
    frozen = {each for process in found for each in (process, *process.children(recursive=True))}
    assert len(frozen) > 1
    for process in frozen:
        process.suspend()
    try:
        yield
    finally:
        for process in frozen:
            process.resume()


def _writes_to(process: psutil.Process, log: str) -> bool:
    try:
        return str(Path(f"/proc/{process.pid}/fd/1").readlink()) == log
    except OSError:
        return False
