"""No process outlives the stack: adopt what is orphaned below, end everything below.

`python -m dev.guard COMMAND...` runs a command and, when it ends in whatever way (kill -9 too), ends all that it left.
On Linux a subreaper becomes the parent of every orphan below it: descent finds them all, whatever their session.
Elsewhere the marker that every process of a stack carries in its environment finds them.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection

import psutil

MARKER = "SLUICEWAY_STACK"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINUX = sys.platform == "linux"


def become_subreaper() -> None:
    """From now on, orphans below this process become its children."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent_pid: int, signum: int = signal.SIGTERM) -> None:
    """Get `signum` when the parent dies, also if it died before this call."""
    _prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signum)


def marked(stack_id: str) -> list[psutil.Process]:
    """Every process that carries this stack's marker, other than the caller."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == stack_id:
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    return found


def below(stack_id: str | None = None) -> list[psutil.Process]:
    """Every live process below this one, and outside Linux every one that carries the marker."""
    found = psutil.Process().children(recursive=True)
    if stack_id and not LINUX:
        found = list({*found, *marked(stack_id)})
    return [process for process in found if _alive(process)]


def end_all(stack_id: str | None = None, *, patience: float = 5, spare: Collection[int] = ()) -> None:
    """End every process below this one: politely, then after `patience` seconds by force.

    `spare` names pids that are left alone, with all below them. New processes may appear while old ones end, so it
    repeats until nothing is left.
    """
    deadline = time.monotonic() + patience
    asked: set[psutil.Process] = set()
    while left := _without(below(stack_id), spare):
        late = time.monotonic() > deadline
        for process in left:
            if late or process not in asked:
                _end(process, force=late and time.monotonic() > deadline + (10 if _is_postgres(process) else 0))
                asked.add(process)
        time.sleep(0.05)
        reap(spare)
    reap(spare)


def end_session(session: int) -> None:
    """End by force every process below this one that belongs to a session, whose leader has ended."""
    for process in below():
        try:
            if os.getsid(process.pid) == session:
                process.kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def reap(spare: Collection[int] = ()) -> None:
    """Collect adopted children that have ended; `spare` are those whose exit status somebody else waits for."""
    for process in psutil.Process().children():
        try:
            if process.pid not in spare and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
        except (psutil.NoSuchProcess, ChildProcessError):
            continue


def _prctl(option: int, value: int) -> None:
    if LINUX and ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) was refused")


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _without(processes: list[psutil.Process], spare: Collection[int]) -> list[psutil.Process]:
    """Leave out the spared ones and what runs below them."""
    if not spare:
        return processes
    kept = []
    for process in processes:
        try:
            if process.pid not in spare and not any(parent.pid in spare for parent in process.parents()):
                kept.append(process)
        except psutil.NoSuchProcess:
            continue
    return kept


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _end(process: psutil.Process, *, force: bool) -> None:
    """PostgreSQL's children are its own business: only the postmaster is told, and SIGINT means a fast shutdown."""
    try:
        if not _is_postgres(process):
            process.send_signal(signal.SIGKILL if force else signal.SIGTERM)
        elif (parent := process.parent()) is None or parent.name() != "postgres":
            process.send_signal(signal.SIGQUIT if force else signal.SIGINT)
    except psutil.NoSuchProcess:
        return


def main() -> int:
    become_subreaper()
    child = subprocess.Popen(sys.argv[1:])
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _frame: child.send_signal(number))
    status = child.wait()
    end_all(os.environ.get(MARKER), patience=2)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
