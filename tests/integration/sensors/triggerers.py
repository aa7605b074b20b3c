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

import psutil

from dev.environment import ROOT
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


@dataclass(frozen=True)
class Triggerers:
    """Starts them beside the stack's."""

    stack: Stack
    _parent: subprocess.Popen[str]

    @contextmanager
    def running(self) -> Iterator[Triggerer]:
        """One that runs for as long as the block lasts, unless it is killed before."""
        log = self.stack.layout.logs / f"triggerer-{time.monotonic_ns()}.log"
        assert self._parent.stdin and self._parent.stdout
        self._parent.stdin.write(f"{log}\n")
        self._parent.stdin.flush()
        triggerer = Triggerer(psutil.Process(int(self._parent.stdout.readline())), log)
        try:
            yield triggerer
        finally:
            if triggerer.process.is_running():
                triggerer.kill()


@contextmanager
def own_triggerers(stack: Stack) -> Iterator[Triggerers]:
    """They are forked from one process that has imported Airflow, as those of the stack are."""
    command = [sys.executable, "-m", "tests.integration.sensors.spare_triggerers"]
    with subprocess.Popen(
        command, env=dict(stack.env), cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        try:
            yield Triggerers(stack, parent)
        finally:
            assert parent.stdin
            parent.stdin.close()


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
