"""A job, made as its page says, on a real Airflow: items end once, and every way to break it is one clear sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.integration.deployment import Deployment
from tests.integration.jobs import elevation
from tests.integration.jobs.conftest import switched_on
from tests.integration.jobs.elevation import JOB, LINES, OTHER, PAGE, PER_SECOND, text_of
from tests.stand_ins.web_service import WebService

AIRPORTS = 6
ALL_DONE = f"{AIRPORTS} items became due: {AIRPORTS} done, 0 waiting for a person, 0 dead."
STATES = "SELECT state, count(*)::int FROM etl_jobs.item WHERE job = 'airport_elevation' GROUP BY 1 ORDER BY 1"


def sluiceway(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a person types it."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "sluiceway"), *arguments],
        env=dict(deployment.stack.env),
        capture_output=True,
        text=True,
        check=False,
    )


def ran(deployment: Deployment, *options: str) -> str:
    """A run as a person starts it, to its end; its id."""
    done = sluiceway(deployment, "jobs", "run", JOB, *options, "--json")
    assert done.returncode == 0, done.stderr
    run_id = str(json.loads(done.stdout)["run_id"])
    deployment.wait(run_id, JOB)
    return run_id


def sentence(deployment: Deployment, run_id: str) -> str:
    run, _ = deployment.ledger(run_id, JOB)
    return str(run.note)


def change(deployment: Deployment, statement: str) -> None:
    """What only the role of jobs may write."""
    with psycopg.connect(deployment.stack.env["SLUICEWAY_JOBS_URL"], autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def airports(deployment: Deployment) -> Iterator[Deployment]:
    """A deployment with airports, of which nothing is known yet; the job's file is as the page has it afterwards."""
    deployment.query("DROP TABLE IF EXISTS airport_faa")
    deployment.query(
        "CREATE TABLE airport_faa AS SELECT 'A' || n AS faa, n AS latitude, -n AS longitude "
        f"FROM generate_series(1, {AIRPORTS}) n"
    )
    change(deployment, "DELETE FROM etl_jobs.item")
    change(deployment, "UPDATE etl_jobs.rate SET paused_until = '-infinity'")
    yield deployment
    elevation.write(deployment.config, text_of("python"))
    deployment.query("DROP TABLE airport_faa")


def test_the_page_adds_a_job_in_under_fifty_lines() -> None:
    assert len(text_of("python").splitlines()) < LINES
    assert PAGE.read_text(encoding="utf-8").count("```python") == 1


def test_the_job_of_the_page_ends_every_item_once_and_asks_nothing_twice(airports: Deployment) -> None:
    run_id = ran(airports)
    assert airports.state(run_id, JOB) == "success"
    assert sentence(airports, run_id) == ALL_DONE
    assert airports.query(STATES) == [("done", AIRPORTS)]
    assert airports.query("SELECT count(*), max(metres) FROM public.airport_elevation") == [(AIRPORTS, AIRPORTS * 10.0)]
    again = ran(airports)
    assert sentence(airports, again) == "0 items became due: 0 done, 0 waiting for a person, 0 dead."
    (lanes,) = airports.query(f"SELECT count(*), sum(asked) FROM etl_jobs.lane WHERE run_id = '{again}'")
    assert lanes == (2, 0)


def test_a_dead_letter_turns_the_run_red_is_told_everywhere_and_replayed(airports: Deployment) -> None:
    airports.query("INSERT INTO airport_faa VALUES ('POLE', -90, 0)")
    run_id = ran(airports)
    assert airports.state(run_id, JOB) == "failed"
    said = sentence(airports, run_id)
    assert said.startswith("1 item died (the service cannot take it (1)); `sluiceway dead-letters list` names it.")
    token = {"Authorization": f"Bearer {airports.stack.token()}"}
    page = httpx.get(f"{airports.stack.url}/sluiceway/runs/{JOB}/{run_id}", headers=token).text
    assert "Dead letters of airport_elevation" in page
    assert "the service does not take -90,0" in page
    (letter,) = json.loads(sluiceway(airports, "dead-letters", "list", "--job", JOB, "--json").stdout)
    assert (letter["item"], letter["last_error"]) == ("POLE", "the service does not take -90,0")
    airports.query("UPDATE airport_faa SET latitude = 90 WHERE faa = 'POLE'")
    replayed = sluiceway(airports, "dead-letters", "replay", "--job", JOB, "--why", "it lies in the north")
    assert replayed.stdout == "1 item is due again.\n"
    assert airports.state(ran(airports, "--item", "POLE"), JOB) == "success"
    shown = json.loads(sluiceway(airports, "jobs", "show", JOB, "POLE", "--json").stdout)
    assert (shown["state"], shown["result"]["metres"]) == ("done", 900.0)
    assert [each["action"] for each in shown["history"]] == ["replay"]


