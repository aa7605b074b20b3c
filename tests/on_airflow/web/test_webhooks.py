"""Webhooks against a real API server, a real ledger and a DAG that Airflow has parsed; nothing here runs tasks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from starlette.requests import Request

from sluiceway.errors import WebhookRefusedError
from sluiceway.on_airflow.web import bodies
from tests.on_airflow.web.conftest import logged_in, serving
from tests.on_airflow.web.door import SECRET, Door, timed, unique
from tests.signing import signature

TEN_MB = 10 * 1024 * 1024


def github(body: bytes, **changed: str) -> dict[str, str]:
    """Headers of a request of GitHub's."""
    return {
        "X-GitHub-Event": "deployment_status",
        "X-GitHub-Delivery": str(uuid4()),
        "X-Hub-Signature-256": f"sha256={signature(body, SECRET)}",
        **changed,
    }


def deployed(sha: str = "c0ffee", state: str = "success") -> bytes:
    return json.dumps({"deployment_status": {"state": state, "id": uuid4().hex}, "deployment": {"sha": sha}}).encode()


@pytest.fixture
def refused(door: Door) -> Iterator[Callable[[httpx.Response], int]]:
    """The status of a refusal, and a look after the test: nothing was written, nobody woken, nothing said."""
    before = door.events(), door.woken()

    def status(answer: httpx.Response) -> int:
        assert SECRET not in answer.text
        assert set(answer.json()) == {"detail"}
        return answer.status_code

    yield status
    assert (door.events(), door.woken()) == before


Refused = Callable[[httpx.Response], int]


def test_a_signed_deployment_status_of_github_becomes_an_event_and_wakes_its_flow(door: Door) -> None:
    body = deployed(sha="deadbeef")
    answer = door.post("github", body, github(body, **{"X-GitHub-Delivery": "d-1"}))
    assert answer.status_code == 202, answer.text
    event = door.events()[-1]
    assert answer.json() == {"event_id": event["id"]}
    assert (event["flow_id"], event["trigger_id"]) == ("deploys", "github")
    assert event["facts"]["params"] == {"commit_sha": "deadbeef"}
    assert event["facts"]["delivery"] == "d-1"
    assert door.woken()[-1] == ("flow/deploys/trigger/github", {"trigger_id": "github", "event_id": event["id"]})
    queued = door.metadata(
        "SELECT q.target_dag_id FROM asset_dag_run_queue q JOIN asset a ON a.id = q.asset_id "
        "WHERE a.name = 'flow/deploys/trigger/github'"
    )
    assert queued == [("deploys",)]


def test_a_generic_request_maps_its_params(door: Door) -> None:
    body = json.dumps({"tables": ["a'; DROP TABLE x; --", "ü"], "by": [{"name": {"deep": [1, None]}}]}).encode()
    answer = door.post("generic", body)
    assert answer.status_code == 202, answer.text
    params = door.events()[-1]["facts"]["params"]
    assert params == {"tables": ["a'; DROP TABLE x; --", "ü"], "who": {"deep": [1, None]}}


def test_the_signature_may_have_its_prefix_and_capitals(door: Door) -> None:
    body = unique()
    headers = timed(body)
    headers["X-Signature-256"] = f"sha256={headers['X-Signature-256'].upper()}"
    assert door.post("generic", body, headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature-256": ""},
        {"X-Signature-256": "0" * 64},
        {"X-Signature-256": "sha256=" + "é" * 32},
        {"X-Signature-256": signature(b"{}", "another secret")},
        {"X-Signature-256": signature(b"{}", SECRET)},
    ],
    ids=["none", "empty", "wrong", "not ASCII", "of another secret", "without its time"],
)
def test_a_bad_signature_is_401(door: Door, refused: Refused, headers: dict[str, str]) -> None:
    raw = [(name, value.encode("latin-1")) for name, value in {"X-Timestamp": str(int(time.time())), **headers}.items()]
    answer = httpx.post(f"{door.url}/sluiceway/hooks/generic", content=b"{}", headers=raw)  # type: ignore[arg-type]
    assert refused(answer) == 401


