"""The sensor of a folder's files."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from sluiceway.events import Look
from sluiceway.flows.kinds.files import EventType, checked_path, compare_files, observe_folder, unseen_files
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.sources.connections import Connections


class DirectoryConfig(SensorConfig):
    """Files of a folder that are created, modified or deleted: an event for each."""

    sensor_type: Literal["directory"] = Field(description="Looks at the files of a folder.", examples=["directory"])
    path: Annotated[str, AfterValidator(checked_path)] = Field(
        description="The folder's whole path. When it is gone, cannot be read, or what was mounted there is not any "
        "more, the sensor has an error, and nothing counts as deleted. A folder within it that cannot be read "
        "is a warning.",
        examples=["/data/in"],
    )
    pattern: str = Field(
        default="*",
        pattern=r"^[^/\x00]+$",
        max_length=200,
        description="Glob over the files' names, as in a shell: upper and lower case differ, and a name that begins "
        "with a dot matches only a pattern that does. It holds no `/`: `recursive` looks into sub-folders.",
        examples=["*.csv"],
    )
    recursive: bool = Field(
        default=False,
        strict=True,
        description="Whether files in sub-folders count. A link to a folder is not followed, and a link to a file "
        "counts only if it leads to one in the same folder or below.",
        examples=[True],
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


@TriggerRegistry.register_trigger("sensor.directory")
class DirectoryTrigger(SensorTrigger[DirectoryConfig]):
    """Facts: event, path, size, old and new ({size, modified_at}, or null)."""

    config_model = DirectoryConfig

    def place(self) -> str:
        """The folder and which of its files."""
        return json.dumps([self.config.path, self.config.pattern, self.config.recursive])

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """One listing, and a stat of each file that matches."""
        return observe_folder(self.config.path, self.config.pattern, recursive=self.config.recursive)

    def warning(self, cursor: JsonValue) -> str | None:
        """What within the folder cannot be read."""
        return unseen_files(self.place(), cursor, self.config.path)

    def compare(self, observation: JsonValue, cursor: JsonValue) -> Look:
        """An event for each file."""
        return compare_files(
            self.place(),
            observation,
            cursor,
            folder=self.config.path,
            event_type=self.config.event_type,
            settle_s=self.config.settle_seconds,
        )
