"""The watch's trigger against a real HTTP server: how often it asks, and when it says that it is blind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluiceway.deploy import stints
from sluiceway.deploy.pace import LONGEST_S, Pace
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow import deploy_runs
from sluiceway.on_airflow.triggers import deploy_watch
from sluiceway.on_airflow.triggers.deploy_watch import BLIND_AFTER, RETURN_LOOKS, DeployWatchTrigger
from tests.stand_ins.version_endpoint import VersionEndpoint
from tests.stand_ins.web_service import Reply

POLL_S = 0.05
PATIENT_S = 30.0
"""For what has to come at last, however busy the machine is."""
X, N = "a" * 40, "b" * 40
THERE = "deploy__there"
"""A run that Airflow has."""


@pytest.fixture
def endpoint(tmp_path: Path, setting: Callable[..., None]) -> Iterator[VersionEndpoint]:
    with VersionEndpoint() as running:
        (tmp_path / "environments").mkdir()
        watched(tmp_path, running, request_timeout_s=PATIENT_S)
        setting(config_dir=tmp_path)
        yield running


def watched(config: Path, endpoint: VersionEndpoint, *, request_timeout_s: float) -> None:
    (config / "environments" / "staging.toml").write_text(
        f'kind = "http"\nurl = "{endpoint.uri}/text"\npoll_s = {POLL_S}\nrequest_timeout_s = {request_timeout_s}\n'
    )


@pytest.fixture
def ledger(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The warehouse whose ledger the watch writes; no run is in it, and none in Airflow."""
    monkeypatch.setattr(deploy_watch, "warehouse_url", lambda: warehouse_url)
    monkeypatch.setattr(deploy_runs, "run_exists", lambda _dag_id, run_id: run_id == THERE)
    return warehouse_url


async def events(until: Callable[[], bool]) -> list[dict[str, Any]]:
    """What the trigger tells until then."""
    found: list[dict[str, Any]] = []

    async def listen() -> None:
        async for event in DeployWatchTrigger(environment="staging", dag_id="master_etl").run():
            found.extend([event.payload])

    listener = asyncio.create_task(listen())
    await wait(until)
    listener.cancel()
    await asyncio.wait([listener])
    return found


async def wait(until: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not until():  # noqa: ASYNC110  # the endpoint counts in a thread
            await asyncio.sleep(0.005)


def answers(endpoint: VersionEndpoint, number: int) -> Callable[[], bool]:
    """Whether so many answers have been dealt with from now on: the trigger asks again only after that."""
    asked = len(endpoint.requests)
    return lambda: len(endpoint.requests) > asked + number


async def first_event() -> dict[str, Any]:
    """What the trigger tells first, whenever that is."""
    trigger = DeployWatchTrigger(environment="staging", dag_id="master_etl")
    return dict((await anext(trigger.run())).payload)


@pytest.mark.parametrize("fault", ["500", "slow", "html"])
def test_an_endpoint_that_says_no_commit_is_asked_ever_more_rarely_and_told_once(
    endpoint: VersionEndpoint,
    tmp_path: Path,
    fault: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if fault == "slow":
        watched(tmp_path, endpoint, request_timeout_s=0.2)
    endpoint.fault = fault
    began = time.monotonic()
    told = asyncio.run(events(answers(endpoint, BLIND_AFTER + 2)))
    took = time.monotonic() - began
    endpoint.fault = None
    assert [list(event) for event in told] == [["environment", "problem"]]
    assert f"({BLIND_AFTER} times in a row)" in told[0]["problem"]
    # after 0, 0.1, 0.3, 0.7, 1.5 and 3.1 s; evenly the sixth would come after a quarter of a second
    assert took > 3.0
    # Airflow's own logging goes to the standard output where nothing else was set up
    assert "in a row); asking again in" in capsys.readouterr().out + caplog.text


def test_a_short_commit_is_told_as_a_problem_for_it_names_no_run(endpoint: VersionEndpoint) -> None:
    endpoint.commit = "abcdef1"
    told = asyncio.run(asyncio.wait_for(first_event(), PATIENT_S))
    assert "'abcdef1', 7 digits of a commit" in told["problem"]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("is_loaded", [False, True])
def test_one_event_says_that_it_sees_again_and_which_commit_is_new(
    endpoint: VersionEndpoint, monkeypatch: pytest.MonkeyPatch, is_loaded: bool
) -> None:
    """Airflow holds back an event that comes before the one before it has its run: the commit waited 30 s so."""
    monkeypatch.setattr(deploy_watch, "needs_run", lambda *_: not is_loaded)
    endpoint.fault = "500"

    async def told() -> tuple[dict[str, Any], dict[str, Any]]:
        events = DeployWatchTrigger(environment="staging", dag_id="master_etl").run()
        first = (await anext(events)).payload
        endpoint.fault = None
        second = (await anext(events)).payload
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 10 * POLL_S)
        return first, second

    first, second = asyncio.run(told())
    assert list(first) == ["environment", "problem"]
    assert second["commit"] == (None if is_loaded else endpoint.commit)


def test_a_commit_is_told_each_time_that_it_is_deployed(endpoint: VersionEndpoint, ledger: str) -> None:
    """X, then N, then X again: a rollback; the cursor of the newest commit alone forgot none of it, the ledger does."""

    async def told() -> list[str]:
        events = DeployWatchTrigger(environment="staging", dag_id="master_etl").run()
        commits = []
        for commit in (X, N, X):
            endpoint.commit = commit
            commits.append((await asyncio.wait_for(anext(events), PATIENT_S)).payload["commit"])
            _run_is_there(ledger)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 10 * POLL_S)
        return commits

    assert asyncio.run(told()) == [X, N, X]


