"""Airflow's components and workers, as the supervisor sees them: started, told to go, started again."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dev import guard, workers
from dev.components import COMMANDS
from dev.environment import ROOT

log = logging.getLogger(__name__)

RESTART_S = 1.0


@dataclass
class AirflowProcesses:
    """The process whose children they are, and what is known of each.

    :param wanted: the file that lists the workers there shall be
    :param restarts: whether what ends by itself is started again, as Compose, Kubernetes and systemd do
    """

    process: subprocess.Popen[bytes]
    wanted: Path
    restarts: bool = False
    pids: dict[str, int] = field(default_factory=dict)
    """Of those that run, by name."""
    ended: dict[str, int] = field(default_factory=dict)
    """The status of each that ended by itself and is not started again."""
    _again: dict[str, float] = field(default_factory=dict)
    _beginning: set[str] = field(default_factory=set)
    _leaving: set[str] = field(default_factory=set)
    _heard: bytes = b""

    @classmethod
    def start(
        cls, env: Mapping[str, str], logs: Path, output: int, wanted: Path, *, restarts: bool
    ) -> AirflowProcesses:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev.components", logs],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        return cls(process, wanted, restarts)

    @property
    def spoken(self) -> int:
        """Readable when one began or ended."""
        assert self.process.stdout
        return self.process.stdout.fileno()

    def hear(self) -> bool:
        """Take in what began and ended, and have those started again that shall be; whether there was anything."""
        assert self.process.stdout
        *lines, self._heard = (self._heard + (self.process.stdout.read() or b"")).split(b"\n")
        for line in lines:
            event, name, value = line.decode().split()
            if event == "started":
                self.pids[name] = int(value)
                self._beginning.discard(name)
            else:
                self._has_ended(name, int(value))
        for name in [name for name, at in self._again.items() if at < time.monotonic()]:
            del self._again[name]
            self._begin(name)
        return bool(lines)

    def settle(self) -> None:
        """Start the workers that are missing, and drain those that shall go."""
        shall = {worker.name for worker in workers.read(self.wanted)}
        are = {name for name in self.pids if name not in COMMANDS}
        for name in sorted(shall - are - self._beginning - set(self._again)):
            self._begin(name)
        for name in sorted(are - shall - self._leaving):
            log.info("%s takes no more tasks, and ends after those that it has", name)
            self._leaving.add(name)
            self._order({"name": name, "signum": signal.SIGTERM})

    def next_s(self, longest: float) -> float:
        """How long nothing has to be done here, seconds."""
        return min([longest, *(max(0.01, at - time.monotonic()) for at in self._again.values())])

    def stop(self, patience_s: Sequence[float]) -> None:
        """Ask, and insist. To Airflow a second SIGTERM means not to wait for running tasks and triggers."""
        for seconds in patience_s:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue

    def _has_ended(self, name: str, status: int) -> None:
        pid = self.pids.pop(name)
        if name not in COMMANDS:
            # as a container's end is that of all that runs in it
            guard.end_session(pid)
        if name in self._leaving:
            self._leaving.discard(name)
            log.info("%s has gone", name)
            # it may be wanted again by now
            self.settle()
        elif self.restarts:
            log.warning("%s ended with status %d and is started again", name, status)
            self._again[name] = time.monotonic() + RESTART_S
        else:
            self.ended[name] = status

    def _begin(self, name: str) -> None:
        if name in COMMANDS:
            self._order({"name": name})
            return
        for worker in workers.read(self.wanted):
            if worker.name == name:
                self._beginning.add(name)
                self._order({"worker": asdict(worker)})

    def _order(self, order: Mapping[str, object]) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
