"""Webhooks: whether a request is what its trigger's sender has signed, and what of it the run is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NoReturn

from pydantic import JsonValue
from pydantic_core import from_json
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from sluiceway.errors import SettingsError, SourceUnreadableError, WebhookRefusedError
from sluiceway.events import UNTIMED, Signed
from sluiceway.flows.kinds.api import ApiTrigger
from sluiceway.flows.trigger import TriggerContext

GITHUB_EVENT = "X-GitHub-Event"
DEPLOYMENT_STATUS = "deployment_status"
PREFIX = "sha256="
STANDARD_PREFIX = "whsec_"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_DELIVERY = re.compile(r"[!-~]{1,200}")
_VERSION_1 = re.compile(r"v1,[A-Za-z0-9+/]{43}=")


def authenticate(
    trigger: ApiTrigger, secrets: Iterable[str], headers: Mapping[str, str], body: bytes, now: float
) -> Signed:
    """See that who sent it holds a secret, and that it is not old.

    :param secrets: any of which will do; the next is asked for when the one before does not fit.
    :param headers: of the request, found by names in any case.
    :param now: seconds since 1970.
    :raises WebhookRefusedError: it is not signed, with none of these secrets, or old: 401.
    :raises SettingsError: a secret is none of Standard Webhooks.
    """
    delivery, given = headers.get(trigger.delivery_header), headers.get(trigger.signature_header)
    if not given:
        _refuse(HTTPStatus.UNAUTHORIZED, "The request is not signed.")
    if trigger.timestamp_header is None:
        _check_any(_signs(secret, body, given) for secret in secrets)
    else:
        stamp = headers.get(trigger.timestamp_header, "")
        if trigger.config.provider == "standard":
            if not delivery:
                _refuse(HTTPStatus.UNAUTHORIZED, f"The request has no {trigger.delivery_header}.")
            _check_any(_signs_standard(secret, delivery, stamp, body, given) for secret in secrets)
            body = f"{delivery}.{stamp}.".encode() + body
        else:
            body = stamp.encode("utf-8") + b"." + body
            _check_any(_signs(secret, body, given) for secret in secrets)
        if not _TIMESTAMP.fullmatch(stamp):
            _refuse(HTTPStatus.UNAUTHORIZED, f"{trigger.timestamp_header} is no whole seconds since 1970.")
        if abs(now - int(stamp)) > trigger.config.window_s:
            _refuse(HTTPStatus.UNAUTHORIZED, f"{trigger.timestamp_header} is not within {trigger.config.window_s} s.")
    if delivery is not None and not _DELIVERY.fullmatch(delivery):
        _refuse(HTTPStatus.BAD_REQUEST, f"{trigger.delivery_header} is longer than 200 characters, or not ASCII.")
    digest = hashlib.sha256(body).hexdigest()
    if trigger.timestamp_header is None:
        return Signed(f"{UNTIMED}{digest}", digest, delivery)
    return Signed(f"signed:{digest}" if delivery is None else f"delivery:{delivery}", digest, delivery)


def _check_any(signed: Iterable[bool]) -> None:
    if not any(signed):
        _refuse(HTTPStatus.UNAUTHORIZED, "The signature is not that of this webhook's secret.")


def _signs(secret: str, content: bytes, given: str) -> bool:
    expected = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), given.lower().removeprefix(PREFIX).encode("utf-8"))


def _signs_standard(secret: str, delivery: str, stamp: str, body: bytes, given: str) -> bool:
    """Whether one of the signatures is that of the secret; those of other versions do not count."""
    try:
        webhook = Webhook(_key(secret))
    except (ValueError, EmptyWebhookSecretError):
        raise SettingsError(
            "The connection's password is no secret of Standard Webhooks: write whsec_ and base64, as its sender does."
        ) from None
    # one that is no signature at all would end the library's look at the others
    signatures = " ".join(each for each in given.split(" ") if _VERSION_1.fullmatch(each))
    headers = {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": signatures}
    try:
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a body that is no text, or a time that is no number
        return False
    return True


def _key(secret: str) -> bytes:
    """The bytes of a secret; the library itself passes over what is no base64."""
    text = secret.removeprefix(STANDARD_PREFIX)
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def params_of(trigger: ApiTrigger, headers: Mapping[str, str], body: bytes) -> dict[str, JsonValue] | None:
    """What the run is told of an authentic request; None when it is not what the trigger waits for.

    :raises WebhookRefusedError: the body is not JSON, or lacks a declared param: 400.
    """
    try:
        # without recursion of Python's own, so a million brackets are one error more
        payload: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        _refuse(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.")
    if trigger.config.provider == "github" and headers.get(GITHUB_EVENT) != DEPLOYMENT_STATUS:
        return None
    context = TriggerContext(payload=payload)
    try:
        if not trigger.should_trigger(context):
            return None
    except SourceUnreadableError as error:
        _refuse(HTTPStatus.BAD_REQUEST, str(error))
    params: dict[str, JsonValue] = dict(context.params)
    if not _fits(params):
        _refuse(HTTPStatus.BAD_REQUEST, "A param holds a zero byte or a number without end; no database takes that.")
    return params


def _refuse(status: HTTPStatus, sentence: str) -> NoReturn:
    raise WebhookRefusedError(sentence, status=status)


def _fits(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        # 1e999 is JSON, and infinite here
        return abs(value) != float("inf")
    if isinstance(value, dict):
        return all("\0" not in key and _fits(each) for key, each in value.items())
    return all(map(_fits, value)) if isinstance(value, list) else True
