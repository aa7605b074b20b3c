"""Asks a version endpoint: one GET, bounded in time and size, that follows no redirect."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx

from sluiceway.certificates import trusted
from sluiceway.deploy.commit import Deployed, parse, shortened
from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.errors import ConfigError, EndpointUnavailableError, NoCommitError, nearest
from sluiceway.sources.connections import Connections, secret_headers
from sluiceway.sources.services.api_client import LOCAL_HOSTS

MAX_BODY_BYTES = 64 << 10

_TRY_AGAIN = frozenset({408, 425, 429, *range(500, 600)})


async def probe_http(spec: HttpEnvironment, connections: Connections) -> Deployed:
    """The commit at `spec.url`.

    :raises EndpointUnavailableError: no answer in time, or one that says "later" (408, 425, 429, 5xx).
    :raises NoCommitError: any other answer than a commit.
    """
    url = _address(spec)
    # it logs a line for every request, and here are thousands a day
    logging.getLogger("httpx").setLevel(logging.WARNING)
    secrets = secret_headers(connections(spec.connection)) if spec.connection is not None else {}
    try:
        # httpx bounds each read only: a server that sends a byte now and then would hold it for ever
        async with asyncio.timeout(spec.request_timeout_s):
            headers, body = await _get(spec, url, secrets)
    except TimeoutError as error:
        raise EndpointUnavailableError(
            f"{spec.url} gave no whole answer within {spec.request_timeout_s:g} s (request_timeout_s)"
        ) from error
    except httpx.RequestError as error:
        raise EndpointUnavailableError(f"{spec.url} does not answer: {str(error) or type(error).__name__}") from error
    text = body.decode(errors="replace")
    for value in secrets.values():
        text = text.replace(value, "***")
    if spec.header is not None:
        return _from_header(spec, spec.header, headers)
    if spec.json_path is not None:
        return _from_json(spec, spec.json_path, text)
    return parse(text, spec.url)


def _address(spec: HttpEnvironment) -> httpx.URL:
    try:
        url = httpx.URL(spec.url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"Environment {spec.name!r}: url = {spec.url!r} is no address: {error}") from error
    if spec.connection is not None and url.scheme != "https" and url.host not in LOCAL_HOSTS:
        raise ConfigError(
            f"Environment {spec.name!r}: url = {spec.url!r}: what the connection {spec.connection!r} holds would "
            f"travel unencrypted; use https://"
        )
    return url


async def _get(spec: HttpEnvironment, url: httpx.URL, secrets: dict[str, str]) -> tuple[httpx.Headers, bytes]:
    async with (
        httpx.AsyncClient(
            timeout=spec.request_timeout_s,
            trust_env=url.host not in LOCAL_HOSTS,
            verify=trusted(),
            headers={"User-Agent": "sluiceway", "Cache-Control": "no-cache", **secrets},
        ) as client,
        client.stream("GET", url) as answer,
    ):
        if answer.status_code in _TRY_AGAIN:
            raise EndpointUnavailableError(f"{spec.url} answers {_status(answer)}")
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise NoCommitError(
                    f"{spec.url} answers more than {MAX_BODY_BYTES:,} bytes, which is no version; it begins with "
                    f"{shortened(body[:400].decode(errors='replace'))}"
                )
        if answer.status_code != httpx.codes.OK:
            to = f" to {answer.headers['location']}" if "location" in answer.headers else ""
            hint = "name the address it leads to" if to else "check url" + (", connection" if spec.connection else "")
            raise NoCommitError(f"{spec.url} answers {_status(answer)}{to} and no commit; {hint}")
        return answer.headers, bytes(body)


def _status(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.reason_phrase}".strip()


def _from_header(spec: HttpEnvironment, name: str, headers: httpx.Headers) -> Deployed:
    if name not in headers:
        raise NoCommitError(f"{spec.url} sends no header {name!r}{nearest(name, headers)}")
    return parse(headers[name], f"{spec.url} (header {name})")


def _from_json(spec: HttpEnvironment, path: str, text: str) -> Deployed:
    place = f"{spec.url} ({path})"
    try:
        found: Any = json.loads(text)
    except ValueError:
        # the parser's own words say less than what came
        raise NoCommitError(
            f"{spec.url} should answer JSON with the commit at {path}; it says {shortened(text)}"
        ) from None
    for step in path.split("."):
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            hint = nearest(step, found) if isinstance(found, dict) else ""
            raise NoCommitError(f"{place}: the answer {shortened(text)} has no {step!r}{hint}")
    return parse(found if isinstance(found, str) else json.dumps(found), place)
