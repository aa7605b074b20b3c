"""Many at once, while a database keeps each of them waiting: the API server itself goes on answering."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
import psycopg
import pytest

from tests.on_airflow.web.conftest import logged_in
from tests.on_airflow.web.door import Door, timed, unique
from tests.waiting import wait_until

SENDERS = 60
HEALTHY_S = 1.0
HOOK_S = 10.0
"""From when the first waits for the lock: five until a thread is free, two for the lock, and the machine's own."""
PAGE_S = 12.0


@pytest.fixture(autouse=True)
def _asked_before(door: Door) -> None:
    """The first request of each kind has the server import what it needs."""
    assert door.post("bare", unique()).status_code == 202
    assert httpx.get(f"{door.url}/api/v2/monitor/health").status_code == 200


@contextmanager
def locked(url: str, statement: str) -> Iterator[None]:
    """Another session holds what the statement locks."""
    with psycopg.connect(url) as other:
        other.execute(statement.encode())
        yield


def timed_answer(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


def ended_answer(ask: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    return ask(), time.monotonic()


def waiting(door: Door) -> int:
    """How many locks of the warehouse somebody waits for."""
    with psycopg.connect(door.warehouse) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE NOT l.granted AND a.datname = current_database()"
        ).fetchone()
    assert found
    return int(found[0])


def health_while(door: Door, asked: list[Future[tuple[httpx.Response, float]]]) -> tuple[float, list[float]]:
    """When others began to wait for a lock, and how long each answer about the server's health took until all ended.

    Before, sixty clients of this process begin at once, which takes a busy machine a second that no server makes up.
    """
    wait_until(lambda: waiting(door) > 0)
    since = time.monotonic()
    took = []
    with httpx.Client(base_url=door.url, timeout=30) as client:
        while not all(each.done() for each in asked):
            answer, seconds = timed_answer(lambda: client.get("/api/v2/monitor/health"))
            assert answer.status_code == 200
            took.append(seconds)
            time.sleep(0.05)
    return since, took


def test_sixty_webhooks_that_wait_for_a_lock_leave_the_server_alone_and_are_accepted_once_each(door: Door) -> None:
    bodies = [unique() for _ in range(SENDERS)]
    headers = [timed(body) for body in bodies]
    before = len(door.events()), len(door.woken())

    def send(number: int) -> httpx.Response:
        return client.post("/sluiceway/hooks/bare", content=bodies[number], headers=headers[number])

    # one client, for each of its own reads all certificates of this machine first
    limits = httpx.Limits(max_connections=SENDERS)
    with ThreadPoolExecutor(SENDERS) as senders, httpx.Client(base_url=door.url, timeout=60, limits=limits) as client:
        with locked(door.warehouse, "SELECT FROM etl.lock WHERE name = 'flow/deploys/trigger/bare' FOR UPDATE"):
            asked = [senders.submit(ended_answer, partial(send, number)) for number in range(SENDERS)]
            since, took = health_while(door, asked)
        answers = [each.result() for each in asked]
        assert Counter(answer.status_code for answer, _ in answers) == {503: SENDERS}
        assert {int(answer.headers["retry-after"]) for answer, _ in answers} <= set(range(1, 61))
        assert max(took) < HEALTHY_S, f"{len(took)} answers about its health"
        assert max(ended for _, ended in answers) - since < HOOK_S
        assert (len(door.events()), len(door.woken())) == before

        def send_again(number: int) -> int:
            while (answer := send(number)).status_code == 503:
                time.sleep(0.1)
            return answer.status_code

        assert list(senders.map(send_again, range(SENDERS))) == [202] * SENDERS
    assert (len(door.events()), len(door.woken())) == (before[0] + SENDERS, before[1] + SENDERS)
    assert door.post("bare", bodies[0], headers[0]).status_code == 409


def test_another_role_of_the_ledger_holds_up_no_webhook(door: Door) -> None:
    key = "hashtextextended('flow/deploys/trigger/bare', 0)"
    with locked(door.as_role("sluiceway_jobs"), f"SELECT pg_advisory_lock({key})"):
        answer, seconds = timed_answer(lambda: door.post("bare", unique()))
    assert (answer.status_code, seconds < HOOK_S) == (202, True)


def test_sixty_pages_that_wait_for_a_lock_leave_the_server_alone(door: Door) -> None:
    for client in logged_in(door.url, "reader"):
        look = partial(ended_answer, partial(client.get, "/sluiceway/runs", timeout=60))
        statement = "LOCK TABLE etl.run IN ACCESS EXCLUSIVE MODE"
        with ThreadPoolExecutor(SENDERS) as lookers, locked(door.as_role("sluiceway_owner"), statement):
            asked = [lookers.submit(look) for _ in range(SENDERS)]
            since, took = health_while(door, asked)
        answers = [each.result() for each in asked]
        assert Counter(answer.status_code for answer, _ in answers) == {503: SENDERS}
        assert max(took) < HEALTHY_S, f"{len(took)} answers about its health"
        assert max(ended for _, ended in answers) - since < PAGE_S
        assert client.get("/sluiceway/runs").status_code == 200


def test_a_face_is_answered_while_the_tokens_are_locked(door: Door) -> None:
    with locked(door.as_role("sluiceway_owner"), "LOCK TABLE etl.face_token IN ACCESS EXCLUSIVE MODE"):
        ask = partial(httpx.get, headers={"Authorization": f"Bearer slw_{'a' * 32}"}, timeout=90)
        answer, seconds = timed_answer(lambda: ask(f"{door.url}/sluiceway/badge.json"))
    # 401: this process knew the tokens before
    assert answer.status_code in {401, 503}
    assert seconds < PAGE_S
