"""Whether what tables promise can be kept by what starts their loads. Refuses only what is certain to break."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sluiceway.flows.cron import PRESETS
from sluiceway.flows.files import FOLDER, Flow
from sluiceway.flows.kinds.schedule import ScheduleConfig
from sluiceway.flows.trigger import TriggerType
from sluiceway.ids import MASTER
from sluiceway.spans import GRACE, lasting, span
from sluiceway.tables.spec import TableSpec

TIMES = 1000
"""So many times of a schedule are looked at, at most."""
DAYS = 366
_FROM = datetime(2026, 1, 1, tzinfo=UTC)
_LAST = _FROM + timedelta(days=DAYS)


def broken_promises(tables: Mapping[str, TableSpec], flows: Mapping[str, Flow]) -> dict[str, str]:
    """For each table whose promise no schedule can keep the sentence that says so and what to do.

    A trigger that is no clock may fire at any time, and a DAG that is written in Python may load any table: where one
    loads a table, nothing is certain. A deploy and a person come when they come, and keep no promise.
    """
    found = {}
    for name, spec in tables.items():
        if spec.fresh_within is None:
            continue
        loading = [flow for flow in flows.values() if _may_load(flow, name)]
        if any(_is_uncertain(flow) for flow in loading):
            continue
        schedules = [each for flow in loading for each in _schedules(flow)]
        if said := _broken(spec.fresh_within, schedules):
            found[name] = said
    return found


def _may_load(flow: Flow, table: str) -> bool:
    return flow.spec.flow_type == "dag" or table in flow.spec.tables


def _is_uncertain(flow: Flow) -> bool:
    known = {TriggerType.SCHEDULE, TriggerType.CLI}
    enabled = [each for each in flow.triggers.values() if each.config.enabled]
    is_clock_alone = all(each.trigger_type in known for each in enabled)
    # of other Python nobody knows what it loads, unless nothing but a person starts it
    is_python = flow.spec.flow_type == "dag" and flow.id != MASTER
    return not is_clock_alone or (is_python and any(each.trigger_type != TriggerType.CLI for each in enabled))


def _schedules(flow: Flow) -> Iterator[ScheduleConfig]:
    for each in flow.triggers.values():
        if each.config.enabled and isinstance(each.config, ScheduleConfig):
            yield each.config


def _broken(fresh_within: str, schedules: Sequence[ScheduleConfig]) -> str | None:
    promise = span(fresh_within)
    said = f"fresh_within = {fresh_within!r}: "
    if not schedules:
        return (
            f"{said}no schedule loads it, and neither a deploy nor a person needs to come in that time; give a flow "
            f"that loads it a schedule ({FOLDER}/<id>.toml), or remove the promise"
        )
    began, ended = longest_gap(schedules)
    if ended - began <= promise * (1 + GRACE):
        return None
    names = ", ".join(f"{each.flow_id}.{each.id} ({each.schedule!r})" for each in schedules)
    gap = lasting(ended - began)
    return (
        f"{said}no schedule can keep it: {names} leaves it alone for {gap}, from {began:%A %Y-%m-%d %H:%M} to "
        f"{ended:%A %Y-%m-%d %H:%M} UTC; load it more often, or promise more than that"
    )


def longest_gap(schedules: Sequence[ScheduleConfig]) -> tuple[datetime, datetime]:
    """Two neighbouring times of all schedules together between which the most time lies, in UTC.

    Of as many times as are looked at: there may be a longer gap, this one there is.
    """
    each_times = [_times(schedule) for schedule in schedules]
    # beyond the last time of the busiest schedule it would seem to fall silent
    until = min(times[-1] for times in each_times)
    times = sorted({at for some in each_times for at in some if at <= until})
    gaps: list[tuple[timedelta, datetime, datetime]] = [(after - at, at, after) for at, after in pairwise(times)]
    if not gaps:
        return until, until
    _, began, ended = max(gaps, key=lambda gap: gap[0])
    return began, ended


def _times(schedule: ScheduleConfig) -> list[datetime]:
    from croniter import croniter

    zone = zoneinfo.ZoneInfo(schedule.timezone)
    times: Any = croniter(PRESETS.get(schedule.schedule, schedule.schedule), _FROM)
    found: list[datetime] = []
    # at least two, of a schedule that comes once in a year or less often
    while len(found) < 2 or (len(found) < TIMES and found[-1] < _LAST):
        # its clock counts without a zone: the hours are those of the schedule's own
        found.append(times.get_next(datetime).replace(tzinfo=zone).astimezone(UTC))
    return found
