"""POST /sluiceway/hooks/<trigger_id>: a webhook starts its flow. No login; the sender signs with the hook's secret.

Whatever is refused has started nothing, and no answer or log line holds a secret or what was sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from sluiceway.amounts import counted
from sluiceway.errors import BusyError, ConfigError, SettingsError, SluicewayError, WebhookRefusedError
from sluiceway.events import Signed
from sluiceway.flows import webhooks
from sluiceway.flows.kinds.api import ApiConfig, ApiTrigger
from sluiceway.flows.params import unknown_params, wrong_params
from sluiceway.ledger import webhooks as ledger
from sluiceway.ledger.warehouse import Limits, connect
from sluiceway.on_airflow.web import wake
from sluiceway.on_airflow.web.bodies import HELD_BYTES, Body, Room
from sluiceway.on_airflow.web.connections import password_of, warehouse_url
from sluiceway.on_airflow.web.declared import declared
from sluiceway.on_airflow.web.threads import AGAIN_S, Threads

ADDRESS = "/sluiceway/hooks/<trigger_id>"
"""Where they are, for sentences."""
UNKNOWN = "There is no such webhook. Where two flows have a trigger of that id, its address is <flow_id>.<trigger_id>."
ACCEPTED_BEFORE = "This request was accepted before."
LOST_S = 10.0
"""An event that old which Airflow was not told of was left behind by an API server that was killed."""

LIMITS = Limits(connect_s=5, lock_s=2, statement_s=5)
threads = Threads("hooks", count=4, wait_s=5, work_s=20, limits=LIMITS)
"""All that webhooks can hold of the API server, however many are sent."""
finding = Threads("addresses", count=1, wait_s=2, work_s=2, limits=LIMITS)
"""Reads the flows' files, which is quick, and need not wait for those whom a database keeps waiting."""
room = Room(HELD_BYTES)

log = logging.getLogger(__name__)
router = APIRouter()


@router.post("/hooks/{address}")
async def receive(address: str, request: Request) -> Response:
    """Take one request."""
    with Body(request, room) as body:
        try:
            trigger = await finding.run(find, address)
            content = await body.read(trigger.config.max_bytes)
            status, answer = await threads.run(take, trigger, request.headers, content)
        except BusyError as busy:
            refused = WebhookRefusedError(str(busy), status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=AGAIN_S)
        except WebhookRefusedError as error:
            refused = error
        else:
            return _answer(status, answer)
        is_known = refused.status != HTTPStatus.NOT_FOUND
        log.info("Webhook %s: refused with %d", address if is_known else "?", refused.status)
        if refused.status != HTTPStatus.REQUEST_TIMEOUT:
            await body.drain()
        return _refusal(refused, closes=not body.is_at_end)


def _refusal(refused: WebhookRefusedError, *, closes: bool) -> Response:
    headers = {}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if closes:
        # who goes on sending is not listened to
        headers["Connection"] = "close"
    return _answer(refused.status, {"detail": str(refused)}, headers)


