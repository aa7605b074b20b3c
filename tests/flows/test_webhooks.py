"""Whether a request is what a trigger's sender has signed, clause by clause; and what of it the run is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

import pytest

from sluiceway.errors import SettingsError, WebhookRefusedError
from sluiceway.events import UNTIMED, Signed
from sluiceway.flows.kinds.api import ApiTrigger
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.webhooks import authenticate, params_of
from tests.signing import signature, standard_signature

SECRET, BEFORE, OTHER = (f"whsec_{base64.b64encode(bytes([each]) * 24).decode()}" for each in (251, 7, 1))
BODY = b'{"order": {"id": 7}, "state": "new"}'
NOW = 1_800_000_000.0


class Clock(datetime):
    """That of the library of Standard Webhooks, which refuses what is older than five minutes by itself."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Clock:
        return cls.fromtimestamp(NOW, tz)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", Clock)


def hook(provider: str = "generic", **keys: Any) -> ApiTrigger:
    given = {"id": "hook", "flow_id": "f", "type": "api", "connection": "c", "provider": provider, **keys}
    made = TriggerRegistry.create_trigger(given)
    assert isinstance(made, ApiTrigger)
    return made


def standard(
    *secrets: str, body: bytes = BODY, delivery: str = "msg_1", at: float = NOW, stamp: str = ""
) -> dict[str, str]:
    """Headers with a signature of each secret."""
    stamp = stamp or str(int(at))
    signatures = [standard_signature(delivery, stamp, body, secret) for secret in secrets or (SECRET,)]
    return {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": " ".join(signatures)}


def timed(*, body: bytes = BODY, at: float = NOW, secret: str = SECRET, **more: str) -> dict[str, str]:
    stamp = str(int(at))
    return {"X-Timestamp": stamp, "X-Signature-256": signature(f"{stamp}.".encode() + body, secret), **more}


def signed(trigger: ApiTrigger, headers: dict[str, str], *secrets: str, body: bytes = BODY) -> Signed:
    return authenticate(trigger, secrets or (SECRET,), headers, body, NOW)


def refused(trigger: ApiTrigger, headers: dict[str, str], *secrets: str, body: bytes = BODY) -> tuple[int, str]:
    with pytest.raises(WebhookRefusedError) as caught:
        signed(trigger, headers, *secrets, body=body)
    return caught.value.status, str(caught.value)


WRONG = (401, "The signature is not that of this webhook's secret.")


# Standard Webhooks


@pytest.mark.parametrize(
    "secrets",
    [(SECRET,), (BEFORE,), (OTHER, SECRET), (SECRET, OTHER), (OTHER, BEFORE), (BEFORE, SECRET)],
    ids=["new", "before", "last", "first", "before is last", "both"],
)
def test_one_good_signature_of_one_secret_is_enough(secrets: tuple[str, ...]) -> None:
    found = signed(hook("standard"), standard(*secrets), SECRET, BEFORE)
    assert (found.key, found.delivery) == ("delivery:msg_1", "msg_1")


def test_the_secret_before_is_not_even_asked_for_where_the_new_one_fits() -> None:
    def secrets() -> Iterator[str]:
        yield SECRET
        raise AssertionError("asked for")

    assert authenticate(hook("standard"), secrets(), standard(), BODY, NOW)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"webhook-signature": ""}, "The request is not signed."),
        ({"webhook-signature": "v1,AAAA"}, WRONG[1]),
        ({"webhook-signature": standard()["webhook-signature"].replace("v1,", "v2,")}, WRONG[1]),
        ({"webhook-signature": standard()["webhook-signature"].replace("v1,", "v1a,")}, WRONG[1]),
        ({"webhook-signature": standard(OTHER)["webhook-signature"]}, WRONG[1]),
        ({"webhook-id": ""}, "The request has no webhook-id."),
        ({"webhook-id": "msg_2"}, WRONG[1]),
        ({"webhook-timestamp": str(int(NOW) - 1)}, WRONG[1]),
        ({"webhook-timestamp": ""}, WRONG[1]),
        (standard(stamp="nan"), WRONG[1]),
        ({"webhook-timestamp": f"+{int(NOW)}"}, "webhook-timestamp is no whole seconds since 1970."),
        ({"webhook-timestamp": f"{int(NOW)}.5"}, "webhook-timestamp is no whole seconds since 1970."),
        (standard(at=NOW - 1000), WRONG[1]),
    ],
    ids=str,
)
def test_a_standard_webhook_of_which_anything_is_wrong_is_401(changed: dict[str, str], said: str) -> None:
    assert refused(hook("standard"), {**standard(), **changed}) == (401, said)


