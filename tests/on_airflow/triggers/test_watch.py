"""The watch of one trigger on real files and a real ledger: what it writes, what it tells, and what a kill leaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import JsonValue

from sluiceway.errors import SourceUnavailableError
from sluiceway.events import Event, Look
from sluiceway.flows.files import read_file
from sluiceway.flows.look import look_now
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.ledger import events
from sluiceway.ledger.events import TriggerState
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.triggers import shared, watch
from sluiceway.on_airflow.triggers.watch import WatchTrigger
from sluiceway.sources.connections import Connections, from_environment

FLOW = "arrivals"
POLL_S = 1.0


class ListingConfig(SensorConfig):
    sensor_type: Literal["listing"]
    path: str
    restless: float | None = None


@TriggerRegistry.register_trigger("sensor.listing")
class ListingTrigger(SensorTrigger[ListingConfig]):
    """Lines of a file: a new line is an event."""

    config_model = ListingConfig
    looks: ClassVar[Counter[str]] = Counter()

    def place(self) -> str:
        return self.config.path

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        self.looks[self.config.path] += 1
        try:
            return list(Path(self.config.path).read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            raise SourceUnavailableError(f"{self.config.path} is not there.") from None

    def compare(self, observation: Any, cursor: Any) -> Look:
        if self.config.restless is not None:
            return Look((), time.monotonic(), self.config.restless)
        if cursor is None:
            return Look((), len(observation))
        new = observation[cursor:]
        return Look(tuple(Event(line, {"line": line}) for line in new), max(cursor, len(observation)))


class Place:
    """A watched file, the flow's file and the ledger."""

    def __init__(self, folder: Path, url: str) -> None:
        self.path, self.flow, self.url = folder / "listing", folder / "flows" / f"{FLOW}.toml", url
        self.path.write_text("", encoding="utf-8")

    def declare(self, *ids: str, extra: str = "", path: Path | None = None) -> None:
        self.flow.write_text(
            'flow_type = "dag"\n'
            + "".join(
                f'[[triggers]]\nid = "{each}"\ntype = "sensor"\nsensor_type = "listing"\npath = "{path or self.path}"\n'
                f"poll_s = {POLL_S}\n{extra}\n"
                for each in ids
            ),
            encoding="utf-8",
        )

    def add(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def state(self, trigger_id: str = "lines") -> TriggerState:
        with connect(self.url) as session:
            return events.state(session, FLOW, trigger_id)

    def keys(self, trigger_id: str = "lines") -> list[str]:
        with connect(self.url) as session:
            return [event.event_key for event in events.unclaimed(session, FLOW, [trigger_id])]

    def claim(self, run_id: str) -> int:
        with connect(self.url) as session:
            return len(events.claim(session, FLOW, run_id))

    async def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 15
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < deadline, "nothing after 15 s"
            await asyncio.sleep(0.05)


@pytest.fixture
def place(
    tmp_path: Path, setting: Callable[..., None], warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    (tmp_path / "flows").mkdir()
    setting(config_dir=tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    found = Place(tmp_path, warehouse_url)
    found.declare("lines")
    yield found


class Watching:
    """Runs watches in this loop for as long as the block lasts."""

    def __init__(self, *ids: str) -> None:
        self.ids, self.told = ids or ("lines",), []  # type: ignore[var-annotated]

    async def __aenter__(self) -> Watching:
        self.tasks = [asyncio.create_task(self._listen(each)) for each in self.ids]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        shared._of_loop.clear()

    async def _listen(self, trigger_id: str) -> None:
        async for event in WatchTrigger(flow_id=FLOW, trigger_id=trigger_id).run():
            self.told.append((trigger_id, event.payload["unclaimed"]))


def test_the_first_look_makes_no_event_and_each_new_line_one(place: Place) -> None:
    place.add("old")

    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().looked_at)
            assert place.keys() == [] and watching.told == []
            place.add("new")
            await place.until(lambda: watching.told)
            place.add("newer")
            await place.until(lambda: len(watching.told) == 2)
            assert place.keys() == ["new", "newer"]
            assert watching.told == [("lines", 1), ("lines", 2)]

    asyncio.run(watched())


def test_what_another_triggerer_has_told_meanwhile_is_not_told_again(place: Place) -> None:
    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().looked_at)
            # by one that was taken for dead and lives
            with connect(place.url) as session:
                known, told = events.state(session, FLOW, "lines"), Look((Event("a and b, by another", {}),), 2)
                events.record_look(session, known, told, config_hash=known.config_hash)
            place.path.write_text("a\nb\nc\n", encoding="utf-8")
            await place.until(lambda: place.keys()[1:])
            assert place.keys() == ["a and b, by another", "c"]
            assert place.state().cursor == 3
            await place.until(lambda: watching.told)

    asyncio.run(watched())


def test_what_came_while_nobody_watched_is_found_at_the_next_start_once(place: Place) -> None:
    async def watched() -> None:
        async with Watching():
            await place.until(lambda: place.state().looked_at)
        place.add("missed")
        for _ in range(2):
            async with Watching() as watching:
                await place.until(lambda: watching.told)
                assert watching.told == [("lines", 1)], "a start wakes the flow again while the event is not taken"
        assert place.keys() == ["missed"]
        assert place.claim("r1") == 1
        async with Watching() as watching:
            place.add("next")
            await place.until(lambda: watching.told)
            assert watching.told == [("lines", 1)]
        assert place.keys() == ["next"]

    asyncio.run(watched())


def test_a_flow_that_takes_nothing_is_woken_again_and_one_that_has_taken_all_is_not(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch._Repeat, "wait", 0.4)
    monkeypatch.setattr(watch, "REPEAT_S", 0.4)

    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().looked_at)
            place.add("new")
            await place.until(lambda: len(watching.told) == 3)
            place.claim("r1")
            told = len(watching.told)
            await asyncio.sleep(4)
            assert len(watching.told) <= told + 1

    asyncio.run(watched())


