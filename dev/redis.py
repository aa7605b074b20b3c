"""The Redis of a local stack that runs its tasks on Celery: private port, generated password, in `.local/redis`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from dev import peers
from dev.cluster import free_port
from dev.credentials import Credentials
from dev.errors import StackStartError

START_SECONDS = 20
STOP_SECONDS = 10


@dataclass
class Redis:
    """One server in one folder. It keeps what it was told: an append-only file, written each second.

    :param folder: holds the data, and the server's log
    :param credentials: where the password is
    """

    folder: Path
    credentials: Credentials
    host: str = "127.0.0.1"
    also: tuple[str, ...] = ()
    """Addresses that it listens on beside."""
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"redis://:{self.credentials.password('redis')}@{self.host}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it, on the port of the last time where that is free.

        :raises PeersMissingError: no server is installed, and none can be.
        :raises StackStartError: it does not answer.
        """
        peers.ensure("redis-server")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(self.port or None)
        settings = {
            "bind": " ".join((self.host, *self.also)),
            "port": self.port,
            "dir": self.folder,
            "requirepass": self.credentials.password("redis"),
            "appendonly": "yes",
            "save": '""',
            "daemonize": "no",
        }
        with (self.folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*_ended_with_parent(), "redis-server", "-"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,
                env={"PATH": os.environ["PATH"], **self.environment},
            )
        assert self._process.stdin
        # not by arguments, which everybody on the machine can read
        with self._process.stdin as order:
            order.write("".join(f"{key} {value}\n" for key, value in settings.items()).encode())
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackStartError(f"Redis did not start; see {self.folder / 'server.log'}")
            time.sleep(0.05)

    def ended(self) -> bool:
        """Whether a server that was started has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(1) == b"-"  # it asks for the password
        except OSError:
            return False


def _ended_with_parent() -> list[str]:
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
