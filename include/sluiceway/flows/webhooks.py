"""Webhooks: whether a request is what its trigger's sender has signed, and what of it the run is told."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NoReturn

from pydantic import JsonValue
from pydantic_core import from_json

from sluiceway.errors import SourceUnreadableError, WebhookRefusedError
from sluiceway.events import UNTIMED, Signed
from sluiceway.flows.kinds.api import ApiTrigger
from sluiceway.flows.trigger import TriggerContext

GITHUB_EVENT = "X-GitHub-Event"
DEPLOYMENT_STATUS = "deployment_status"
PREFIX = "sha256="
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_DELIVERY = re.compile(r"[!-~]{1,200}")


def authenticate(trigger: ApiTrigger, secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Signed:
    """See that who sent it holds the secret, and that it is not old.

    :param headers: of the request, found by names in any case.
    :param now: seconds since 1970.
    :raises WebhookRefusedError: it is not signed, not with this secret, or old: 401.
    """
    delivery = headers.get(trigger.delivery_header)
    if trigger.timestamp_header is None:
        _compare(secret, body, headers.get(trigger.signature_header))
    else:
        stamp = headers.get(trigger.timestamp_header, "")
        body = stamp.encode("utf-8") + b"." + body
        _compare(secret, body, headers.get(trigger.signature_header))
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


def _compare(secret: str, content: bytes, given: str | None) -> None:
    if not given:
        _refuse(HTTPStatus.UNAUTHORIZED, "The request is not signed.")
    expected = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.lower().removeprefix(PREFIX).encode("utf-8")):
        _refuse(HTTPStatus.UNAUTHORIZED, "The signature is not that of this webhook's secret.")


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
