"""Flow files on a real Airflow with real files, a real PostgreSQL and a real S3 server: each event starts its flow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.integration.deployment import ROWS
from tests.integration.sensors.flows.landing import BUCKET, CHANNEL, FLOW_FILES, TABLE, Landing, put
from tests.integration.sensors.triggerers import frozen_triggerer
from tests.stand_ins.google_storage import Stored

FILES = int(os.environ.get("FILES") or 200)
"""`make files N=1000` puts a thousand, every night."""
LOOKS_S = 4.0
"""Long enough for several looks, and for what one of them would start."""
Check = Callable[[], None]
AtLast = Callable[[Check], Check]


@pytest.fixture(scope="module", autouse=True)
def at_last(landing: Landing) -> Iterator[AtLast]:
    """Before the first test has done anything nothing has started; after the last one it calls what was handed to it.

    So that all wait at once until whatever starts too often, or for nothing, has been started.
    """
    watched = ("one_file", "orders", "objects", "google", "answered", "deployed")
    for flow_id in watched:
        landing.looked(flow_id)
    time.sleep(LOOKS_S)
    assert {flow_id: landing.runs(flow_id) for flow_id in watched} == {flow_id: {} for flow_id in watched}
    checks: list[Check] = []

    def hand_over(check: Check) -> Check:
        checks.append(check)
        return check

    yield hand_over
    time.sleep(LOOKS_S)
    for check in checks:
        check()


def paths(facts: list[dict[str, object]]) -> list[str]:
    return [Path(str(each["path"])).name for each in facts]


def test_a_file_starts_the_flow_that_loads_its_tables_once_and_the_run_knows_it(
    landing: Landing, at_last: AtLast
) -> None:
    put(landing.place / "one.csv", "abc")
    (run_id,) = landing.until(lambda: landing.runs("one_file") or None)
    assert landing.done("one_file", run_id) == "success"
    (event,) = landing.result("one_file", run_id)
    assert event["trigger_id"] == "landed" and event["facts"]["size"] == 3
    run, tables = landing.ledger(run_id, "one_file")
    assert (run.dag_id, run.status, run.trigger_kind) == ("one_file", "success", "asset_triggered")
    # master_etl, which loads all tables, may have been first
    assert {name: table.table_rows for name, table in tables.items()} == {TABLE: ROWS}

    @at_last
    def once() -> None:
        assert list(landing.settled("one_file")) == [run_id]
        assert [run for _, _, run in landing.events("one_file")] == [run_id]


def test_files_of_a_folder_come_into_runs_each_once(landing: Landing) -> None:
    landing.looked("folder")
    names = [f"{number}.csv" for number in range(5)]
    for name in names:
        put(landing.place / "folder" / name)
        time.sleep(0.4)
    landing.until(lambda: True if len([1 for *_, run in landing.events("folder") if run]) == len(names) else None)
    runs = landing.settled("folder")
    assert {run["state"] for run in runs.values()} == {"success"}
    taken = [event for run_id in runs for event in landing.result("folder", run_id) or []]
    assert sorted(paths([event["facts"] for event in taken])) == names


def test_each_event_has_a_run_of_its_own_where_that_is_wanted(landing: Landing) -> None:
    landing.looked("each")
    for name in ("a", "b", 'it\'s; "naïve" 🐦'):
        put(landing.place / "each" / name)
    landing.until(lambda: True if len([1 for *_, run in landing.events("each") if run]) == 3 else None)
    runs = landing.settled("each")
    assert len(runs) == 3
    for run_id, run in runs.items():
        (event,) = landing.result("each", run_id)
        assert run_id == f"event__landed__{event['id']}" and run["state"] == "success"
        assert run["conf"]["trigger_id"] == "landed" and run["conf"]["event"] == event
    told = [run["conf"]["event"]["facts"] for run in runs.values()]
    assert sorted(paths(told)) == sorted(["a", "b", 'it\'s; "naïve" 🐦'])


def test_a_wake_that_comes_twice_starts_a_run_that_does_nothing(landing: Landing) -> None:
    landing.looked("folder")
    before = set(landing.settled("folder"))
    landing.wake("folder")
    (run_id,) = landing.until(lambda: landing.runs("folder").keys() - before or None)
    assert landing.done("folder", run_id) == "success"
    assert landing.states("folder", run_id) == {"take_events": "success", "work": "skipped"}


def test_an_event_whose_run_airflow_refuses_is_red_once_and_holds_up_no_other(landing: Landing) -> None:
    landing.looked("each")
    landing.settled("each__events")
    before = set(landing.runs("each__events"))
    landing.query(
        "INSERT INTO etl.trigger_event (flow_id, trigger_id, event_key, facts) "
        """VALUES ('each', 'landed', 'refused', '{"params": {"fail": "perhaps"}}'), ('each', 'landed', 'good', '{}')"""
    )
    landing.wake("each")
    landing.until(lambda: landing.runs("each__events").keys() - before or None)
    red = landing.settled("each__events").keys() - before
    assert [landing.runs("each__events")[run_id]["state"] for run_id in red] == ["failed"]
    found = dict(
        landing.query("SELECT event_key, run_id FROM etl.trigger_event WHERE event_key IN ('refused', 'good')")
    )
    assert found["refused"].startswith("refused__event__landed__")
    assert landing.done("each", found["good"]) == "success"


def test_a_flow_that_is_renamed_goes_on_under_its_new_name(landing: Landing) -> None:
    landing.looked("old_name")
    old = landing.config / "flows" / "old_name.toml"
    old.rename(old.with_name("new_name.toml"))
    landing.parse(*FLOW_FILES)
    landing.looked("new_name")
    put(landing.place / "renamed" / "a")
    (run_id,) = landing.until(lambda: landing.runs("new_name") or None)
    assert landing.done("new_name", run_id) == "success"
    assert landing.events("old_name") == [], "what has no file looks at nothing"
    assert landing.api.get("importErrors")["total_entries"] == 0


def test_many_files_in_a_minute_are_as_many_events_and_runs(landing: Landing) -> None:
    landing.looked("many")
    began = time.monotonic()
    for number in range(FILES):
        put(landing.place / "many" / f"{number:04}.csv")
        if number % 100 == 99:
            time.sleep(1)
    assert time.monotonic() - began < 60
    counted = "SELECT count(*), count(DISTINCT facts->>'path'), count(run_id), count(DISTINCT run_id) "
    counted += "FROM etl.trigger_event WHERE flow_id = 'many'"
    landing.until(lambda: True if landing.query(counted)[0][0] == FILES else None)
    while (started := landing.query(counted)[0][2]) < FILES:
        # how long Airflow takes for a thousand runs is the machine's affair, that it goes on is ours
        landing.until(lambda before=started: True if landing.query(counted)[0][2] > before else None)
    assert landing.query(counted) == [(FILES,) * 4]
    assert landing.api.get("dags/many/dagRuns", limit=1)["total_entries"] == FILES
    assert {run["state"] for run in landing.settled("many__events").values()} == {"success"}


def test_rows_of_a_real_table_start_their_flow(landing: Landing, at_last: AtLast) -> None:
    landing.query("INSERT INTO order_line VALUES (1, now()), (2, now() + interval '1 ms')")
    (run_id,) = landing.until(lambda: landing.runs("orders") or None)
    assert landing.done("orders", run_id) == "success"
    assert len(landing.result("orders", run_id)) == 1

    @at_last
    def once() -> None:
        assert len(landing.events("orders")) == 1


def started_once(landing: Landing, at_last: AtLast, flow_id: str) -> dict[str, object]:
    """Wait for the flow's one run and the one event it took; the event's facts."""
    (run_id,) = landing.until(lambda: landing.runs(flow_id) or None)
    assert landing.done(flow_id, run_id) == "success"
    (event,) = landing.result(flow_id, run_id)

    @at_last
    def once() -> None:
        assert list(landing.settled(flow_id)) == [run_id]

    return dict(event["facts"])


def test_objects_of_s3_start_their_flow(landing: Landing, at_last: AtLast) -> None:
    landing.s3.put_object(Bucket=BUCKET, Key="notes.txt", Body=b"no")
    landing.s3.put_object(Bucket=BUCKET, Key="in/a.csv", Body=b"yes")
    assert started_once(landing, at_last, "objects")["name"] == "in/a.csv"


def test_objects_of_google_start_their_flow(landing: Landing, at_last: AtLast) -> None:
    landing.google.objects[f"{BUCKET}/notes.txt"] = Stored(b"no")
    landing.google.objects[f"{BUCKET}/in/a.csv"] = Stored(b"yes")
    facts = started_once(landing, at_last, "google")
    assert (facts["event"], facts["path"], facts["size"]) == ("created", f"gs://{BUCKET}/in/a.csv", 3)


def test_a_service_that_answers_otherwise_starts_its_flow_and_so_does_a_deployment(
    landing: Landing, at_last: AtLast
) -> None:
    old, landing.service.commit = landing.service.commit, "1" * 40
    assert (
        started_once(landing, at_last, "answered").items()
        >= {"old": old, "new": "1" * 40, "what": "build.commit"}.items()
    )
    assert (
        started_once(landing, at_last, "deployed").items() >= {"old": old, "new": "1" * 40, "event": "deployed"}.items()
    )


def test_a_message_of_a_queue_starts_its_flow(landing: Landing, at_last: AtLast) -> None:
    landing.until(lambda: True if dict(landing.redis.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()) else None)
    landing.redis.publish("another", "no")
    assert landing.redis.publish(CHANNEL, '{"id": 7}') == 1
    facts = started_once(landing, at_last, "told")
    assert facts == {"event": "message", "queue": f"redis+pubsub://{CHANNEL}", "message": {"id": 7}}


def test_both_of_two_triggers_start_one_run_and_either_of_two_one_each(landing: Landing) -> None:
    landing.looked("both", 3)
    put(landing.place / "first" / "a")
    landing.until(lambda: landing.events("both") or None)
    time.sleep(LOOKS_S)
    assert landing.runs("both") == {}, "the first waits for the second"
    put(landing.place / "second" / "b")
    (run_id,) = landing.until(lambda: landing.runs("both") or None)
    assert landing.done("both", run_id) == "success"
    assert [event["trigger_id"] for event in landing.result("both", run_id)] == ["first", "second"]
    put(landing.place / "third" / "c")
    other = landing.until(lambda: next(iter(landing.runs("both").keys() - {run_id}), None))
    assert landing.done("both", other) == "success"
    assert [event["trigger_id"] for event in landing.result("both", other)] == ["third"]


@pytest.mark.parametrize("fail", [False, True], ids=["success", "failure"])
def test_who_follows_is_started_as_the_source_ended_and_a_failed_source_stays_red(landing: Landing, fail: bool) -> None:
    names = ("after_success", "after_failure", "after_always", "after_task")
    before = {name: len(landing.runs(name)) for name in names}
    landing.api.trigger("source", run_id := f"source-{fail}", {"fail": fail})
    assert landing.done("source", run_id) == ("failed" if fail else "success")
    expected = {"after_failure", "after_always", "after_task"} if fail else {"after_success", "after_always"}
    landing.until(lambda: True if len(landing.runs("after_always")) > before["after_always"] else None)
    time.sleep(LOOKS_S)
    started = {name for name in names if len(landing.settled(name)) > before[name]}
    assert started == expected
    assert all(run["state"] == "success" for name in started for run in landing.runs(name).values())
    states = landing.until(lambda: found if None not in (found := landing.states("source", run_id)).values() else None)
    assert states["followers.always"] == "success"
    assert states["followers.failure"] == ("success" if fail else "skipped")
    assert landing.api.run("source", run_id)["state"] == ("failed" if fail else "success")


def test_a_schedule_beside_a_sensor_knows_its_next_time_and_the_sensor_starts_runs(landing: Landing) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    now = datetime.now(zone)
    at = now.replace(hour=2, minute=30, second=0, microsecond=0)
    expected = at if at > now else (at.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    found = landing.api.get("dags/timed")["next_dagrun_run_after"]
    assert datetime.fromisoformat(found) == expected.astimezone(UTC)
    landing.looked("timed")
    put(landing.place / "timed" / "a")
    (run_id,) = landing.until(lambda: landing.runs("timed") or None)
    assert landing.done("timed", run_id) == "success"


def test_without_a_triggerer_a_dag_looks(landing: Landing) -> None:
    with frozen_triggerer(landing.stack):
        landing.api.trigger("polled__poll", "first", {})
        assert landing.done("polled__poll", "first") == "success"
        assert landing.runs("polled") == {}
        put(landing.place / "polled" / "a")
        landing.api.trigger("polled__poll", "second", {})
        (run_id,) = landing.until(lambda: landing.runs("polled") or None)
        assert landing.done("polled", run_id) == "success"
        assert paths([event["facts"] for event in landing.result("polled", run_id)]) == ["a"]
    assert landing.states("polled__poll", "first") == {"landed": "skipped"}


def test_a_paused_flow_finds_what_came_meanwhile_when_it_goes_on(landing: Landing) -> None:
    landing.looked("folder")
    before = set(landing.settled("folder"))
    with landing.paused("folder"):
        put(landing.place / "folder" / "while it was paused")
        time.sleep(LOOKS_S)
    landing.until(lambda: landing.runs("folder").keys() - before or None)
    runs = landing.settled("folder").keys() - before
    taken = [event["facts"] for run_id in runs for event in landing.result("folder", run_id) or []]
    assert paths(taken) == ["while it was paused"]
