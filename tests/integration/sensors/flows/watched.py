"""One place of each kind that a sensor watches, in which things happen that are numbered from 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from tests.integration.sensors.flows.landing import BUCKET, CHANNEL, Landing, put
from tests.stand_ins.google_storage import Stored

Facts = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Watched:
    """A place, the trigger that looks at it, and what its events must tell.

    `each`: every thing that happens is an event. `newest`: a value changes; what it was between two looks nobody sees,
    but every change that was seen follows upon the one before. `live`: what nobody listened to is lost.
    """

    trigger_id: str
    tells: Literal["each", "newest", "live"]
    happen: Callable[[int], object]
    key: str
    """The fact that tells which thing it was."""
    read: Callable[[Any], int]
    """Its number, from that fact."""

    def number(self, facts: Facts) -> int:
        """Which thing an event tells of."""
        return self.read(facts[self.key])

    def check(self, events: list[Facts], happened: int, awaited: set[int]) -> None:
        """That `events`, oldest first, are the right ones.

        :param happened: how many things have happened.
        :param awaited: those that were seen while the triggerer lived.
        """
        numbers = [self.number(facts) for facts in events]
        assert not [number for number, times in Counter(numbers).items() if times > 1], f"{self.trigger_id}: told twice"
        assert awaited <= set(numbers), f"{self.trigger_id}: lost"
        if self.tells == "each":
            assert sorted(numbers) == list(range(1, happened + 1)), f"{self.trigger_id}: lost"
        elif self.tells == "newest":
            before = [self.read(facts["old"]) for facts in events]
            assert before == [0, *numbers[:-1]], (
                f"{self.trigger_id}: a gap in {list(zip(before, numbers, strict=True))}"
            )
            assert numbers[-1] == happened, f"{self.trigger_id}: the newest is missing"


def watched_by(landing: Landing) -> list[Watched]:
    """The places of the triggers of the flow `killed`."""

    def folder(number: int) -> None:
        put(landing.place / "killed" / f"{number}.csv")

    def file(number: int) -> None:
        put(landing.place / "killed.txt", "x" * number)

    def s3(number: int) -> None:
        landing.s3.put_object(Bucket=BUCKET, Key=f"killed/{number}.csv", Body=b"x")

    def google(number: int) -> None:
        landing.google.objects[f"{BUCKET}/killed/{number}.csv"] = Stored(b"x")

    def database(number: int) -> None:
        landing.query(f"INSERT INTO tick VALUES ('{START + timedelta(minutes=number)}')")

    def service(number: int) -> None:
        landing.other_service.commit = f"{number:040}"

    def queue(number: int) -> None:
        landing.redis.publish(f"{CHANNEL}-killed", str(number))

    return [
        Watched("folder", "each", folder, "path", _stem),
        Watched("s3", "each", s3, "path", _stem),
        Watched("gcs", "each", google, "path", _stem),
        Watched("file", "newest", file, "new", lambda mark: int(mark["size"])),
        Watched("database", "newest", database, "new", _minutes),
        Watched("http", "newest", service, "new", int),
        Watched("deployment", "newest", service, "new", int),
        Watched("queue", "live", queue, "message", int),
    ]


def _stem(path: str) -> int:
    return int(Path(path).stem)


def _minutes(moment: str) -> int:
    return (datetime.fromisoformat(moment) - START) // timedelta(minutes=1)
