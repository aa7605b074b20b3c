"""Cron expressions: whether one is valid, and the times it means, which are Airflow's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sluiceway.errors import nearest, quoted, said_by

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Those of airflow.utils.dates.cron_presets; a test holds them together."""
FIELDS = ("minute", "hour", "day of month", "month", "day of week")


def check(expression: str) -> None:
    """Raises ValueError with a sentence that names the field which is wrong, or the nearest preset."""
    if expression.startswith("@"):
        if expression not in PRESETS:
            raise ValueError(f"is no preset{nearest(expression, PRESETS)}")
        return
    parts = expression.split()
    if len(parts) != len(FIELDS):
        raise ValueError(
            f"has {len(parts)} fields and cron has five: {', '.join(FIELDS)}; write such as '30 2 * * 1-5'"
        )
    # croniter also knows H, R, ? and @reboot, which no other cron reads
    if odd := re.search(r"[^0-9A-Za-z*/,#-]|\b[HhRr]\b", "".join(parts)):
        raise ValueError(f"has {odd[0]!r}, which cron does not know; use digits, names, * / , -")
    from croniter import CroniterBadDateError, croniter

    for number, (name, part) in enumerate(zip(FIELDS, parts, strict=True)):
        alone = ["*"] * len(FIELDS)
        alone[number] = part
        if not croniter.is_valid(" ".join(alone)):
            raise ValueError(
                f"{name} {quoted(part)} is wrong; write {_RANGES[number]}, *, a list 1,2, a range 1-5 or */10"
            )
    try:
        croniter(expression, _ANY_DAY).get_next()
    except CroniterBadDateError as error:
        raise ValueError(f"names no time that ever comes; look at {FIELDS[2]} and {FIELDS[3]}") from error
    except ValueError as error:
        raise ValueError(f"is no cron expression: {said_by(error)}") from error


_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_RANGES = ("0 to 59", "0 to 23", "1 to 31", "1 to 12 or jan to dec", "0 to 7 or sun to sat")


def next_times(expression: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` times after `after`, in UTC: what Airflow's CronTriggerTimetable says."""
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.timetables.trigger import CronTriggerTimetable

    timetable = CronTriggerTimetable(expression, timezone=timezone)
    # with catchup it counts from the last run instead of from now
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    at, found = pendulum.instance(after.astimezone(UTC)), []
    for _ in range(count):
        info = timetable.next_dagrun_info(last_automated_data_interval=DataInterval.exact(at), restriction=restriction)
        if info is None:
            break
        at = info.run_after
        # not in the time zone: times of different zones in the hour that comes twice never equal each other
        found.append(datetime.fromtimestamp(at.timestamp(), UTC))
    return found