def test_a_body_that_was_changed_or_is_no_text_is_401() -> None:
    assert refused(hook("standard"), standard(), body=BODY + b" ") == WRONG
    assert refused(hook("standard"), standard(body=b"\xff"), body=b"\xff") == WRONG


@pytest.mark.parametrize("odd", ["v1a,AAAA", "v1", "v1,a,b", "v1,=", ",", "v1,AAAA", ""])
def test_odd_signatures_hinder_no_good_one(odd: str) -> None:
    headers = standard()
    for both in (f"{odd} {headers['webhook-signature']}", f"{headers['webhook-signature']} {odd}"):
        assert signed(hook("standard"), {**headers, "webhook-signature": both})


@pytest.mark.parametrize("provider", ["standard", "generic"])
def test_what_is_as_old_as_its_window_counts_and_nothing_older_or_from_the_future(provider: str) -> None:
    trigger, made = hook(provider, window_s=60), standard if provider == "standard" else timed
    for seconds in (-60, 60):
        assert signed(trigger, made(at=NOW + seconds))
    for seconds in (-61, 61):
        said = f"{trigger.timestamp_header} is not within 60 s."
        assert refused(trigger, made(at=NOW + seconds)) == (401, said)


def test_what_is_sent_again_later_has_the_key_of_the_first() -> None:
    first, again = (signed(hook("standard"), standard(at=NOW - seconds)) for seconds in (1, 0))
    assert (first.key, first.digest == again.digest) == (again.key, False)
    assert signed(hook("standard"), standard(delivery="msg_2")).key != first.key


@pytest.mark.parametrize("secret", ["a secret", "whsec_", "", "whsec_a", "whsec_ü", f"{OTHER}!"])
def test_a_secret_that_is_none_of_the_standard_is_named_unless_another_fits(secret: str) -> None:
    assert signed(hook("standard"), standard(), SECRET, secret)
    with pytest.raises(SettingsError, match=r"no secret of Standard Webhooks: write whsec_ and base64"):
        signed(hook("standard"), standard(), secret, SECRET)


def test_a_secret_may_lack_the_signs_that_fill_its_base64_up() -> None:
    secret = f"whsec_{base64.b64encode(bytes(25)).decode()}"
    for written in (secret, secret.rstrip("="), secret.removeprefix("whsec_")):
        assert signed(hook("standard"), standard(secret), written)


def test_whether_a_body_is_json_is_asked_once_it_is_known_who_sent_it() -> None:
    assert signed(hook("standard"), standard(body=b"no JSON"), body=b"no JSON")


# other senders


def test_a_timed_signature_is_taken_with_or_without_its_name_and_in_any_case() -> None:
    headers = timed()
    hexadecimal = headers["X-Signature-256"]
    for given in (hexadecimal, f"sha256={hexadecimal}", f"SHA256={hexadecimal.upper()}"):
        assert signed(hook(), {**headers, "X-Signature-256": given}).key.startswith("signed:")
    assert signed(hook(), timed(secret=BEFORE), SECRET, BEFORE)


@pytest.mark.parametrize(
    "headers",
    [
        timed(body=BODY + b" "),
        timed(secret=OTHER),
        {**timed(), "X-Timestamp": str(int(NOW) - 1)},
        {**timed(), "X-Signature-256": "ü"},
        {**timed(), "X-Signature-256": f"md5={timed()['X-Signature-256']}"},
        {name: value for name, value in timed().items() if name != "X-Timestamp"},
    ],
    ids=["body", "secret", "time", "letters", "another kind", "no time"],
)
def test_a_timed_request_of_which_anything_is_wrong_is_401(headers: dict[str, str]) -> None:
    assert refused(hook(), headers) == WRONG


