"""Asks a version endpoint which commit is deployed."""

from __future__ import annotations

import json

import httpx
from pydantic import JsonValue

from sluiceway.deploy.commit import Deployed, parse, shortened
from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.errors import EndpointUnavailableError, NoCommitError, nearest, said_by
from sluiceway.json_path import NoSuchPlaceError, walk
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.connections import Connections, secret_headers
from sluiceway.sources.place import without_secrets
from sluiceway.sources.services.one_get import TRY_AGAIN, Answer, checked, get_once

MAX_BODY_BYTES = 64 << 10


async def probe_http(spec: HttpEnvironment, connections: Connections) -> Deployed:
    """The commit at `spec.url`.

    :raises EndpointUnavailableError: no answer in time, or one that says "later" (408, 425, 429, 5xx).
    :raises NoCommitError: any other answer than a commit.
    """
    url = checked(spec.url, spec.connection, where=f"Environment {spec.name!r}: ")
    secrets = secret_headers(connections(spec.connection)) if spec.connection is not None else {}
    try:
        answer = await get_once(url, secrets, timeout_s=spec.request_timeout_s, max_bytes=MAX_BODY_BYTES)
    except TimeoutError as error:
        raise EndpointUnavailableError(
            f"{without_secrets(spec.url)} gave no whole answer within {spec.request_timeout_s:g} s (request_timeout_s)"
        ) from error
    except httpx.RequestError as error:
        raise EndpointUnavailableError(f"{without_secrets(spec.url)} does not answer: {said_by(error)}") from error
    text = answer.body.decode(errors="replace")
    for value in secrets.values():
        text = text.replace(value, "***")
    _check(spec, answer, text)
    if spec.header is not None:
        return _from_header(spec, spec.header, answer.headers)
    if spec.json_path is not None:
        return _from_json(spec, spec.json_path, text)
    return parse(text, without_secrets(spec.url))


def _check(spec: HttpEnvironment, answer: Answer, text: str) -> None:
    if answer.status in TRY_AGAIN:
        raise EndpointUnavailableError(f"{without_secrets(spec.url)} answers {answer.said}")
    if not answer.is_whole:
        raise NoCommitError(
            f"{without_secrets(spec.url)} answers more than {MAX_BODY_BYTES:,} bytes, which is no version; it "
            f"begins with {shortened(text[:400])}"
        )
    if answer.status != httpx.codes.OK:
        to = f" to {without_secrets(answer.leads_to)}" if answer.leads_to is not None else ""
        hint = "name the address it leads to" if to else "check url" + (", connection" if spec.connection else "")
        raise NoCommitError(f"{without_secrets(spec.url)} answers {answer.said}{to} and no commit; {hint}")


def _from_header(spec: HttpEnvironment, name: str, headers: httpx.Headers) -> Deployed:
    if name not in headers:
        raise NoCommitError(f"{without_secrets(spec.url)} sends no header {name!r}{nearest(name, headers)}")
    return parse(headers[name], f"{without_secrets(spec.url)} (header {name})")


def _from_json(spec: HttpEnvironment, path: str, text: str) -> Deployed:
    place = f"{without_secrets(spec.url)} ({path})"
    try:
        document: JsonValue = parse_json(text)
    except ValueError:
        # the parser's own words say less than what came
        raise NoCommitError(
            f"{without_secrets(spec.url)} should answer JSON with the commit at {path}; it says {shortened(text)}"
        ) from None
    try:
        found = walk(document, path)
    except NoSuchPlaceError as error:
        raise NoCommitError(f"{place}: the answer {shortened(text)} has no {error.step!r}{error.hint}") from error
    return parse(found if isinstance(found, str) else json.dumps(found), place)
