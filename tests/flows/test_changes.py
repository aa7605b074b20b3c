"""One value that changes: what counts as an event, and what of it is known at the next look."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from sluiceway.events import Look
from sluiceway.flows.kinds.changes import compare_value
from sluiceway.flows.kinds.cursor import remember, resume

PLACE = "there"


def look(cursor: JsonValue, value: JsonValue, *, at: float = 1.0, place: str = PLACE, **keys: Any) -> Look:
    return compare_value(place, cursor, at=at, value=value, facts=lambda old: {"old": old}, **keys)


def known(found: Look) -> dict[str, Any]:
    cursor = found.cursor
    assert isinstance(cursor, dict)
    assert isinstance(cursor["known"], dict)
    return cursor["known"]


def test_the_first_look_knows_the_value_and_tells_nothing() -> None:
    found = look(None, "a", at=7)
    assert (found.events, known(found)) == ((), {"since": 7, "number": 0, "value": "a"})


def test_the_same_value_leaves_the_cursor_as_it_is() -> None:
    cursor = look(None, "a").cursor
    found = look(cursor, "a", at=9)
    assert found.events == ()
    assert found.cursor is cursor


def test_another_value_is_an_event_numbered_from_the_first_look_on() -> None:
    found, numbers = look(None, "a", at=7), []
    for number, value in enumerate(["b", "a", "b"], 1):
        old = known(found)["value"]
        found = look(found.cursor, value, at=99)
        (event,) = found.events
        assert dict(event.facts) == {"old": old}
        assert known(found) == {"since": 7, "number": number, "value": value}
        numbers.append(event.key)
    assert numbers == ['[7,1,"b"]', '[7,2,"a"]', '[7,3,"b"]']


def test_a_step_that_does_not_count_is_known_and_told_nobody() -> None:
    def grows(old: Any, new: Any) -> bool:
        return bool(new > old)

    first = look(None, 5)
    found = look(first.cursor, 3, counts=grows)
    assert (found.events, known(found)) == ((), {**known(first), "value": 3})
    assert len(look(found.cursor, 4, counts=grows).events) == 1


def test_what_is_known_holds_for_its_place_alone() -> None:
    cursor = remember(PLACE, {"value": 1})
    assert resume(cursor, PLACE) == {"value": 1}
    for other in ("elsewhere", "", "There"):
        assert resume(cursor, other) is None
        assert look(look(None, "a").cursor, "b", place=other).events == ()


@pytest.mark.parametrize("cursor", [None, 7, "text", [], {}, {"known": {}}, {"place": None, "known": {}}])
def test_what_is_no_cursor_begins_anew(cursor: JsonValue) -> None:
    assert resume(cursor, PLACE) is None


def test_a_cursor_of_the_release_before_is_taken() -> None:
    # the ledger keeps it: sixteen digits of the place's SHA-256
    assert remember(PLACE, {"value": 1}) == {"place": "e244f187f696561d", "known": {"value": 1}}
