"""The outbox of triggers: an event stands there once, and one run takes it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import LookOvertakenError
from sluiceway.events import Event, Look
from sluiceway.ledger import events
from sluiceway.ledger.warehouse import PsycopgSession

FLOW, TRIGGER = "orders", "dropped"


@pytest.fixture
def session(postgres: Cluster) -> Iterator[PsycopgSession]:
    """One transaction on the empty ledger, open for the whole test and rolled back after it."""
    with psycopg.connect(postgres.url("sluiceway_loader", "warehouse")) as connection:
        yield PsycopgSession(connection)
        connection.rollback()


def look(*keys: str, cursor: object = None) -> Look:
    return Look(tuple(Event(key, {"path": key}) for key in keys), cursor)  # type: ignore[arg-type]


def write(session: PsycopgSession, flow: str, trigger: str, look: Look, config_hash: str | None = None) -> int:
    """A look that begins from what stands there; how many events are new."""
    return events.record_look(session, events.state(session, flow, trigger), look, config_hash=config_hash)


def keys(found: list[events.StoredEvent]) -> list[str]:
    return [event.event_key for event in found]


def test_a_trigger_that_never_looked_has_an_empty_state(session: PsycopgSession) -> None:
    found = events.state(session, FLOW, TRIGGER)
    assert (found.cursor, found.looked_at, found.unclaimed, found.is_failing) == (None, None, 0, False)


def test_an_event_that_is_seen_twice_stands_once_and_the_cursor_moves_on(session: PsycopgSession) -> None:
    assert write(session, FLOW, TRIGGER, look("a", "b", cursor={"at": 2}), config_hash="h") == 2
    assert write(session, FLOW, TRIGGER, look("b", "b", "c", cursor={"at": 3}), config_hash="h") == 1
    assert keys(events.unclaimed(session, FLOW)) == ["a", "b", "c"]
    found = events.state(session, FLOW, TRIGGER)
    assert (found.cursor, found.config_hash, found.unclaimed) == ({"at": 3}, "h", 3)
    assert found.looked_at is not None and found.fired_at is not None


def test_a_look_that_began_from_an_older_state_writes_nothing(session: PsycopgSession) -> None:
    for before in (events.state(session, FLOW, TRIGGER), events.state(session, FLOW, "another")):
        events.record_error(session, FLOW, TRIGGER, "an error is no look")
        events.record_look(session, before, look("a", cursor=1))
        now = events.state(session, FLOW, before.trigger_id)
        with pytest.raises(LookOvertakenError, match="another process has looked meanwhile"):
            events.record_look(session, before, look("b", cursor=2))
        assert events.state(session, FLOW, before.trigger_id) == now
        assert keys(events.unclaimed(session, FLOW, [before.trigger_id])) == ["a"]
        assert events.record_look(session, now, look("c", cursor=3)) == 1


def test_a_run_takes_every_event_and_its_retry_gets_the_same(session: PsycopgSession) -> None:
    write(session, FLOW, TRIGGER, look("a", "b"))
    first = events.claim(session, FLOW, "r1")
    write(session, FLOW, TRIGGER, look("c"))
    assert keys(first) == ["a", "b"]
    assert keys(events.claim(session, FLOW, "r1")) == ["a", "b", "c"], "what has come meanwhile is taken too"
    assert events.claim(session, FLOW, "r2") == []
    assert events.state(session, FLOW, TRIGGER).last_run_id == "r1"


def test_a_run_takes_the_events_of_its_triggers_and_flow_alone(session: PsycopgSession) -> None:
    for flow, trigger in ((FLOW, TRIGGER), (FLOW, "other"), ("other", TRIGGER)):
        write(session, flow, trigger, look(f"{flow}.{trigger}"))
    assert keys(events.claim(session, FLOW, "r1", [TRIGGER])) == ["orders.dropped"]
    assert keys(events.unclaimed(session, FLOW)) == ["orders.other"]
    assert events.count_unclaimed(session, "other", [TRIGGER]) == 1


def test_one_event_is_taken_by_one_run(session: PsycopgSession) -> None:
    write(session, FLOW, TRIGGER, look("a", "b"))
    event = events.unclaimed(session, FLOW)[0]
    assert keys(events.claim_one(session, FLOW, "r1", event.id)) == ["a"]
    assert keys(events.claim_one(session, FLOW, "r1", event.id)) == ["a"]
    assert events.claim_one(session, FLOW, "r2", event.id) == []


def test_a_thousand_events_of_one_look_are_written(session: PsycopgSession) -> None:
    names = [f"file {number}" for number in range(1_234)]
    assert write(session, FLOW, TRIGGER, look(*names)) == 1_234
    assert keys(events.claim(session, FLOW, "r1")) == names


@pytest.mark.parametrize(
    "key",
    [
        "O'Brien; DROP TABLE etl.run --",
        'a"b\\c',
        "naïve 文件 🐦",
        "x" * 4_096,
        "no utf-8: \udcff",
        "zero \0 byte",
        "{}",
    ],
)
def test_whatever_a_key_and_a_cursor_hold_comes_back(session: PsycopgSession, key: str) -> None:
    found = Look((Event(key, {"path": key}),), {key: [key, 1.5, None]})
    assert write(session, FLOW, TRIGGER, found) == 1
    assert write(session, FLOW, TRIGGER, found) == 0
    (event,) = events.claim(session, FLOW, key.replace("\0", "").replace("\udcff", ""))
    assert event.facts == {"path": key}
    assert events.state(session, FLOW, TRIGGER).cursor == {key: [key, 1.5, None]}


def test_an_error_stands_until_a_look_sees_the_place_again(session: PsycopgSession) -> None:
    events.record_error(session, FLOW, TRIGGER, "The folder 'a\0b' is gone.")
    failing = events.state(session, FLOW, TRIGGER)
    assert failing.is_failing and failing.error == "The folder 'a\\0b' is gone."
    write(session, FLOW, TRIGGER, look())
    well = events.state(session, FLOW, TRIGGER)
    assert not well.is_failing and well.error == failing.error, "the last error is still told"


def test_a_look_that_found_nothing_moves_only_the_time(session: PsycopgSession) -> None:
    write(session, FLOW, TRIGGER, look(cursor=1))
    before = events.state(session, FLOW, TRIGGER)
    events.record_alive(session, {(FLOW, TRIGGER), ("gone", "gone")})
    after = events.state(session, FLOW, TRIGGER)
    assert before.looked_at is not None and after.looked_at is not None and after.looked_at > before.looked_at
    assert after.model_copy(update={"looked_at": before.looked_at}) == before
    assert [state.flow_id for state in events.states(session)] == [FLOW], "a trigger nobody knows is not made"


def test_old_events_and_states_are_forgotten(session: PsycopgSession) -> None:
    write(session, FLOW, "old", look("taken", "not taken"))
    write(session, FLOW, "hook", look("body:0f", cursor=None))
    taken = events.unclaimed(session, FLOW)[0]
    events.claim_one(session, FLOW, "r1", taken.id)
    for column, table in (("seen_at", "event"), ("looked_at", "state"), ("fired_at", "state")):
        session.execute(
            sql.SQL("UPDATE etl.{} SET {} = now() - interval '91 days'").format(
                sql.Identifier(f"trigger_{table}"), sql.Identifier(column)
            )
        )
    write(session, FLOW, TRIGGER, look("new"))
    assert events.forget_events(session, older_than_days=90) == (2, 1)
    assert keys(events.unclaimed(session, FLOW)) == ["body:0f", "new"], "what could be replayed is not forgotten"
    assert [state.trigger_id for state in events.states(session)] == [TRIGGER]
