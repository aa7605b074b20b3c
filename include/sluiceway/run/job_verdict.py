"""What a run of a job came to, as sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sluiceway.amounts import counted
from sluiceway.jobs.lanes import LaneRun, causes_of
from sluiceway.jobs.requests import Request

CAUSES = {
    "item": "the service cannot take it",
    "service": "the service fails for it alone",
    "answer": "the job's function answers what fits no column, or nothing",
    "code": "the job's function raises",
    "hang": "the job's function does not come back",
    "lapse": "it ends its process",
}
"""Why an item dies, by the class that stands in etl_jobs.item.last_code."""


def problems_of(lanes: Sequence[LaneRun]) -> list[str]:
    """Why the run is red for what its lanes did, a sentence each without a full stop; its tasks say why they failed."""
    problems = []
    if dead := sum(each.dead for each in lanes):
        problems.append(
            f"{counted(dead, 'item')} died{_causes(lanes)}; `sluiceway dead-letters list` names {_them(dead)}"
        )
    last = max(lanes, key=_end, default=None)
    if last is not None and last.paused and last.left_due:
        problems.append(f"{counted(last.left_due, 'item')} could not be asked for: {last.paused}")
    return problems


def counts_of(asked: Sequence[Request], lanes: Sequence[LaneRun]) -> str:
    """What was done, as a sentence."""
    due = sum(each.items for each in asked)
    done, waiting, dead = (sum(getattr(each, name) for each in lanes) for name in ("done", "waiting", "dead"))
    parts = [f"{done:,} done", f"{waiting:,} waiting for a person", f"{dead:,} dead"]
    if retried := sum(each.due for each in lanes):
        parts.append(counted(retried, "attempt that failed and comes again", "attempts that failed and come again"))
    if back := sum(each.back for each in lanes):
        parts.append(f"{back:,} put back because the service failed")
    if lost := sum(each.lost for each in lanes):
        parts.append(
            counted(
                lost, "answer that came too late and was thrown away", "answers that came too late and were thrown away"
            )
        )
    left = next((each.left_due for each in sorted(lanes, key=_end, reverse=True) if each.left_due is not None), 0)
    rest = f" {counted(left, 'item is', 'items are')} still due." if left else ""
    return f"{counted(due, 'item')} became due: {', '.join(parts)}.{rest}"


def _end(lane: LaneRun) -> datetime:
    return lane.finished_at or lane.started_at


def _causes(lanes: Sequence[LaneRun]) -> str:
    """The classes of failures that there were; of several, nobody knows here which item died of which."""
    found = [f"{CAUSES[code]} ({count:,})" for code, count in causes_of(lanes).most_common() if code in CAUSES]
    return f" ({'; '.join(found)})" if found else ""


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
