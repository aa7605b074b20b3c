"""A lane as a process of its own, for tests that kill it: python -m tests.jobs.lane_process URL SERVICE LANE.

Its leases and pauses are short: an hour of an outage is a second here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta

from sluiceway.jobs import lane as lanes
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Job, Results, Service
from sluiceway.jobs.errors import ServiceError
from sluiceway.jobs.items import Item
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.ledger.store import RunKey

RUN = RunKey("chaos", "manual__1")
POISON, HOPELESS = "i666", "i1313"
RESULTS = Results(table="answered", columns={"serial": "bigint"})
ATTEMPTS, LAPSES = 4, 3


def work(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """Asks for each item; one of them ends the process."""
    for each in batch:
        if each.item == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        reply = ask.get("/answer", {"item": each.item})
        if not isinstance(reply.document, dict) or "serial" not in reply.document:
            raise ServiceError(f"no answer: {reply.document}", ask.service.name)
        yield Done(each.item, {"serial": reply.document["serial"]})


def job(url: str, *, per_second: float = 2000.0, batch: int = 25, name: str = "echo") -> Job:
    """The job that these processes work on."""
    return Job(
        due="SELECT 1 AS item",
        work=work,
        results=RESULTS,
        service=Service(name=name, url=url, per_second=per_second),
        batch=batch,
        attempts=ATTEMPTS,
        lapses=LAPSES,
        back_off=timedelta(seconds=0.2),
        batch_seconds=5,
    )


def main(url: str, service: str, number: str, name: str, per_second: str) -> None:
    """Drain until nothing is due."""
    lanes.LEASE_BEYOND_S = 0.5
    lanes.SERVICE_PAUSE_S = (0.2, 1.0)
    definition = job(service, per_second=float(per_second))
    key = LaneKey(RUN._replace(run_id=f"manual__{os.getpid()}"), int(number))
    Lane(url, name, definition, key).drain(budget_s=60)


if __name__ == "__main__":
    main(*sys.argv[1:])
