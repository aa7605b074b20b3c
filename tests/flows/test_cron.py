"""The times of a schedule: Airflow's own, also where a clock changes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.sdk import MultipleCronTriggerTimetable
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.utils.dates import cron_presets

from sluiceway.flows import cron

BERLIN, LOS_ANGELES, LORD_HOWE = "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe"
SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


def test_the_presets_are_those_of_airflow() -> None:
    assert cron_presets == cron.PRESETS


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        ("30 2 * * *", BERLIN, SPRING, ["2026-03-29T03:30+0200", "2026-03-30T02:30+0200"]),
        ("30 2 * * *", BERLIN, AUTUMN, ["2026-10-25T02:30+0100", "2026-10-26T02:30+0100"]),
        ("0 6 * * *", BERLIN, SPRING, ["2026-03-29T06:00+0200", "2026-03-30T06:00+0200"]),
        ("0 6 * * *", BERLIN, AUTUMN, ["2026-10-25T06:00+0100", "2026-10-26T06:00+0100"]),
        (
            "30 * * * *",
            BERLIN,
            datetime(2026, 10, 25, 0, tzinfo=UTC),
            ["2026-10-25T02:30+0200", "2026-10-25T02:30+0100", "2026-10-25T03:30+0100"],
        ),
        (
            "30 * * * *",
            BERLIN,
            datetime(2026, 3, 29, 0, tzinfo=UTC),
            ["2026-03-29T01:30+0100", "2026-03-29T03:30+0200", "2026-03-29T04:30+0200"],
        ),
        (
            "@daily",
            LOS_ANGELES,
            datetime(2026, 3, 7, 12, tzinfo=UTC),
            ["2026-03-08T00:00-0800", "2026-03-09T00:00-0700"],
        ),
        ("0 9 * * mon-fri", "UTC", datetime(2026, 8, 7, 9, tzinfo=UTC), ["2026-08-10T09:00+0000"]),
    ],
)
def test_the_next_times_are_right_where_the_clock_changes(
    expression: str, timezone: str, after: datetime, expected: list[str]
) -> None:
    found = cron.next_times(expression, timezone, after, len(expected))
    assert [f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%dT%H:%M%z}" for at in found] == expected


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 1-3 * * *", "15 * * * *", "@weekly", "0 2,3 * * sun"])
@pytest.mark.parametrize("timezone", [BERLIN, LOS_ANGELES, LORD_HOWE, "UTC"])
@pytest.mark.parametrize("after", [SPRING, AUTUMN, datetime(2026, 10, 31, 12, tzinfo=UTC)])
def test_the_next_times_are_those_at_which_a_scheduled_dag_would_run(
    expression: str, timezone: str, after: datetime
) -> None:
    timetable = coerce_to_core_timetable(MultipleCronTriggerTimetable(expression, timezone=timezone))
    restriction = TimeRestriction(earliest=None, latest=None, catchup=True)
    expected, last = [], DataInterval.exact(pendulum.instance(after))
    for _ in range(8):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        expected.append(info.run_after)
        last = info.data_interval
    found = cron.next_times(expression, timezone, after, 8)
    assert found == expected
    assert found == sorted(set(found))


@pytest.mark.parametrize("expression", ["* * * * *", "0 0 29 2 *", "5,35 8-18/2 1-7 jan,jul sun", "@quarterly"])
def test_what_cron_knows_is_taken(expression: str) -> None:
    cron.check(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "has 0 fields and cron has five"),
        ("@reboot", "is no preset; known: @daily"),
        ("60 * * * *", "minute '60' is wrong; write 0 to 59"),
        ("* * 0 * *", "day of month '0' is wrong; write 1 to 31"),
        ("* * * 13 *", "month '13' is wrong; write 1 to 12 or jan to dec"),
        ("* * * * 8", "day of week '8' is wrong; write 0 to 7 or sun to sat"),
        ("*/0 * * * *", r"minute '\*/0' is wrong"),
        ("H * * * *", "has 'H', which cron does not know"),
        ("0 0 ? * *", r"has '\?', which cron does not know"),
        ("0 0 30 2 *", "names no time that ever comes; look at day of month and month"),
    ],
)
def test_what_cron_does_not_know_names_the_field(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cron.check(expression)
