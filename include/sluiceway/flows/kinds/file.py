"""The sensor of one file."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from sluiceway.events import Look
from sluiceway.flows.kinds.files import EventType, checked_path, compare_files, observe_file
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.sources.connections import Connections


class FileConfig(SensorConfig):
    """One file that is created, modified or deleted."""

    sensor_type: Literal["file"] = Field(description="Looks at one file.", examples=["file"])
    path: Annotated[str, AfterValidator(checked_path)] = Field(
        description="Its whole path. Its folder must be there: without it the sensor has an error, and nothing counts "
        "as deleted.",
        examples=["/data/in/orders.csv"],
    )
    pattern: str | None = Field(
        default=None,
        pattern=r"^[^/\x00]+$",
        description="A glob that the file's name must match, for definitions that say it beside the path; it finds no "
        'other file. `sensor_type = "directory"` looks for files.',
        examples=["*.csv"],
    )
    event_type: EventType = Field(
        default="all",
        description="What is an event: created, modified, deleted, or all of them. What comes and goes between two "
        "looks is not seen.",
        examples=["created"],
    )
    settle_seconds: float = Field(
        default=5,
        ge=0,
        le=86_400,
        description="A file counts once two looks so long apart find it the same in size, times and inode: it has "
        "stopped growing. While one has not, there is a look after so long and not only after poll_s. With 0 each look "
        "counts at once. On NFS write more than its acregmax, 60 s by default: for so long it may say what was.",
        examples=[60],
    )

    @model_validator(mode="after")
    def _name_matches(self) -> FileConfig:
        name = PurePosixPath(self.path).name
        if self.pattern is not None and not fnmatchcase(name, self.pattern):
            raise ValueError(
                f"pattern = {self.pattern!r}: the file's name, {name!r}, does not match; remove pattern, or write "
                f'sensor_type = "directory" with the folder as path'
            )
        return self


@TriggerRegistry.register_trigger("sensor.file")
class FileTrigger(SensorTrigger[FileConfig]):
    """Facts: event, path, size, old and new ({size, modified_at}, or null)."""

    config_model = FileConfig

    def place(self) -> str:
        """The path."""
        return self.config.path

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """One stat."""
        return observe_file(self.config.path)

    def compare(self, observation: JsonValue, cursor: JsonValue) -> Look:
        """At most one event."""
        return compare_files(
            self.place(),
            observation,
            cursor,
            folder=os.path.dirname(self.config.path),  # noqa: PTH120
            event_type=self.config.event_type,
            settle_s=self.config.settle_seconds,
        )
