"""Lanes beside each other: killed at random moments, asking a service that fails, and never faster than declared."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from psycopg import sql

from sluiceway.jobs import items, rate
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.ledger.warehouse import connect
from tests.jobs.lane_process import ATTEMPTS, HOPELESS, LAPSES, POISON, RESULTS, RUN, job
from tests.stand_ins.web_service import Reply, Request, WebService

Query = Callable[..., list[tuple[Any, ...]]]
JOB = "chaos"
ITEMS, KILLS, LANES = 2000, 20, 2
FAULTY = 0.1
WRITTEN_DOWN = """
    CREATE TABLE etl_jobs.answered
        (item text PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp(), serial bigint);
    CREATE TABLE etl_jobs.written (item text, serial bigint);
    GRANT SELECT ON etl_jobs.written TO sluiceway_loader;
    CREATE FUNCTION etl_jobs.note() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO etl_jobs.written VALUES (NEW.item, NEW.serial); RETURN NEW; END';
    CREATE TRIGGER note BEFORE INSERT OR UPDATE ON etl_jobs.answered FOR EACH ROW EXECUTE FUNCTION etl_jobs.note()
"""
"""The table of results, each writing of which leaves a trace."""


def make_due(url: str, name: str, number: int) -> None:
    found = sql.SQL("SELECT 'i' || n AS item, '{{}}'::jsonb AS input, 'a' AS input_hash FROM generate_series(1, {}) n")
    with connect(url) as session:
        items.enqueue(session, name, found.format(sql.Literal(number)))


class Lanes:
    """Processes that are lanes; a lane that ends is begun again for as long as anything is due."""

    def __init__(self, url: str, service: str, name: str = JOB, per_second: float = 2000.0) -> None:
        self._arguments = (url, service, name, str(per_second))
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def keep(self, number: int) -> None:
        url, service, name, per_second = self._arguments
        for lane in range(number):
            found = self.running.get(lane)
            if found is None or found.poll() is not None:
                command = [sys.executable, "-m", "tests.jobs.lane_process", url, service, str(lane), name, per_second]
                self.running[lane] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self, lane: int) -> None:
        os.kill(self.running[lane].pid, signal.SIGKILL)
        self.running[lane].wait()

    def end(self) -> None:
        for each in self.running.values():
            if each.poll() is None:
                each.kill()
            each.wait()


@contextmanager
def ended(lanes: Lanes) -> Iterator[Lanes]:
    try:
        yield lanes
    finally:
        lanes.end()


def states(query: Query) -> dict[str, int]:
    return dict(query("SELECT state, count(*) FROM etl_jobs.item GROUP BY 1"))  # type: ignore[arg-type]


def on_the_edge(query: Query) -> bool:
    """Whether one more kill might be the last of an item that ends no process itself: it would be rightly dead."""
    unfinished = "SELECT 1 FROM etl_jobs.item WHERE lapses >= %s AND state NOT IN ('done', 'dead') AND item <> %s"
    return bool(query(unfinished, LAPSES - 1, POISON))


def test_killed_lanes_and_a_faulty_service_lose_nothing_and_kill_two_items(jobs_url: str, query: Query) -> None:
    chance, serials = random.Random(20), count(1)  # no secret
    taking, faults = threading.Lock(), Counter[str]()

    def answer(request: Request) -> Reply:
        if request.params["item"] == HOPELESS:
            return Reply(500, {"error": "it always does"})
        with taking:
            # of 2,000 items one in ten thousand would fail at each of its attempts, and then be rightly dead
            fault = chance.random() < FAULTY and faults[request.params["item"]] < ATTEMPTS - 1
            faults[request.params["item"]] += fault
            serial = next(serials)
        if fault:
            return chance.choice([Reply(500, {}), Reply(200, {"message": "no"}), Reply(200, b"<html>")])
        return Reply(200, {"serial": serial})

    make_due(jobs_url, JOB, ITEMS)
    with connect(jobs_url) as session:
        session.execute(sql.SQL(WRITTEN_DOWN))
    killed, ends_at = 0, time.monotonic() + 240
    with WebService(answer=answer) as service, ended(Lanes(jobs_url, service.uri)) as lanes:
        while (left := states(query)).keys() & {"due", "claimed"}:
            assert time.monotonic() < ends_at, left
            lanes.keep(LANES)
            time.sleep(chance.uniform(0.3, 0.9))
            if killed < KILLS and not on_the_edge(query):
                lanes.kill(chance.randrange(LANES))
                killed += 1
    assert killed == KILLS
    dead = query("SELECT item, last_code, attempts, lapses FROM etl_jobs.item WHERE state = 'dead' ORDER BY item")
    by_item = {row[0]: row[1:] for row in dead}
    assert set(by_item) == {POISON, HOPELESS}
    assert (by_item[POISON][0], by_item[POISON][2]) == ("lapse", LAPSES)
    assert by_item[HOPELESS][:2] == ("service", ATTEMPTS)
    assert states(query) == {"done": ITEMS - 2, "dead": 2}
    written = query("SELECT item, count(*), count(DISTINCT serial) FROM etl_jobs.written GROUP BY item")
    assert {row[1:] for row in written} == {(1, 1)}, "a result was written twice"
    assert len(written) == ITEMS - 2
    counted = query("SELECT sum(done), sum(dead), sum(lost) FROM etl_jobs.lane")
    assert counted == [(ITEMS - 2, 2, 0)], "what the lanes counted is what there is, killed or not"


def test_an_answer_that_comes_after_its_lease_changes_nothing(
    jobs_url: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lane is late on purpose; another takes the item back meanwhile, and its answer counts."""
    monkeypatch.setattr("sluiceway.jobs.lane.LEASE_BEYOND_S", 0.2)
    serials, first = count(1), threading.Event()

    def answer(_request: Request) -> Reply:
        serial = next(serials)
        if serial == 1:
            first.set()
            return Reply(200, {"serial": serial}, waits_s=3)
        return Reply(200, {"serial": serial})

    make_due(jobs_url, JOB, 1)
    with WebService(answer=answer) as service:
        definition = job(service.uri).model_copy(update={"batch_seconds": 0.3})
        late = Lane(jobs_url, JOB, definition, LaneKey(RUN, 0))
        thread = threading.Thread(target=late.drain, kwargs={"budget_s": 10})
        thread.start()
        assert first.wait(10)
        other = Lane(jobs_url, JOB, definition, LaneKey(RUN, 1)).drain(budget_s=10)
        assert other.ended == {"done": 1}
        thread.join()
    assert (late.tally.lost, late.tally.ended.total()) == (1, 0)
    assert query("SELECT serial FROM etl_jobs.answered") == [(2,)]
    assert query("SELECT state, lapses FROM etl_jobs.item") == [("done", 0)]
    assert query("SELECT lane, done, lost, rescued FROM etl_jobs.lane ORDER BY lane") == [(0, 0, 1, 0), (1, 1, 0, 1)]


