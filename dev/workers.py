"""The Celery workers of a local stack: which there shall be, each a machine of its own as far as this one can play it.

`python -m dev.workers scale N | stop NAME` changes them while the stack runs; its supervisor starts and drains them.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from dev.credentials import write_private
from dev.errors import StackError

if TYPE_CHECKING:
    from dev.stack import Stack

SLOTS = 2
QUEUES = ("default",)
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")

console = Console(highlight=False)


@dataclass(frozen=True)
class Worker:
    """One Celery worker.

    :param name: its host name, where the system lets a process have its own
    :param slots: tasks at the same time
    :param namespace: the network namespace that it lives in; None: the machine's
    """

    name: str
    slots: int = SLOTS
    queues: tuple[str, ...] = QUEUES
    namespace: str | None = None
    addresses: tuple[tuple[str, str], ...] = ()
    """What stands in its environment for the stack's servers, and what it must be there instead."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Worker:
        """One from its JSON."""
        addresses = tuple((here, there) for here, there in facts["addresses"])
        return cls(**{**facts, "queues": tuple(facts["queues"]), "addresses": addresses})

    def command(self) -> list[str]:
        """What `airflow` is told. Logs lie in a folder that all share: nobody serves them."""
        command = ["celery", "worker", "--queues", ",".join(self.queues), "--concurrency", str(self.slots)]
        return [*command, "--celery-hostname", self.name, "--skip-serve-logs"]

    def become(self, temporary: Path) -> None:
        """Make this process, which has one thread, stand on that machine: name, network, temporary folder, session."""
        os.setsid()
        libc = ctypes.CDLL(None, use_errno=True)
        if self.namespace:
            with (NAMESPACES / self.namespace).open() as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"network namespace {self.namespace} cannot be entered")
        # a user who is not root keeps the machine's name
        if libc.unshare(CLONE_NEWUTS) == 0:
            with suppress(PermissionError):
                socket.sethostname(self.name)
        folder = temporary / self.name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None
        for here, there in self.addresses:
            os.environ.update({key: value.replace(here, there) for key, value in os.environ.items()})


def several(count: int, *, slots: int = SLOTS) -> list[Worker]:
    """The first `count` workers."""
    return [Worker(f"worker-{number}", slots) for number in range(1, count + 1)]


def read(path: Path) -> list[Worker]:
    """Those that there shall be."""
    if not path.exists():
        return []
    return [Worker.of(each) for each in json.loads(path.read_text("utf-8"))]


def write(path: Path, workers: Iterable[Worker]) -> None:
    write_private(path, json.dumps([asdict(worker) for worker in workers], indent=2))


def scaled(workers: Sequence[Worker], count: int) -> list[Worker]:
    """So many: new ones are like the last, and the newest go first."""
    kept = list(workers[:count])
    names = {worker.name for worker in kept}
    like = workers[-1] if workers else Worker("worker-1")
    number = 0
    while len(kept) < count:
        number += 1
        if (name := f"worker-{number}") not in names:
            kept.append(replace(like, name=name, namespace=None, addresses=()))
    return kept


def without(workers: Sequence[Worker], name: str) -> list[Worker]:
    """All but that one.

    :raises StackError: there is none of that name.
    """
    if name not in (names := [worker.name for worker in workers]):
        raise StackError(f"there is no worker {name!r}: NAME is one of {', '.join(names) or 'none'}")
    return [worker for worker in workers if worker.name != name]


def running() -> Stack:
    """The stack of this checkout.

    :raises StackError: none runs, or it has no workers.
    """
    from dev.stack import Stack

    stack = Stack.attach()
    if not stack or not stack.on_celery:
        raise StackError("no stack with workers runs here: make up EXECUTOR=celery WORKERS=3")
    return stack


def change(change: Callable[[list[Worker]], list[Worker]], stack: Stack) -> list[Worker]:
    """Have a stack start and drain workers until they are as said."""
    workers = change(read(stack.layout.workers))
    write(stack.layout.workers, workers)
    os.kill(stack.supervisor, signal.SIGUSR1)
    return workers


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["scale", count] if count.isdigit():
                workers = change(lambda workers: scaled(workers, int(count)), running())
            case ["stop", name] if name:
                workers = change(lambda workers: without(workers, name), running())
            case _:
                console.print("usage: make workers N=5, or make worker-stop NAME=worker-2", markup=False)
                return 2
    except StackError as error:
        Console(stderr=True, highlight=False).print(f"{error}", markup=False)
        return 1
    names = ", ".join(worker.name for worker in workers)
    console.print(f"Workers: {names or 'none'}. One that goes ends its tasks first. `sluiceway workers` lists them.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
