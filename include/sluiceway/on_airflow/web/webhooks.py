"""POST /sluiceway/hooks/<trigger_id>: a webhook starts its flow. No login; the sender signs with the hook's secret.

Whatever is refused has started nothing, and no answer or log line holds a secret or what was sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect

from sluiceway.errors import SettingsError, SluicewayError, WebhookRefusedError
from sluiceway.events import Signed
from sluiceway.flows import webhooks
from sluiceway.flows.kinds.api import ApiConfig, ApiTrigger
from sluiceway.ledger import webhooks as ledger
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.web import wake
from sluiceway.on_airflow.web.connections import password_of, warehouse_url
from sluiceway.on_airflow.web.declared import declared

UNKNOWN = "There is no such webhook. Where two flows have a trigger of that id, its address is <flow_id>.<trigger_id>."
READ_S = 30.0
"""How long a sender may take over its body."""
DRAINED_BYTES = 32 << 20
DRAIN_S = 5.0
"""What of a body that is too large is still read and thrown away, so that its sender sees the answer."""
LOST_S = 10.0
"""An event that old which Airflow was not told of was left behind by an API server that was killed."""

log = logging.getLogger(__name__)
router = APIRouter()


@router.post("/hooks/{address}")
async def receive(address: str, request: Request) -> Response:
    """Take one request."""
    try:
        trigger = await run_in_threadpool(find, address)
        body = await read(request, trigger.config.max_bytes)
        status, answer = await run_in_threadpool(take, trigger, request.headers, body)
    except WebhookRefusedError as refused:
        log.info(
            "Webhook %s: refused with %d", address if refused.status != HTTPStatus.NOT_FOUND else "?", refused.status
        )
        return _answer(refused.status, {"detail": str(refused)}, refused.retry_after_s)
    return _answer(status, answer)


def _answer(status: int, content: dict[str, Any], retry_after_s: int | None = None) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return JSONResponse(content, status, headers)


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


async def read(request: Request, max_bytes: int) -> bytes:
    """The body, never more of it in memory than is allowed.

    :raises WebhookRefusedError: it is larger (413), or does not come to its end (408).
    """
    too_large = WebhookRefusedError(
        f"The body is larger than {max_bytes:,} bytes.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    )
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() else 0
    if announced > max_bytes and request.headers.get("expect"):
        raise too_large  # its sender waits for leave to send
    body = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            stream = request.stream()
            async for chunk in stream:
                if max(len(body) + len(chunk), announced) > max_bytes:
                    del body[:]
                    await _drain(stream)
                    raise too_large
                body += chunk
    except TimeoutError:
        raise WebhookRefusedError("The body did not come to its end.", status=HTTPStatus.REQUEST_TIMEOUT) from None
    except ClientDisconnect:
        raise WebhookRefusedError("The sender went away.", status=HTTPStatus.BAD_REQUEST) from None
    return bytes(body)


async def _drain(stream: Any) -> None:
    seen = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            async for chunk in stream:
                seen += len(chunk)
                if seen > DRAINED_BYTES:
                    return
    except TimeoutError:
        return


def take(trigger: ApiTrigger, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    """See that the request is authentic and new, write its event and wake its flow.

    :returns: the answer's status and content.
    :raises WebhookRefusedError: it is not; says which answer that is.
    """
    config = trigger.config
    try:
        signed = webhooks.authenticate(trigger, password_of(config.connection), headers, body, time.time())
        params = webhooks.params_of(trigger, headers, body)
        if params is None:
            return HTTPStatus.OK, {"ignored": "this is not what the trigger waits for"}
        return HTTPStatus.ACCEPTED, {"event_id": _start(config, signed, params)}
    except WebhookRefusedError:
        raise
    except SettingsError as error:
        log.error("Webhook %s.%s: %s", config.flow_id, config.id, error)
    except (SluicewayError, SQLAlchemyError) as error:
        # what a database says may repeat what was sent
        log.error("Webhook %s.%s: %s", config.flow_id, config.id, type(error).__name__)
    raise WebhookRefusedError(
        "The webhook cannot take anything at the moment.",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after_s=wake.RETRY_S,
    )


def _start(config: ApiConfig, signed: Signed, params: dict[str, Any]) -> int:
    names = config.flow_id, config.id
    url = warehouse_url()
    with connect(url) as session:
        taken = ledger.take(session, *names, signed, params, per_minute=config.per_minute, window_s=config.window_s)
        if isinstance(taken, ledger.TooMany):
            raise WebhookRefusedError(
                f"The webhook takes {config.per_minute} requests a minute.",
                status=HTTPStatus.TOO_MANY_REQUESTS,
                retry_after_s=taken.retry_after_s,
            )
        if taken.is_new:
            # an error takes the event back
            wake.must_listen(*names)
    if not taken.is_new and (
        taken.is_claimed or taken.age_s < LOST_S or wake.was_woken(*names, taken.event_id, taken.age_s)
    ):
        raise WebhookRefusedError("This request was accepted before.", status=HTTPStatus.CONFLICT)
    try:
        wake.wake(*names, taken.event_id)
    except (SluicewayError, SQLAlchemyError):
        # its sender sends again, and then it must not be a replay
        with connect(url) as session:
            ledger.forget(session, taken.event_id)
        raise
    log.info("Webhook %s.%s: event %d", *names, taken.event_id)
    return taken.event_id