def test_a_restart_tells_no_commit_again_that_has_its_run(endpoint: VersionEndpoint, ledger: str) -> None:
    assert [event["commit"] for event in asyncio.run(events(answers(endpoint, 3)))] == [endpoint.commit]
    _run_is_there(ledger)
    assert asyncio.run(events(answers(endpoint, 3))) == []


def test_a_restart_tells_a_commit_again_that_has_no_run_yet(endpoint: VersionEndpoint, ledger: str) -> None:
    for _ in range(2):
        assert [event["commit"] for event in asyncio.run(events(answers(endpoint, 3)))] == [endpoint.commit]
    with connect(ledger) as session:
        stint = stints.current(session, "staging")
        assert stint is not None
        stints.ask_for_run(session, stint, "deploy__lost")
    assert [event["commit"] for event in asyncio.run(events(answers(endpoint, 3)))] == [endpoint.commit]


def test_instances_that_answer_in_turns_are_no_rollback(endpoint: VersionEndpoint, ledger: str) -> None:
    served = iter([X, N] * 10)
    endpoint.answer = lambda _: Reply(200, f"{next(served, N)}\n".encode(), {"Content-Type": "text/plain"})

    async def told() -> list[str]:
        found: list[str] = []

        async def listen() -> None:
            async for event in DeployWatchTrigger(environment="staging", dag_id="master_etl").run():
                found.append(event.payload["commit"])
                _run_is_there(ledger)

        listener = asyncio.create_task(listen())
        await wait(answers(endpoint, 20 + RETURN_LOOKS + 2))
        listener.cancel()
        await asyncio.wait([listener])
        return found

    assert asyncio.run(told()) == [X, N, N], "and N again, which is there to stay in the end"


def _run_is_there(ledger: str) -> None:
    """As the consumer of an event leaves it."""
    with connect(ledger) as session:
        stint = stints.current(session, "staging")
        assert stint is not None
        stints.ask_for_run(session, stint, THERE)


def test_a_watch_outlives_an_environment_whose_file_is_gone(
    endpoint: VersionEndpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "environments" / "staging.toml").unlink()
    printed: list[str] = []

    def said() -> str:
        printed.append(capsys.readouterr().out)
        return "".join(printed) + caplog.text

    assert asyncio.run(events(lambda: "asking again" in said())) == []
    assert said().count("there is no ") == 1 and "(1 in a row); asking again in 60 s" in said()
    assert endpoint.requests == []


def test_waits_double_after_errors_up_to_a_minute_and_are_even_again_after_an_answer() -> None:
    pace = Pace(15)
    assert [pace.after_error() for _ in range(4)] == [30, 60, 60, 60]
    assert (pace.after_answer(), pace.after_error()) == (15, 30)


def test_an_interval_longer_than_a_minute_stays_after_an_error() -> None:
    assert Pace(300).after_error() == 300 > LONGEST_S


def test_days_of_errors_do_not_overflow() -> None:
    pace = Pace(1)
    assert {pace.after_error() for _ in range(3000)} == {2, 4, 8, 16, 32, 60}
