"""Standard Webhooks, and the rotation of secrets, against a real API server."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import httpx
import pytest

from tests.on_airflow.web.door import SECRET, SECRET_BEFORE, STANDARD, STANDARD_BEFORE, Door, unique
from tests.signing import signature, standard_signature

OTHER = "whsec_" + "A" * 32


def ordered(**more: object) -> bytes:
    return json.dumps(
        {"type": "order.created", "timestamp": "2026-07-01T00:00:00Z", "data": {"id": 42}, **more}
    ).encode()


def headers_of(
    body: bytes, *secrets: str, delivery: str | None = None, at: float | None = None, **changed: str
) -> dict[str, str]:
    """As a sender makes them, with a signature of each secret."""
    delivery, stamp = delivery or f"msg_{uuid4().hex}", str(int(time.time() if at is None else at))
    signatures = [standard_signature(delivery, stamp, body, each) for each in secrets or (STANDARD,)]
    found = {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}
    return {**found, **changed}


def test_a_standard_webhook_becomes_an_event_with_its_params(door: Door) -> None:
    body = ordered()
    headers = headers_of(body)
    answer = door.post("standard", body, headers)
    assert answer.status_code == 202, answer.text
    event = door.events()[-1]
    assert (event["id"], event["facts"]["params"]) == (answer.json()["event_id"], {"order": 42})
    assert event["facts"]["delivery"] == headers["webhook-id"]
    assert door.woken()[-1][1] == {"trigger_id": "standard", "event_id": event["id"]}


def test_what_is_sent_again_is_well_received_and_starts_nothing(door: Door) -> None:
    """Its sender had no answer, and takes anything but 2xx for a failure."""
    body = ordered()
    assert door.post("standard", body, headers_of(body, delivery="msg_again")).status_code == 202
    before = door.events(), door.woken()
    again = door.post("standard", body, headers_of(body, delivery="msg_again", at=time.time() - 1))
    assert (again.status_code, again.json()) == (200, {"ignored": "This request was accepted before."})
    assert (door.events(), door.woken()) == before


@pytest.mark.parametrize(
    "secrets",
    [(STANDARD,), (STANDARD_BEFORE,), (OTHER, STANDARD), (STANDARD_BEFORE, STANDARD), (OTHER,) * 20 + (STANDARD,)],
    ids=["new", "before", "its new one too", "both", "many"],
)
def test_one_of_several_signatures_is_enough_with_either_secret(door: Door, secrets: tuple[str, ...]) -> None:
    body = ordered()
    assert door.post("standard", body, headers_of(body, *secrets)).status_code == 202


def test_a_signature_of_another_version_or_of_no_form_hinders_no_good_one(door: Door) -> None:
    for odd in ("v1a,AAAA", "v1", "v1,a,b", "v1,=", ",", "v1,AAAA"):
        body = ordered()
        headers = headers_of(body)
        headers["webhook-signature"] = f"{odd} {headers['webhook-signature']}"
        assert door.post("standard", body, headers).status_code == 202, odd


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v2," + "A" * 43 + "="},
        {"webhook-id": ""},
        {"webhook-id": "another"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 300},
    ],
    ids=str,
)
def test_a_request_that_is_not_signed_as_the_standard_says_is_401(door: Door, changed: dict[str, str]) -> None:
    before = door.events()
    body = ordered()
    answer = door.post("standard", body, headers_of(body, **changed))
    assert (answer.status_code, set(answer.json())) == (401, {"detail"})
    assert door.events() == before


@pytest.mark.parametrize("seconds", [-301, 302])
def test_a_time_that_is_not_within_the_window_is_401(door: Door, seconds: int) -> None:
    body = ordered()
    assert door.post("standard", body, headers_of(body, at=time.time() + seconds)).status_code == 401


def test_a_changed_body_or_another_secret_is_401(door: Door) -> None:
    body = ordered()
    assert door.post("standard", body + b" ", headers_of(body)).status_code == 401
    assert door.post("standard", b"\xff\xfe", headers_of(b"\xff\xfe")).status_code in {400, 401}
    assert door.post("standard", body, headers_of(body, OTHER)).status_code == 401


def test_another_event_than_it_waits_for_is_answered_and_starts_nothing(door: Door) -> None:
    before = door.events()
    body = ordered(type="order.cancelled")
    assert door.post("standard", body, headers_of(body)).status_code == 200
    assert door.events() == before


def test_a_secret_that_is_none_of_the_standard_is_said_in_the_log_alone(door: Door) -> None:
    body = ordered()
    answer = door.post("misplaced", body, headers_of(body))
    assert (answer.status_code, "whsec_" in answer.text) == (503, False)
    assert "The connection's password is no secret of Standard Webhooks" in door.log()
    assert SECRET not in door.log()


def timed_with(body: bytes, secret: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    return {"X-Timestamp": stamp, "X-Signature-256": signature(f"{stamp}.".encode() + body, secret)}


def test_the_secret_before_is_taken_too_until_its_connection_is_gone(door: Door) -> None:
    statuses = [
        door.post(hook, body, timed_with(body, secret)).status_code
        for hook, secret in (
            ("renewed", SECRET),
            ("renewed", SECRET_BEFORE),
            ("rotated", SECRET),
            ("rotated", SECRET_BEFORE),
            ("bare", SECRET_BEFORE),
        )
        for body in [unique()]
    ]
    assert statuses == [202, 202, 202, 401, 401]
    assert "previous_connection: There is no connection 'hook_nowhere'" in door.log()


def test_a_flow_gets_no_param_that_its_runs_do_not_have(door: Door) -> None:
    """Each of its runs would be red."""
    before = door.events(), door.woken()
    answer = door.post("undeclared", json.dumps({"order": {"id": 1}}).encode())
    assert (answer.status_code, (door.events(), door.woken())) == (503, before)
    assert "runs of 'loads' have no param 'order_id'; known: actor, ci_run_url, commit_sha, force" in door.log()


@pytest.mark.parametrize("value", [[], ["us_stat"], "us_state", [1], {"a": 1}, [None]], ids=str)
def test_a_value_that_its_param_cannot_have_is_400(door: Door, value: object) -> None:
    before = door.events(), door.woken()
    answer = door.post("chosen", json.dumps({"changed": value, "id": uuid4().hex}).encode())
    assert (answer.status_code, (door.events(), door.woken())) == (400, before)
    assert answer.json()["detail"] == (
        """What is sent starts nothing: the param 'tables' must be a list of tables, ["a", "b"], at least one of the """
        """flow."""
    )


def test_a_value_that_its_param_can_have_is_accepted(door: Door) -> None:
    assert door.post("chosen", json.dumps({"changed": ["us_county"], "id": uuid4().hex}).encode()).status_code == 202
    assert httpx.get(f"{door.url}/api/v2/monitor/health").status_code == 200
