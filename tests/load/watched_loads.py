"""Loads in a process of their own, watched from outside: what each said, how long it took, and the most memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from bench.process_tree import resident_bytes
from dev.environment import ROOT

LOOK_S = 0.01
MOST_S = 45.0
"""It is ended then."""
MOST_BYTES = 2 << 30
"""It is ended then, for the sake of the machine."""
USED_BYTES = 150 << 20
"""What libraries keep of earlier loads is no part of the next one: there is another process then."""

LOADS = """
import ctypes, sys, time
from json import dumps, loads
from pathlib import Path
import pyarrow, shapely
from sluiceway.errors import SluicewayError
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.infer.preview import preview
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.sources.formats.arrow import use_little_memory
from sluiceway.tables.registry import read_spec

use_little_memory()
for line in sys.stdin:
    path, url, run, how = loads(line)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    started = time.monotonic()
    try:
        if how == "infer":
            infer(Asked(path))
            said = "drafted"
        elif how == "preview":
            preview(read_spec(Path(path)))
            said = "shown"
        else:
            result = load_table(read_spec(Path(path)), url, run=RunKey("master_etl", run), force=True)
            said = f"{result.status}: {result.extracted} rows"
    except SluicewayError as error:
        said = f"{type(error).__name__}: {error}"
    print(dumps([said, time.monotonic() - started]), flush=True)
"""


class Watched(NamedTuple):
    """One load: what it said in the end."""

    said: str
    seconds: float
    peak: int
    """Bytes of all its processes together."""


class WatchedLoads:
    """A process that loads one table after the other."""

    def __init__(self, url: str, run: str) -> None:
        self._url, self._run = url, run
        self._process: subprocess.Popen[str] | None = None

    def load(self, path: Path, how: str = "load") -> Watched:
        """Load the table of the file `path`; or `infer` what that file is, or `preview` the table."""
        process = self._started()
        assert process.stdin and process.stdout
        peak, ended = 0, threading.Event()
        started = time.monotonic()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(LOOK_S):
                peak = max(peak, resident_bytes(process.pid))
                if peak > MOST_BYTES or time.monotonic() - started > MOST_S:
                    process.kill()
                    return

        watcher = threading.Thread(target=watch)
        process.stdin.write(json.dumps([str(path), self._url, self._run, how]) + "\n")
        process.stdin.flush()
        watcher.start()
        try:
            answer = process.stdout.readline()
            highest = _highest(process.pid)
        finally:
            ended.set()
            watcher.join()
        if not answer:
            status = process.wait()
            self._process = None
            name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            return Watched(f"its process ended by {name}", time.monotonic() - started, peak)
        said, seconds = json.loads(answer)
        return Watched(said, seconds, max(peak, highest))

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and resident_bytes(self._process.pid) > USED_BYTES:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LOADS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
            )
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate(timeout=MOST_S)
            self._process = None


def _highest(pid: int) -> int:
    """The most that the process itself had since it was asked."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)