def test_a_changed_body_is_401(door: Door, refused: Refused) -> None:
    body = deployed()
    assert refused(door.post("github", body + b" ", github(body))) == 401


def test_a_body_signed_with_an_empty_secret_is_never_accepted(door: Door, refused: Refused) -> None:
    stamp = str(int(time.time()))
    headers = {"X-Timestamp": stamp, "X-Signature-256": signature(f"{stamp}.{{}}".encode(), "")}
    assert refused(door.post("unset", b"{}", headers)) == 503
    assert refused(door.post("unknown_secret", b"{}", headers)) == 503


@pytest.mark.parametrize("seconds", [-301, 302, -(10**6)])
def test_an_old_or_future_timestamp_is_401(door: Door, refused: Refused, seconds: int) -> None:
    body = unique()
    assert refused(door.post("generic", body, timed(body, at=time.time() + seconds))) == 401


@pytest.mark.parametrize("stamp", ["", "now", "1e9", "-1", "١٧٠٠٠٠٠٠٠٠", "9" * 400])
def test_a_timestamp_that_is_none_is_401_although_it_is_signed(door: Door, refused: Refused, stamp: str) -> None:
    encoded = stamp.encode()
    headers = [(b"X-Timestamp", encoded), (b"X-Signature-256", signature(encoded + b".{}", SECRET).encode())]
    answer = httpx.post(f"{door.url}/sluiceway/hooks/generic", content=b"{}", headers=headers)
    assert refused(answer) == 401


def test_a_replay_is_409_also_under_another_delivery_id(door: Door) -> None:
    body = deployed()
    assert door.post("github", body, github(body)).status_code == 202
    before = door.events(), door.woken()
    again = door.post("github", body, github(body))
    assert (again.status_code, again.json()) == (409, {"detail": "This request was accepted before."})
    assert (door.events(), door.woken()) == before


def test_a_delivery_id_counts_once_whatever_it_brings(door: Door) -> None:
    for headers in (
        lambda body: github(body, **{"X-GitHub-Delivery": "same"}),
        lambda body: timed(body, **{"X-Delivery": "same"}),
    ):
        hook = "github" if "X-GitHub-Event" in headers(b"") else "bare"
        first, second = deployed(), deployed()
        assert door.post(hook, first, headers(first)).status_code == 202
        before = door.events(), door.woken()
        assert door.post(hook, second, headers(second)).status_code == 409
        assert (door.events(), door.woken()) == before


def test_a_generic_replay_under_another_delivery_id_is_409(door: Door) -> None:
    body = unique()
    headers = timed(body)
    assert door.post("bare", body, {**headers, "X-Delivery": "one"}).status_code == 202
    before = door.events(), door.woken()
    assert door.post("bare", body, {**headers, "X-Delivery": "two"}).status_code == 409
    assert door.post("bare", body, headers).status_code == 409
    assert (door.events(), door.woken()) == before


def test_the_same_body_at_another_time_is_another_event(door: Door) -> None:
    now = time.time()
    assert [door.post("bare", b"{}", timed(b"{}", at=now - ago)).status_code for ago in (0, 1)] == [202, 202]


def test_twenty_replays_at_once_are_one_event(door: Door) -> None:
    body = deployed()
    headers = github(body)
    before = len(door.events()), len(door.woken())
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: door.post("github", body, headers).status_code, range(20)))
    assert sorted(answers) == [202] + [409] * 19
    assert (len(door.events()), len(door.woken())) == (before[0] + 1, before[1] + 1)


