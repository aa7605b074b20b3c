"""The process that watches is killed again and again: what happened meanwhile is told once, whatever is watched."""

from __future__ import annotations

import time

from tests.integration.sensors.flows.landing import CHANNEL, Landing
from tests.integration.sensors.flows.watched import Facts, Watched, watched_by
from tests.integration.sensors.triggerers import Triggerers, frozen_triggerer


def _events(landing: Landing, place: Watched) -> list[Facts]:
    return [facts for trigger_id, facts, _ in landing.events("killed") if trigger_id == place.trigger_id]


def _listeners(landing: Landing) -> int:
    channel = f"{CHANNEL}-killed"
    return dict(landing.redis.pubsub_numsub(channel)).get(channel.encode(), 0)


def test_a_triggerer_killed_at_any_moment_loses_no_event_of_any_kind_and_doubles_none(
    landing: Landing, triggerers: Triggerers
) -> None:
    places = watched_by(landing)
    happened, awaited = 0, set[int]()

    def happen() -> None:
        nonlocal happened
        happened += 1
        for place in places:
            place.happen(happened)

    def told(place: Watched) -> bool:
        return any(place.number(facts) == happened for facts in _events(landing, place))

    landing.looked("killed", sum(place.tells != "live" for place in places))
    landing.until(lambda: _listeners(landing) or None)
    with landing.alone("killed"), frozen_triggerer(landing.stack):
        for wait_s in (0.0, 0.3, 0.6, 0.9, None):
            with triggerers.running() as triggerer:
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
        with triggerers.running():
            landing.until(lambda: all(told(place) for place in places if place.tells != "live") or None)
            landing.until(lambda: all(run for *_, run in landing.events("killed")) or None)
            runs = landing.settled("killed")
            # one that was woken once more has found nothing, and no result
            worked = [run_id for run_id in runs if landing.states("killed", run_id)["work"] == "success"]
            taken = [event for run_id in worked for event in landing.result("killed", run_id)]
            told_of = {place.trigger_id: _events(landing, place) for place in places}
    for place in places:
        events = told_of[place.trigger_id]
        mine = [event for event in taken if event["trigger_id"] == place.trigger_id]
        assert [event["facts"] for event in sorted(mine, key=lambda event: event["id"])] == events, (
            f"{place.trigger_id}: each in one run"
        )
        place.check(events, happened, awaited)
