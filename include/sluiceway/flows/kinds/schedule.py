"""The kind `schedule`: the flow starts at the times of a cron expression in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from sluiceway.events import Event
from sluiceway.flows import cron
from sluiceway.flows.kinds.zones import known_zone
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import Trigger, TriggerConfig, TriggerContext


class ScheduleConfig(TriggerConfig):
    """A start at set times, as Airflow's CronTriggerTimetable counts them."""

    type: Literal["schedule"] = Field(description="The clock reaches a time.", examples=["schedule"])
    schedule: str = Field(
        description="Five fields of cron (minute, hour, day of month, month, day of week), or a preset: "
        + ", ".join(f"`{name}`" for name in cron.PRESETS)
        + ".",
        examples=["30 2 * * 1-5", "@daily"],
    )
    timezone: Annotated[str, AfterValidator(known_zone)] = Field(
        default="UTC",
        description="The IANA time zone whose clocks the fields mean. A time that a change to summer time leaves out "
        "comes an hour later; one that comes twice in autumn counts the second time alone, unless the hour is `*`.",
        examples=["America/Los_Angeles"],
    )

    @property
    def cron(self) -> str:
        """Its five fields or preset."""
        return self.schedule

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        cron.check(value)
        return value


@TriggerRegistry.register_trigger("schedule")
class ScheduleTrigger(Trigger[ScheduleConfig]):
    """Every time of the schedule since the last check is an event."""

    config_model = ScheduleConfig

    def next_times(self, after: datetime, count: int) -> list[datetime]:
        """The next `count` times after `after`, in UTC."""
        return cron.next_times(self.config.schedule, self.config.timezone, after, count)

    def should_trigger(self, context: TriggerContext) -> bool:
        """Whether a time of the schedule has come since the cursor; see Trigger."""
        now = datetime.now(UTC)
        since = datetime.fromisoformat(context.cursor) if isinstance(context.cursor, str) else now
        context.cursor, context.events = now.isoformat(), ()
        # what was missed is one run, as Airflow's catchup=False has it
        (at,) = self.next_times(since, 1)
        if at > now:
            return False
        context.events = (Event(at.isoformat(), {"scheduled_at": at.isoformat()}),)
        return True