def test_siblings_that_watch_one_place_share_its_looks(place: Place) -> None:
    ids = [f"t{number}" for number in range(10)]
    place.declare(*ids)
    ListingTrigger.looks.clear()

    async def watched() -> None:
        async with Watching(*ids) as watching:
            await place.until(lambda: all(place.state(each).looked_at for each in ids))
            place.add("new")
            await place.until(lambda: len(watching.told) == len(ids))
            assert all(place.keys(each) == ["new"] for each in ids)
            before, began = ListingTrigger.looks[str(place.path)], time.monotonic()
            await asyncio.sleep(4 * POLL_S)
            looks = ListingTrigger.looks[str(place.path)] - before
            assert 3 <= looks <= (time.monotonic() - began) / POLL_S + 2, "ten watches would look forty times"

    asyncio.run(watched())


def test_a_file_that_settles_is_looked_at_again_before_the_next_look_is_due(place: Place, tmp_path: Path) -> None:
    ids, folder = ("lines", "sibling"), tmp_path / "in"
    folder.mkdir()
    place.flow.write_text(
        'flow_type = "dag"\n'
        + "".join(
            f'[[triggers]]\nid = "{each}"\ntype = "sensor"\nsensor_type = "directory"\npath = "{folder}"\n'
            "poll_s = 86400\nsettle_seconds = 0.5\n"
            for each in ids
        ),
        encoding="utf-8",
    )
    for each in ids:
        trigger = read_file(place.flow).trigger(each)
        assert isinstance(trigger, SensorTrigger)
        look_now(place.url, trigger, from_environment)
    (folder / "a.csv").write_text("1")

    async def watched() -> None:
        async with Watching(*ids) as watching:
            await place.until(lambda: len(watching.told) == 2)
            assert sorted(watching.told) == [("lines", 1), ("sibling", 1)]

    asyncio.run(watched())


def test_what_never_settles_is_looked_at_early_every_second_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MARGIN_S", 0.0)
    place.declare("lines", extra="restless = 0.1")
    ListingTrigger.looks.clear()

    async def watched() -> None:
        async with Watching():
            await place.until(lambda: ListingTrigger.looks[str(place.path)])
            began = time.monotonic()
            await place.until(lambda: ListingTrigger.looks[str(place.path)] >= 6)
            assert time.monotonic() - began > 1.5 * POLL_S, "five early looks would take a second"

    asyncio.run(watched())


def test_a_place_that_cannot_be_seen_stands_in_the_ledger_until_it_is_seen_again(place: Place) -> None:
    place.add("a")
    place.path.rename(place.path.with_suffix(".away"))

    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().is_failing)
            assert str(place.state().error).endswith("listing is not there.")
            place.path.with_suffix(".away").rename(place.path)
            await place.until(lambda: not place.state().is_failing)
            assert place.state().error is not None and watching.told == []

    asyncio.run(watched())


def test_an_edit_of_the_flows_file_counts_at_the_next_look(place: Place) -> None:
    other = place.path.with_name("other")
    other.write_text("x\ny\n", encoding="utf-8")

    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().looked_at)
            place.declare("lines", path=other)
            await place.until(lambda: place.state().cursor == 2)
            assert watching.told == [], "another place begins anew: what is there already is no event"
            with other.open("a", encoding="utf-8") as file:
                file.write("z\n")
            await place.until(lambda: watching.told)
            assert place.keys() == ["z"]

    asyncio.run(watched())


def test_a_new_description_begins_nothing_anew(place: Place) -> None:
    async def watched() -> None:
        async with Watching():
            await place.until(lambda: place.state().looked_at)
        place.add("missed")
        place.declare("lines", extra='description = "Lines"')
        async with Watching() as watching:
            await place.until(lambda: watching.told)
        assert place.keys() == ["missed"]

    asyncio.run(watched())


@pytest.mark.parametrize("extra", ["enabled = false", 'mode = "poll"'])
def test_a_trigger_that_is_disabled_or_polled_is_not_looked_at(place: Place, extra: str) -> None:
    place.declare("lines", extra=extra)
    ListingTrigger.looks.clear()

    async def watched() -> None:
        async with Watching():
            await asyncio.sleep(1)

    asyncio.run(watched())
    assert not ListingTrigger.looks


def test_a_watch_whose_flow_is_gone_goes_on_and_says_so(place: Place) -> None:
    place.flow.unlink()

    async def watched() -> None:
        async with Watching() as watching:
            await place.until(lambda: place.state().is_failing)
            assert "there is no such file" in str(place.state().error)
            assert not watching.tasks[0].done()

    asyncio.run(watched())


def test_two_triggers_of_airflow_are_not_one(place: Place) -> None:
    found = [WatchTrigger(flow_id=FLOW, trigger_id=each).serialize() for each in ("a", "b")]
    assert len({WatchTrigger.hash(*each) for each in found}) == 2
    assert json.dumps(found)
