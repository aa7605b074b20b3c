"""The process that watches is killed again and again: what happened meanwhile is told once, whatever is watched."""

from __future__ import annotations

import time

from tests.integration.flows.landing import CHANNEL, Landing
from tests.integration.flows.watched import Watched, watched_by
from tests.integration.triggerers import frozen_triggerer, own_triggerer


def _listeners(landing: Landing) -> int:
    channel = f"{CHANNEL}-killed"
    return dict(landing.redis.pubsub_numsub(channel)).get(channel.encode(), 0)


def test_a_triggerer_killed_at_any_moment_loses_no_event_of_any_kind_and_doubles_none(landing: Landing) -> None:
    places = watched_by(landing)
    happened, awaited = 0, set[int]()

    def happen() -> None:
        nonlocal happened
        happened += 1
        for place in places:
            place.happen(happened)

    def told(place: Watched) -> bool:
        return any(place.number(facts) == happened for _, facts, _ in landing.events(place.flow_id))

    for place in places:
        if place.tells != "live":
            landing.looked(place.flow_id)
    landing.until(lambda: _listeners(landing) or None)
    with frozen_triggerer(landing.stack):
        for wait_s in (0.0, 0.3, 0.6, 0.9, None):
            with own_triggerer(landing.stack) as triggerer:
                # the frozen one listens too, so the listeners are two
                landing.until(lambda: _listeners(landing) > 1 or None)
                happen()
                landing.until(lambda: all(told(place) for place in places) or None)
                awaited.add(happened)
                happen()
                if wait_s is None:
                    while not told(places[0]):
                        time.sleep(0.002)
                else:
                    time.sleep(wait_s)
                triggerer.kill()
            happen()
        with own_triggerer(landing.stack):
            landing.until(lambda: all(told(place) for place in places if place.tells != "live") or None)
            for place in places:
                landing.until(lambda flow_id=place.flow_id: all(run for *_, run in landing.events(flow_id)) or None)
                runs = landing.settled(place.flow_id)
                taken = [event for run_id in runs for event in landing.result(place.flow_id, run_id) or []]
                taken.sort(key=lambda event: event["id"])
                events = [facts for _, facts, _ in landing.events(place.flow_id)]
                assert [event["facts"] for event in taken] == events, f"{place.flow_id}: each in one run"
                place.check(events, happened, awaited)