def test_a_signed_time_that_is_none_is_401() -> None:
    headers = {"X-Timestamp": "soon", "X-Signature-256": signature(b"soon." + BODY, SECRET)}
    assert refused(hook(), headers) == (401, "X-Timestamp is no whole seconds since 1970.")
    assert refused(hook(), {"X-Timestamp": "1"}) == (401, "The request is not signed.")


def test_a_delivery_is_known_by_its_name_or_else_by_all_that_was_signed() -> None:
    named = signed(hook(), timed(**{"X-Delivery": "d1"}))
    assert (named.key, named.delivery) == ("delivery:d1", "d1")
    bare, later = signed(hook(), timed()), signed(hook(), timed(at=NOW - 1))
    assert (bare.key, bare.delivery) == (f"signed:{bare.digest}", None)
    assert bare.key != later.key


@pytest.mark.parametrize(("delivery", "good"), [("d" * 200, True), ("d" * 201, False), ("ü", False), ("a b", False)])
def test_the_name_of_a_delivery_is_short_and_plain(delivery: str, good: bool) -> None:
    headers = timed(**{"X-Delivery": delivery})
    if good:
        assert signed(hook(), headers).delivery == delivery
        return
    assert refused(hook(), headers) == (400, "X-Delivery is longer than 200 characters, or not ASCII.")


def test_what_bears_no_time_is_known_by_its_body_whatever_its_delivery_is_called() -> None:
    def github(delivery: str, secret: str = SECRET) -> dict[str, str]:
        return {"X-Hub-Signature-256": f"sha256={signature(BODY, secret)}", "X-GitHub-Delivery": delivery}

    first, again = (signed(hook("github"), github(each)) for each in ("d1", "d2"))
    assert first.key == again.key == f"{UNTIMED}{first.digest}"
    assert (first.delivery, again.delivery) == ("d1", "d2")
    assert refused(hook("github"), github("d1", OTHER)) == WRONG


# what the run is told

MAPPED = {"params": {"order": "order.id"}, "only": {"state": "new"}}


def told(body: object, trigger: ApiTrigger | None = None, headers: dict[str, str] | None = None) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return params_of(trigger or hook(**MAPPED), headers or {}, content)


def test_a_body_gives_the_run_its_params_or_is_not_what_the_trigger_waits_for() -> None:
    assert told(BODY) == {"order": 7}
    assert told({"order": {"id": 7}, "state": "old"}) is None
    assert told({"order": {"id": 7}}) is None


def test_of_github_only_what_became_of_a_deployment_counts() -> None:
    trigger = hook("github", params={"order": "order.id"})
    assert told(BODY, trigger, {"X-GitHub-Event": "deployment_status"}) == {"order": 7}
    assert told(BODY, trigger, {"X-GitHub-Event": "ping"}) is None
    assert told(BODY, trigger) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is not JSON"),
        (b"{", "The body is not JSON"),
        (b'{"order": NaN}', "The body is not JSON"),
        (b"[" * 1_000_000, "The body is not JSON"),
        ({"state": "new"}, "the body has nothing at 'order.id'"),
    ],
    ids=["nothing", "half", "not a number", "deep", "no param"],
)
def test_a_body_that_says_too_little_is_400(body: object, said: str) -> None:
    with pytest.raises(WebhookRefusedError, match=said) as caught:
        told(body)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ('"a\\u0000b"', False),
        ('[["a", "\\u0000"]]', False),
        ('{"\\u0000": 1}', False),
        ('{"a": {"b": "\\u0000"}}', False),
        ("1e999", False),
        ("[1, -1e999]", False),
        ('{"a": ["b", 1.5, true, null]}', True),
        ("-1e99", True),
    ],
)
def test_a_param_is_what_a_database_takes(value: str, fits: bool) -> None:
    body = f'{{"order": {{"id": {value}}}, "state": "new"}}'.encode()
    if fits:
        assert told(body) == {"order": json.loads(value)}
        return
    with pytest.raises(WebhookRefusedError, match="a zero byte or a number without end") as caught:
        told(body)
    assert caught.value.status == 400
