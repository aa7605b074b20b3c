"""One look at an address, for the sensor: one GET, bounded in time and size, that follows no redirect."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import JsonValue

from sluiceway.certificates import trusted
from sluiceway.errors import ConfigError, SourceMissingError, SourceUnavailableError, SourceUnreadableError, nearest
from sluiceway.flows.kinds.storable import storable
from sluiceway.sources.connections import Connections, secret_headers
from sluiceway.sources.services.api_client import LOCAL_HOSTS

MAX_BODY_BYTES = 1 << 20
LONGEST_VALUE = 10_000
"""Characters: the ledger keeps the last value, and runs are told it."""

_TRY_AGAIN = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(frozen=True)
class Question:
    """What an address is asked; the keys of the sensor's file that say so."""

    url: str
    json_path: str | None
    header: str | None
    connection: str | None
    request_timeout_s: float


def look(question: Question, connections: Connections) -> JsonValue:
    """The status, the header's value, or the value in the JSON.

    :raises SourceUnavailableError: no answer in time, or one that says "later" where a value was asked for.
    :raises SourceMissingError: the answer is another one than 200, or has no such header or value.
    :raises SourceUnreadableError: the answer is too large, or no JSON.
    """
    url = _address(question)
    # it logs a line for every request, and here are thousands a day
    logging.getLogger("httpx").setLevel(logging.WARNING)
    secrets = secret_headers(connections(question.connection)) if question.connection is not None else {}
    try:
        return asyncio.run(_ask(question, url, secrets))
    except TimeoutError as error:
        raise SourceUnavailableError(
            f"{question.url} gave no whole answer within {question.request_timeout_s:g} s (request_timeout_s)"
        ) from error
    except httpx.RequestError as error:
        raise SourceUnavailableError(
            f"{question.url} does not answer: {str(error) or type(error).__name__}; try again later"
        ) from error


def _address(question: Question) -> httpx.URL:
    try:
        url = httpx.URL(question.url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"url = {question.url!r} is no address: {error}") from error
    if question.connection is not None and url.scheme != "https" and url.host not in LOCAL_HOSTS:
        raise ConfigError(
            f"url = {question.url!r}: what the connection {question.connection!r} holds would travel unencrypted; "
            f"use https://"
        )
    return url


async def _ask(question: Question, url: httpx.URL, secrets: dict[str, str]) -> JsonValue:
    # httpx bounds each read only: a server that sends a byte now and then would hold it for ever
    async with (
        asyncio.timeout(question.request_timeout_s),
        httpx.AsyncClient(
            timeout=question.request_timeout_s,
            trust_env=url.host not in LOCAL_HOSTS,
            verify=trusted(),
            headers={"User-Agent": "sluiceway", "Cache-Control": "no-cache", **secrets},
        ) as client,
        client.stream("GET", url) as answer,
    ):
        status = answer.status_code
        if question.json_path is None and question.header is None:
            return status
        if status in _TRY_AGAIN:
            raise SourceUnavailableError(f"{question.url} answers {_said(answer)}; try again later")
        if status != httpx.codes.OK:
            to = f" to {answer.headers['location']}" if "location" in answer.headers else ""
            hint = "name the address it leads to" if to else "check url" + (", connection" if secrets else "")
            raise SourceMissingError(f"{question.url} answers {_said(answer)}{to}; {hint}")
        if question.header is not None:
            return _header(question, question.header, answer.headers)
        assert question.json_path is not None
        return _in_json(question, question.json_path, await _body(question, answer))


async def _body(question: Question, answer: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise SourceUnreadableError(
                f"{question.url} answers more than {MAX_BODY_BYTES:,} bytes; watch its header ETag"
            )
    return bytes(body)


def _said(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.reason_phrase}".strip()


def _header(question: Question, name: str, headers: httpx.Headers) -> JsonValue:
    if name not in headers:
        raise SourceMissingError(f"{question.url} sends no header {name!r}{nearest(name, headers)}")
    value = headers[name]
    # a server that packs the answer on its way makes the tag weak, and the content is the same
    return storable(value.removeprefix("W/") if name.lower() == "etag" else value)


def _in_json(question: Question, path: str, body: bytes) -> JsonValue:
    try:
        found: Any = json.loads(body)
    except ValueError as error:
        raise SourceUnreadableError(
            f"{question.url} should answer JSON with a value at {path}, and answers something else"
        ) from error
    for step in path.split("."):
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            hint = nearest(step, found) if isinstance(found, dict) else ""
            raise SourceMissingError(f"{question.url}: the answer has no {step!r} ({path}){hint}")
    value = storable(found)
    if len(json.dumps(value)) > LONGEST_VALUE:
        raise SourceUnreadableError(
            f"{question.url}: the value at {path} has more than {LONGEST_VALUE:,} characters; name one within it"
        )
    return value