def test_another_api_server_knows_the_replay_and_the_rate(door: Door) -> None:
    body = deployed()
    headers = github(body)
    assert door.post("github", body, headers).status_code == 202
    with serving(door.home, door.metadata_url, **door.variables) as url:
        again = httpx.post(f"{url}/sluiceway/hooks/github", content=body, headers=headers)
        assert again.status_code == 409
        bodies = [unique() for _ in range(3)]
        answers = [
            httpx.post(f"{address}/sluiceway/hooks/hurried", content=each, headers=timed(each))
            for address, each in zip((url, door.url, url), bodies, strict=True)
        ]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json() == {"detail": "The webhook takes 2 requests a minute."}
    assert len([event for event in door.events() if event["trigger_id"] == "hurried"]) == 2
    assert len([name for name, _ in door.woken() if name.endswith("/hurried")]) == 2


def test_of_one_request_a_minute_it_is_not_said_that_there_are_several(door: Door) -> None:
    assert door.post("slow", unique()).status_code == 202
    refused = door.post("slow", unique())
    assert (refused.status_code, refused.json()) == (429, {"detail": "The webhook takes 1 request a minute."})


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("hook", ["github", "generic"])
def test_ten_megabytes_are_413(door: Door, refused: Refused, hook: str, chunked: bool) -> None:
    body = b'{"a": "' + b"x" * TEN_MB + b'"}'
    headers = github(body) if hook == "github" else timed(body)
    content = iter(body[at : at + 65536] for at in range(0, len(body), 65536)) if chunked else body
    answer = httpx.post(f"{door.url}/sluiceway/hooks/{hook}", content=content, headers=headers, timeout=30)
    assert refused(answer) == 413


def test_a_body_that_does_not_come_to_its_end_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_S", 0.05)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(WebhookRefusedError, match="did not come to its end") as refused:
        asyncio.run(bodies.Body(request, bodies.Room(1000)).read(1000))
    assert refused.value.status == 408


def test_the_limit_is_the_triggers_own_and_exact(door: Door, refused: Refused) -> None:
    assert refused(door.post("small", b'"' + b"x" * 99 + b'"')) == 413
    assert refused(door.post("small", b'"' + b"x" * 99)) == 400


def test_unknown_and_disabled_are_the_same_404(door: Door, refused: Refused) -> None:
    body = unique()
    answers = [
        door.post(hook, body) for hook in ("nowhere", "off", "deploys.off", "by_hand", "broken", "shared", "%00")
    ]
    assert {refused(answer) for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


def test_an_id_of_two_flows_is_addressed_with_its_flow(door: Door) -> None:
    for flow in ("deploys", "other"):
        body = unique()
        assert door.post(f"{flow}.shared", body).status_code == 202
        assert (door.events()[-1]["flow_id"], door.events()[-1]["trigger_id"]) == (flow, "shared")
    assert "its address is <flow_id>.<trigger_id>" in door.post("shared", b"{}").json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"payload=%7B%7D",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'"\\ud800"',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b"[" * 300_000 + b"]" * 300_000,
    ],
    ids=[
        "empty",
        "cut",
        "a form",
        "no text",
        "not a number",
        "half a character",
        "brackets",
        "objects",
        "digits",
        "deep",
    ],
)
def test_broken_json_is_400(door: Door, refused: Refused, body: bytes) -> None:
    assert refused(door.post("bare", body)) == 400


@pytest.mark.parametrize(
    "content",
    [{"tables": None}, {"by": []}, {"tables": "zero\0byte"}, {"by": [{"name": {"zero\0byte": 1}}]}],
    ids=["null", "missing", "zero byte", "zero byte in a key"],
)
def test_a_body_without_its_params_is_400(door: Door, refused: Refused, content: dict[str, Any]) -> None:
    assert refused(door.post("generic", unique(**content))) == 400


def test_a_number_without_end_is_400(door: Door, refused: Refused) -> None:
    assert refused(door.post("generic", b'{"tables": 1e999, "by": [{"name": 1}]}')) == 400