def test_a_run_asked_for_by_rest_works_on_the_named_items_alone(airports: Deployment) -> None:
    airports.api.trigger(JOB, "rest__1", {"items": ["A1", "A2"]})
    assert airports.wait("rest__1", JOB) == "success"
    assert airports.query(STATES) == [("done", 2)]


def test_two_jobs_of_one_service_run_beside_each_other_by_schedule_and_by_hand(
    airports: Deployment, service: WebService
) -> None:
    airports.query(
        "CREATE TABLE runway AS SELECT 'R' || n AS faa, n AS latitude, -n AS longitude FROM generate_series(1, 30) n"
    )
    airports.until(lambda: switched_on(airports.api, OTHER))
    try:
        scheduled = airports.until(lambda: next(iter(airports.runs(OTHER)), None))
        airports.until(lambda: airports.query(f"SELECT 1 FROM etl_jobs.lane WHERE run_id = '{scheduled}'") or None)
        asked = len(service.requests)
        by_hand = ran(airports)
        airports.wait(scheduled, OTHER)
    finally:
        airports.api.patch(f"dags/{OTHER}", {"is_paused": True})
    assert scheduled.startswith("scheduled__")
    assert sentence(airports, by_hand) == ALL_DONE
    assert str(airports.ledger(scheduled, OTHER)[0].note).startswith("30 items became due: 30 done, 0 waiting")
    spans = airports.query(
        "SELECT job, min(started_at), max(finished_at) FROM etl_jobs.lane "
        f"WHERE run_id IN ('{scheduled}', '{by_hand}') GROUP BY 1"
    )
    (_, began, ended), (_, other_began, other_ended) = spans
    assert began < other_ended and other_began < ended, "they ran at the same time"
    moments = [request.at for request in service.requests[asked:]]
    most = max(sum(1 for each in moments if moment <= each < moment + 10) for moment in moments)
    assert most <= PER_SECOND * 10 * 1.05
    airports.query("DROP TABLE runway")


def test_a_paused_job_ends_at_once_green_and_says_who_paused_it(airports: Deployment) -> None:
    assert sluiceway(airports, "jobs", "pause", JOB, "--why", "the service moves").returncode == 0
    try:
        run_id = ran(airports)
    finally:
        sluiceway(airports, "jobs", "resume", JOB)
    assert airports.state(run_id, JOB) == "success"
    assert "airport_elevation is paused by" in sentence(airports, run_id)
    assert "(the service moves)" in sentence(airports, run_id)
    assert airports.query(STATES) == []


BREAKS: dict[str, tuple[dict[str, str], str, list[tuple[str, int]]]] = {
    "raises for all": (
        {"        place = f": '        raise KeyError("lat")\n        place = f'},
        "BrokenWorkError: the job's function failed: KeyError: 'lat'",
        [("due", AIRPORTS)],
    ),
    "hangs": (
        {
            "        place = f": "        __import__('time').sleep(60)\n        place = f",
            "batch_seconds=60": "batch_seconds=0.3",
        },
        "WorkHungError: the job's function did not come back within",
        [("due", AIRPORTS)],
    ),
    "answers too few": (
        {"    for each in batch:": "    for each in batch[1:]:", "    batch=20,": "    batch=20,\n    attempts=1,"},
        "died (the job's function answers what fits no column, or nothing",
        [("dead", 1), ("done", AIRPORTS - 1)],
    ),
    "answers a wrong column": (
        {'{"metres": reply': '{"meters": reply', "    batch=20,": "    batch=20,\n    attempts=1,"},
        "died (the job's function answers what fits no column, or nothing",
        [("dead", AIRPORTS)],
    ),
    "answers a wrong type": (
        {'["elevation"]}': '["elevation"] and "high"}', "    batch=20,": "    batch=20,\n    attempts=1,"},
        "died (the job's function answers what fits no column, or nothing",
        [("dead", AIRPORTS)],
    ),
    "is no Python": ({"JOB = Job(": "JOB = Job(("}, "ConfigError: ", []),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_job_is_one_clear_sentence_and_the_right_class(airports: Deployment, name: str) -> None:
    changes, said, states = BREAKS[name]
    text = text_of("python")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    elevation.write(airports.config, text)
    run_id = ran(airports)
    assert airports.state(run_id, JOB) == "failed"
    assert said in sentence(airports, run_id)
    assert airports.query(STATES) == states
