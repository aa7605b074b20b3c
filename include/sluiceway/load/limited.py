"""A load in a process of its own: what ends it ends no more than that, and this process says why and at which rows.

It may hold so much memory and no more, where its table's file says so.

A control group holds the limits where one may be made (cgroup.py). Elsewhere this process looks at the other's resident
memory twenty times a second, and ends it once it is more; nothing limits its processors. What the kernel ends for want
of memory it counts: in that control group, else in this process's own, a container's say, else for the whole machine
(proc(5), /proc/vmstat, `oom_kill`), so that it can be told from what a person ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from sluiceway.amounts import size
from sluiceway.errors import LoadEndedError, MemoryLimitError, SluicewayError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect, forget_connection
from sluiceway.load import cgroup, whereabouts
from sluiceway.load.attempt import Attempt
from sluiceway.load.cgroup import Cgroup
from sluiceway.load.table import load_table
from sluiceway.load.unchanged import Look, look
from sluiceway.orphans import end_with_parent
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.tables.limits import Limits
from sluiceway.tables.spec import TableSpec

T = TypeVar("T")
LOOK_S = 0.05
VMSTAT = Path("/proc/vmstat")
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """How a load's process ended without a word."""

    error: SluicewayError
    peak: int
    """The most resident memory that was seen of it, bytes."""


def load_within_memory(
    spec: TableSpec,
    url: str,
    *,
    run: RunKey,
    try_number: int,
    force: bool = False,
    connections: Connections = from_environment,
    from_parts: bool = False,
) -> TableRun:
    """As `load_table`, in a process of its own that may have what the table's file says of memory and processors.

    A local file that is still the one that was loaded needs none.

    :raises MemoryLimitError: the load needs more; nothing of it was written, and the ledger says so.
    :raises LoadEndedError: its process was ended, or it crashed.
    :raises SluicewayError: as load_table.
    """
    attempt = Attempt(run, try_number)
    seen = Look() if from_parts else look(spec, url, attempt, force=force, connections=connections)
    if seen.unchanged is not None:
        return seen.unchanged
    work = partial(
        load_table,
        spec,
        url,
        run=run,
        try_number=try_number,
        force=force,
        connections=connections,
        hashed=seen.hashed,
        from_parts=from_parts,
    )
    if attempt.numbered is None:
        with connect(url) as ledger:
            attempt.number(ledger, spec.name)

    def record(ended: Ended) -> None:
        attempt.peak = ended.peak
        # whether it had committed its load is to be seen in the ledger alone
        attempt.is_written = True
        attempt.record_failure(url, spec.name, ended.error)

    return run_within(spec.limits, work, record)


def run_within(limits: Limits, work: Callable[[], T], when_ended: Callable[[Ended], None]) -> T:
    """What `work` returns or raises, done in a process that may have so much memory and so many processors.

    Only Linux tells how much another process has; elsewhere it runs in this one, without a limit, and its crash is its
    task's.

    :param when_ended: is told when the process ended without a word, before the error is raised.
    :raises MemoryLimitError: it had more, and was ended.
    :raises LoadEndedError: somebody or something else has ended it.
    """
    if sys.platform != "linux":
        if limits != Limits():
            log.warning("The limits of memory and processors do not hold on this system.")
        return work()
    group = cgroup.make(limits) if limits != Limits() else None
    if limits.cpu is not None and not (group and group.holds_cpu):
        log.warning("Nothing limits the load to %g processors: no control group may be made for it here.", limits.cpu)
    try:
        return _run_in_child(limits, group, work, when_ended)
    finally:
        if group is not None:
            group.remove()