def _answer(status: int, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return JSONResponse(content, status, {**always, **(headers or {})})


def find(address: str) -> ApiTrigger:
    """The webhook at an address: a trigger's id, after its flow's and a dot where two flows have one of that id.

    :raises WebhookRefusedError: there is none, or it is disabled, which nobody outside can tell from each other.
    """
    flow_id, dot, trigger_id = address.rpartition(".")
    found = [
        trigger
        for flow in declared.flows().values()
        for trigger in flow.triggers.values()
        if isinstance(trigger, ApiTrigger) and trigger.config.id == trigger_id and (not dot or flow.id == flow_id)
    ]
    if len(found) > 1:
        flows = ", ".join(trigger.config.flow_id for trigger in found)
        log.warning("Several flows have a webhook %s (%s): its address is <flow_id>.%s", trigger_id, flows, trigger_id)
    if len(found) != 1 or not found[0].config.enabled:
        raise WebhookRefusedError(UNKNOWN, status=HTTPStatus.NOT_FOUND)
    return found[0]


def take(trigger: ApiTrigger, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    """See that the request is authentic and new, write its event and wake its flow.

    :returns: the answer's status and content.
    :raises WebhookRefusedError: it is not; says which answer that is.
    """
    config = trigger.config
    try:
        signed = webhooks.authenticate(trigger, _secrets(config), headers, body, time.time())
        params = webhooks.params_of(trigger, headers, body)
        if params is None:
            return HTTPStatus.OK, {"ignored": "this is not what the trigger waits for"}
        _check_params(config, params)
        event_id = _start(config, signed, params)
        if event_id is not None:
            return HTTPStatus.ACCEPTED, {"event_id": event_id}
        if config.provider == "standard":
            # its senders send again what they had no answer to, and take anything but 2xx for a failure
            return HTTPStatus.OK, {"ignored": ACCEPTED_BEFORE}
        raise WebhookRefusedError(ACCEPTED_BEFORE, status=HTTPStatus.CONFLICT)
    except WebhookRefusedError:
        raise
    except (SettingsError, ConfigError) as error:
        log.error("Webhook %s.%s: %s", config.flow_id, config.id, error)
    except (SluicewayError, SQLAlchemyError) as error:
        # what a database says may repeat what was sent
        log.error("Webhook %s.%s: %s", config.flow_id, config.id, type(error).__name__)
    raise WebhookRefusedError(
        "The webhook cannot take anything at the moment.",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after_s=wake.RETRY_S,
    )


def _secrets(config: ApiConfig) -> Iterator[str]:
    """Those that a request may be signed with; the one before is asked for where the new one does not fit."""
    yield password_of(config.connection)
    if config.previous_connection is not None:
        try:
            yield password_of(config.previous_connection)
        except SettingsError as error:
            log.warning("Webhook %s.%s: previous_connection: %s", config.flow_id, config.id, error)


def _check_params(config: ApiConfig, params: Mapping[str, Any]) -> None:
    """See that a run would understand them, before there is one that cannot but fail.

    :raises ConfigError: the trigger maps a param that runs of the flow do not have.
    :raises WebhookRefusedError: a value is none that the param can have: 400.
    """
    flow = declared.flows().get(config.flow_id)
    if flow is None:
        raise ConfigError("the flow's file has become wrong.")
    if unknown := list(unknown_params(flow, config.params)):
        raise ConfigError(f"{'; '.join(unknown)}.")
    if wrong := list(wrong_params(flow, params)):
        raise WebhookRefusedError(f"What is sent starts nothing: {'; '.join(wrong)}.", status=HTTPStatus.BAD_REQUEST)


def _start(config: ApiConfig, signed: Signed, params: dict[str, Any]) -> int | None:
    """The number of the event that the flow is woken by; None: it was accepted before."""
    names = config.flow_id, config.id
    url = warehouse_url()
    with connect(url) as session:
        taken = ledger.take(session, *names, signed, params, per_minute=config.per_minute, window_s=config.window_s)
        if isinstance(taken, ledger.TooMany):
            raise WebhookRefusedError(
                f"The webhook takes {counted(config.per_minute, 'request')} a minute.",
                status=HTTPStatus.TOO_MANY_REQUESTS,
                retry_after_s=taken.retry_after_s,
            )
        if taken.is_new:
            # an error takes the event back
            wake.must_listen(*names)
    if not taken.is_new and (
        taken.is_claimed or taken.age_s < LOST_S or wake.was_woken(*names, taken.event_id, taken.age_s)
    ):
        return None
    try:
        wake.wake(*names, taken.event_id)
    except (SluicewayError, SQLAlchemyError):
        # its sender sends again, and then it must not be a replay
        with connect(url) as session:
            ledger.forget(session, taken.event_id)
        raise
    log.info("Webhook %s.%s: event %d", *names, taken.event_id)
    return taken.event_id