def test_what_the_trigger_does_not_wait_for_is_answered_and_starts_nothing(door: Door) -> None:
    before = door.events(), door.woken()
    pending, done = deployed(state="pending"), deployed()
    for body, headers in (
        (pending, github(pending)),
        (done, github(done, **{"X-GitHub-Event": "ping"})),
        (done, github(done, **{"X-GitHub-Event": "deployment"})),
    ):
        answer = door.post("github", body, headers)
        assert (answer.status_code, list(answer.json())) == (200, ["ignored"])
    assert (door.events(), door.woken()) == before


@pytest.mark.parametrize("flow_id", ["sleeping", "deaf"])
def test_a_paused_flow_is_503_and_the_sender_may_send_again(door: Door, refused: Refused, flow_id: str) -> None:
    """Its DAG is paused, or the one beside it that starts its runs."""
    body = unique()
    answer = door.post(flow_id, body)
    assert (refused(answer), answer.headers["retry-after"]) == (503, "60")
    assert door.post(flow_id, body).status_code == 503  # not a replay


def test_an_event_that_a_killed_server_left_behind_is_told_when_it_is_sent_again(door: Door) -> None:
    body = unique()
    headers = timed(body)
    event_id = door.post("bare", body, headers).json()["event_id"]
    assert door.post("bare", body, headers).status_code == 409
    door.metadata(f"DELETE FROM asset_event WHERE extra->>'event_id' = '{event_id}'")
    with psycopg.connect(door.warehouse) as connection:
        connection.execute("UPDATE etl.trigger_event SET seen_at = seen_at - interval '20 s' WHERE id = %s", [event_id])
    again = door.post("bare", body, headers)
    assert (again.status_code, again.json()) == (202, {"event_id": event_id})
    assert door.post("bare", body, headers).status_code == 409
    assert [extra["event_id"] for _, extra in door.woken()].count(event_id) == 1


def test_a_get_is_no_webhook(door: Door) -> None:
    assert httpx.get(f"{door.url}/sluiceway/hooks/generic").status_code == 405


def test_the_triggers_are_listed_for_who_may_read_their_flows(door: Door) -> None:
    body = unique()
    event_id = door.post("bare", body).json()["event_id"]
    with psycopg.connect(door.warehouse) as connection:
        connection.execute("UPDATE etl.trigger_event SET run_id = 'r1', claimed_at = now() WHERE id = %s", [event_id])
    for client in logged_in(door.url, "reader"):
        answer = client.get("/sluiceway/api/triggers")
        assert answer.status_code == 200
        listed = {(each["flow_id"], each["trigger_id"]): each for each in answer.json()["triggers"]}
    assert len(listed) == 20
    assert listed["deploys", "off"]["state"] == "disabled"
    bare = listed["deploys", "bare"]
    assert (bare["kind"], bare["state"], bare["last_run_id"]) == ("api", "waiting", "r1")
    assert bare["last_event_at"] is not None and bare["last_error"] is None


def test_a_user_without_a_role_sees_no_trigger_and_nobody_else_anything(door: Door) -> None:
    for client in logged_in(door.url, "stranger"):
        answer = client.get("/sluiceway/api/triggers")
        assert (answer.status_code, answer.json()) == (200, {"triggers": []})
    assert httpx.get(f"{door.url}/sluiceway/api/triggers").status_code == 401


def test_no_secret_and_no_body_is_logged(door: Door) -> None:
    mark = uuid4().hex
    body = unique(by=[{"name": mark}], filling=mark)
    headers = timed(body)
    assert [door.post("generic", body, headers).status_code for _ in range(2)] == [202, 409]
    for hook in ("unset", "sleeping", "nowhere", "small"):
        door.post(hook, body, headers)
    door.post("generic", body, {"X-Signature-256": mark})
    door.post("generic", mark.encode(), timed(mark.encode()))
    said = door.log()
    assert "Webhook deploys.unset: The connection 'hook_unset' has no password" in said
    assert "Webhook deploys.generic: event" in said
    digest = door.events()[-1]["facts"]["signed"]
    assert [each for each in (mark, SECRET, headers["X-Signature-256"], digest) if each in said] == []
    assert "Traceback" not in said