def test_the_rate_holds_over_lanes_and_over_two_runs_at_once(jobs_url: str) -> None:
    per_second, seconds = 20.0, 13
    serials = count(1)
    for name in ("one", "two"):
        make_due(jobs_url, name, 1000)
    with WebService(answer=lambda _request: Reply(200, {"serial": next(serials)})) as service:
        runs = [Lanes(jobs_url, service.uri, name, per_second) for name in ("one", "two")]
        with ended(runs[0]), ended(runs[1]):
            for each in runs:
                each.keep(2)
            ends_at = time.monotonic() + 30
            while not service.requests:
                assert time.monotonic() < ends_at
                time.sleep(0.05)
            time.sleep(seconds)
    times = sorted(each.at for each in service.requests)
    assert len(times) > per_second * 10, "it is no slower than declared either"
    most = max(sum(1 for at in times if begin <= at < begin + 10) for begin in times)
    assert most <= per_second * 10 * 1.05


def test_after_a_429_nobody_asks_before_its_time(jobs_url: str) -> None:
    wait_s = 4
    for name in ("one", "two"):
        make_due(jobs_url, name, 200)
    serials = count(1)
    refusal: list[float] = []

    def answer(_request: Request) -> Reply:
        if next(serials) == 60:
            refusal.append(time.monotonic())
            return Reply(429, {}, {"Retry-After": str(wait_s)})
        return Reply(200, {"serial": 1})

    with WebService(answer=answer) as service:
        runs = [Lanes(jobs_url, service.uri, name, 50.0) for name in ("one", "two")]
        with ended(runs[0]), ended(runs[1]):
            for each in runs:
                each.keep(2)
            ends_at = time.monotonic() + 60
            while len(service.requests) < 300:
                assert time.monotonic() < ends_at, Counter(each.path for each in service.requests)
                time.sleep(0.1)
    (at,) = refusal
    # those that were under way when the refusal was said cannot be called back
    early = [each.at - at for each in service.requests if 0.5 < each.at - at < wait_s - 0.1]
    assert early == []
    with connect(jobs_url) as session:
        assert rate.paused_for(session, RESULTS.table) == 0