def _run_in_child(
    limits: Limits, group: Cgroup | None, work: Callable[[], T], when_ended: Callable[[Ended], None]
) -> T:
    killed_before = _killed_by_kernel()
    whereabouts.forget()
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        _work_in_child(work, reading, writing)
    os.close(writing)
    group = _taken_in(group, pid)
    held_here = None if group is not None and group.holds_memory else limits.memory
    message, peak, is_over = _watch(pid, reading, held_here)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if message and not is_over:
        is_good, outcome = pickle.loads(message)  # noqa: S301  # the process is this one's own
        if not is_good:
            raise outcome
        return cast(T, outcome)
    if status == -signal.SIGKILL and group is not None and group.holds_memory:
        is_over, peak, killed = group.reached_limit(), max(peak, group.peak()), group.killed()
    else:
        killed = _killed_by_kernel() - killed_before
    ended = Ended(_error(limits.memory, peak, is_over, status, killed), peak)
    when_ended(ended)
    raise ended.error


def _taken_in(group: Cgroup | None, pid: int) -> Cgroup | None:
    """The control group, with the process in it; None: it may not stand there."""
    if group is None:
        return None
    try:
        group.take_in(pid)
    except OSError as error:
        log.warning("The load may not stand in the control group %s: %s", group.path, error)
        return None
    return group


def _work_in_child(work: Callable[[], object], reading: int, writing: int) -> None:
    """Never returns: what it raises is raised by the process that waits."""
    os.close(reading)
    outcome: tuple[bool, object] | None = None
    try:
        end_with_parent()
        _end_of_crashes()
        forget_connection()
        outcome = (True, work())
    finally:
        if (error := sys.exc_info()[1]) is not None:
            error.add_note("".join(traceback.format_exception(error)))
            outcome = (False, error.with_traceback(None))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(_pickled(outcome or (False, None)))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end_of_crashes() -> None:
    """Airflow listens to SIGSEGV where it parses DAGs, in a task too: a crash would go on for ever at where it came."""
    for each in CRASHES:
        if callable(signal.getsignal(each)):
            signal.signal(each, signal.SIG_DFL)


def _pickled(outcome: tuple[bool, object]) -> bytes:
    try:
        return pickle.dumps(outcome)
    except (pickle.PicklingError, TypeError, AttributeError) as unsent:
        is_good, said = outcome
        told = f"The work has ended well, and what it gave cannot be handed over: {unsent}"
        return pickle.dumps((False, RuntimeError(told if is_good else f"{type(said).__name__}: {said}")))


def _watch(pid: int, reading: int, limit: int | None) -> tuple[bytes, int, bool]:
    """Until it ends: what it said, the most that it had, and whether it was ended for having more than the limit.

    :param limit: bytes; None: not this process holds it.
    """
    said, peak, is_over = b"", 0, False
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            if select.select([pipe], [], [], LOOK_S)[0]:
                if not (part := pipe.read(1 << 16)):
                    return said, peak, is_over
                said += part
            peak = max(peak, _resident(pid))
            if limit is not None and peak > limit and not is_over:
                is_over = True
                os.kill(pid, signal.SIGKILL)


def _resident(pid: int) -> int:
    """Bytes; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _killed_by_kernel() -> int:
    """How many processes the kernel has ended so far because there was no memory left: here, or on the machine."""
    if (here := cgroup.killed_in_own()) is not None:
        return here
    for line in VMSTAT.read_text(encoding="ascii").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def _error(limit: int | None, peak: int, is_over: bool, status: int, killed_by_kernel: int) -> SluicewayError:
    where = whereabouts.told()
    of_limit = f" of its {size(limit)}" if limit is not None else ""
    if is_over and limit is not None:
        return MemoryLimitError(
            f"Out of memory: the load had {size(peak)} and its limit is {size(limit)}, so it was ended.{where} Set "
            "`memory` in the table's file to more than it needs, or give it to the queue of workers that have as much."
        )
    if status == -signal.SIGKILL and killed_by_kernel:
        return MemoryLimitError(
            f"Out of memory: the kernel ended the load, which had {size(peak)}{of_limit}, for the machine "
            f"or its container had no more.{where} Give the worker more memory or fewer slots, or set `memory` to what "
            "it really has."
        )
    by = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit status {status}"
    return LoadEndedError(
        f"The load's process ended by {by} at {size(peak)}{of_limit}: by hand or by a crash, for the "
        f"kernel has ended nothing for want of memory meanwhile.{where}"
    )
