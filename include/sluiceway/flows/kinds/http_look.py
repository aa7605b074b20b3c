"""One look at an address, for the sensor: its status, a header, or a value in its JSON."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import httpx
from pydantic import JsonValue

from sluiceway.errors import SourceMissingError, SourceUnavailableError, SourceUnreadableError, nearest, said_by
from sluiceway.flows.kinds.storable import storable
from sluiceway.json_path import NoSuchPlaceError, walk
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.connections import Connections, secret_headers
from sluiceway.sources.place import without_secrets
from sluiceway.sources.services.one_get import TRY_AGAIN, Answer, checked, get_once

MAX_BODY_BYTES = 1 << 20
LONGEST_VALUE = 10_000
"""Characters: the ledger keeps the last value, and runs are told it."""


@dataclass(frozen=True)
class Question:
    """What an address is asked; the keys of the sensor's file that say so."""

    url: str
    json_path: str | None
    header: str | None
    connection: str | None
    request_timeout_s: float

    @property
    def shown(self) -> str:
        """The address in a sentence."""
        return without_secrets(self.url)


def look(question: Question, connections: Connections) -> JsonValue:
    """The status, the header's value, or the value in the JSON.

    :raises SourceUnavailableError: no answer in time, or one that says "later" where a value was asked for.
    :raises SourceMissingError: the answer is another one than 200, or has no such header or value.
    :raises PrivateAddressError: the address is of this network and not declared.
    :raises SourceUnreadableError: the answer is too large, or no JSON.
    """
    url = checked(question.url, question.connection)
    secrets = secret_headers(connections(question.connection)) if question.connection is not None else {}
    # only a value in the body is worth reading it
    max_bytes = MAX_BODY_BYTES if question.json_path is not None else 0
    try:
        answer = asyncio.run(
            get_once(url, secrets, timeout_s=question.request_timeout_s, max_bytes=max_bytes, is_known=False)
        )
    except TimeoutError as error:
        raise SourceUnavailableError(
            f"{question.shown} gave no whole answer within {question.request_timeout_s:g} s (request_timeout_s)"
        ) from error
    except httpx.RequestError as error:
        raise SourceUnavailableError(f"{question.shown} does not answer: {said_by(error)}; try again later") from error
    return _value(question, answer, hint=", connection" if secrets else "")


def _value(question: Question, answer: Answer, *, hint: str) -> JsonValue:
    if question.json_path is None and question.header is None:
        return answer.status
    if answer.status in TRY_AGAIN:
        raise SourceUnavailableError(f"{question.shown} answers {answer.said}; try again later")
    if answer.status != httpx.codes.OK:
        to = f" to {without_secrets(answer.leads_to)}" if answer.leads_to is not None else ""
        should = "name the address it leads to" if to else f"check url{hint}"
        raise SourceMissingError(f"{question.shown} answers {answer.said}{to}; {should}")
    if question.header is not None:
        return _header(question, question.header, answer.headers)
    assert question.json_path is not None
    return _in_json(question, question.json_path, answer)


def _header(question: Question, name: str, headers: httpx.Headers) -> JsonValue:
    if name not in headers:
        raise SourceMissingError(f"{question.shown} sends no header {name!r}{nearest(name, headers)}")
    value = headers[name]
    if len(value) > LONGEST_VALUE:
        raise SourceUnreadableError(f"{question.url}: its header {name} has more than {LONGEST_VALUE:,} characters")
    # a server that packs the answer on its way makes the tag weak, and the content is the same
    return storable(value.removeprefix("W/") if name.lower() == "etag" else value)


def _in_json(question: Question, path: str, answer: Answer) -> JsonValue:
    if not answer.is_whole:
        raise SourceUnreadableError(
            f"{question.shown} answers more than {MAX_BODY_BYTES:,} bytes; watch its header ETag"
        )
    try:
        document: JsonValue = parse_json(answer.body)
    except ValueError as error:
        raise SourceUnreadableError(
            f"{question.shown} should answer JSON with a value at {path}, and answers something else"
        ) from error
    try:
        value = storable(walk(document, path))
    except NoSuchPlaceError as error:
        raise SourceMissingError(f"{question.shown}: the answer has no {error.step!r} ({path}){error.hint}") from error
    if len(json.dumps(value)) > LONGEST_VALUE:
        raise SourceUnreadableError(
            f"{question.shown}: the value at {path} has more than {LONGEST_VALUE:,} characters; name one within it"
        )
    return value
