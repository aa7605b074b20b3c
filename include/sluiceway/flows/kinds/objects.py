"""The sensors of object stores: what comes into a bucket, is written anew, or goes."""

from __future__ import annotations

import json
import time
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, JsonValue, StringConstraints

from sluiceway.errors import SourceUnreadableError
from sluiceway.events import Event, Look
from sluiceway.flows.connection import ConnectionId
from sluiceway.flows.kinds.cursor import remember, resume
from sluiceway.flows.kinds.files import EventType
from sluiceway.flows.kinds.storable import event_key, storable
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.sources.connections import Connections

MOST_OBJECTS = 100_000
"""In one place: what is known of each is kept in the ledger, about 100 bytes; and a page has 1,000."""

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]


class ObjectsConfig(SensorConfig):
    """Objects of a bucket: an event for each that is created, written anew or deleted."""

    bucket: BucketName = Field(description="The bucket's name.", examples=["acme-landing"])
    prefix: str = Field(
        default="",
        pattern=r"^[^\x00]*$",
        max_length=1024,
        description="What the names begin with. The store lists by it, so a narrow one costs less: 1,000 names are a "
        "request, and 100,000 are the most.",
        examples=["orders/2024/"],
    )
    pattern: str = Field(
        default="*",
        pattern=r"^[^\x00]+$",
        max_length=200,
        description="Glob over the part of the name behind prefix; `*` spans slashes too. Upper and lower case differ.",
        examples=["*.csv"],
    )
    connection: ConnectionId | None = Field(
        default=None,
        description="The Airflow connection that may list the bucket; without one the store is asked as nobody.",
        examples=["landing"],
    )
    event_type: EventType = Field(
        default="all",
        description="What is an event: created, modified, deleted, or all of them. What comes and goes between two "
        "looks is not seen.",
        examples=["created"],
    )


class S3Config(ObjectsConfig):
    """Objects of Amazon S3, compared by their ETag: the same content written again is no event."""

    sensor_type: Literal["s3"] = Field(description="Looks at objects of Amazon S3.", examples=["s3"])


class GcsConfig(ObjectsConfig):
    """Objects of Google Cloud Storage, compared by their generation: each writing is an event."""

    sensor_type: Literal["gcs"] = Field(description="Looks at objects of Google Cloud Storage.", examples=["gcs"])


O = TypeVar("O", bound=ObjectsConfig)  # noqa: E741  # as Trigger's C


class ObjectsTrigger(SensorTrigger[O]):
    """Facts: event, path (its uri), bucket, name, size, old and new ({size, mark, modified_at}, or null)."""

    scheme: ClassVar[Literal["s3", "gs"]]

    def place(self) -> str:
        """Whose listing it is: the pattern is compared later."""
        return json.dumps([self.config.connection, self.config.bucket, self.config.prefix])

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """All names behind the prefix."""
        from sluiceway.sources.places.listing import store_of

        at = time.time()
        found: dict[str, JsonValue] = {}
        store = store_of(self.scheme, self.config.connection, connections)
        for each in store.objects(self.config.bucket, self.config.prefix):
            # a name that ends so is a folder in a web console, and holds nothing
            if not each.name.endswith("/"):
                found[str(storable(each.name))] = [each.mark, each.size, each.modified_at]
            if len(found) > MOST_OBJECTS:
                raise SourceUnreadableError(
                    f"{self._uri(self.config.prefix)}: there are more than {MOST_OBJECTS:,} objects; narrow prefix"
                )
        return {"at": at, "objects": found}

    def compare(self, observation: Any, cursor: JsonValue) -> Look:
        """An event for each object."""
        begin = len(self.config.prefix)
        found = {
            name: mark
            for name, mark in observation["objects"].items()
            if fnmatchcase(name[begin:], self.config.pattern)
        }
        place = f"{self.place()} {self.config.pattern}"
        known = resume(cursor, place)
        if known is None:
            return Look((), remember(place, found))
        events: list[tuple[str, Event]] = []
        after: dict[str, Any] = {}
        for name, new in found.items():
            old = known.get(name)
            # written again with the same content: what is known stays as it is
            after[name] = old if old is not None and old[0] == new[0] else new
            if after[name] is new and self._counts(what := "created" if old is None else "modified"):
                events.append((new[2], self._event(what, name, old, new)))
        if self._counts("deleted"):
            # when it went is not known; it is told last
            events += [("~", self._event("deleted", name, known[name], None)) for name in known if name not in found]
        if after == known:
            return Look((), cursor)
        events.sort(key=lambda each: (each[0], each[1].key))
        return Look(tuple(event for _, event in events), remember(place, after))

    def _counts(self, what: str) -> bool:
        return self.config.event_type in {what, "all"}

    def _uri(self, name: str) -> str:
        return f"{self.scheme}://{self.config.bucket}/{name}"

    def _event(self, what: str, name: str, old: list[Any] | None, new: list[Any] | None) -> Event:
        last = new or old
        assert last is not None
        return Event(
            key=event_key(what, name, *last),
            facts={
                "event": what,
                "path": self._uri(name),
                "bucket": self.config.bucket,
                "name": name,
                "size": last[1],
                "old": _described(old),
                "new": _described(new),
            },
        )


@TriggerRegistry.register_trigger("sensor.s3")
class S3Trigger(ObjectsTrigger[S3Config]):
    """mark is the ETag."""

    config_model = S3Config
    scheme = "s3"


@TriggerRegistry.register_trigger("sensor.gcs")
class GcsTrigger(ObjectsTrigger[GcsConfig]):
    """mark is the generation."""

    config_model = GcsConfig
    scheme = "gs"


def _described(listed: list[Any] | None) -> JsonValue:
    return {"mark": listed[0], "size": listed[1], "modified_at": listed[2]} if listed is not None else None
