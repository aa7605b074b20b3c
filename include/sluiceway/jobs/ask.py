"""Asks a service for a lane: paced together with all other lanes, bounded, and with its failures told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import httpx

from sluiceway.certificates import trusted
from sluiceway.errors import nearest
from sluiceway.http_headers import retry_after
from sluiceway.jobs.definition import Service
from sluiceway.jobs.errors import JobSetupError, ServiceError, ServicePausedError
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.connections import Connections
from sluiceway.sources.services.api_client import LOCAL_HOSTS

TIMEOUT = httpx.Timeout(30, connect=10)
DRIP_S = 60.0
"""For all of an answer: a server that sends a byte now and then is no better than one that sends none."""
MAX_ANSWER_BYTES = 64 << 20
PAUSE_S = 60.0
"""After a 429 that says no time."""
LONGEST_WAIT_S = 20.0
"""A request that must wait longer for its turn puts its items back instead."""
SAID = 200


class Reply(NamedTuple):
    """What the service said, of a status below 500 that is no 401, 403 or 429, or of 501."""

    status: int
    document: Any
    retry_after_s: float | None = None
    """What the answer itself asks for, for a service that hides its refusal in a 200."""


class Pace(Protocol):
    """The rate of each service, which all processes share."""

    def __call__(self, service: Service, requests: int) -> float:
        """Reserve requests; the seconds to wait before the first."""
        ...


class Asker:
    """One lane's client of one service, and of those beside it.

    :param pace: reserves requests.
    :param connections: finds the service's connection, where it names one.
    :param others: further services of the job, each asked through `of`.
    :raises JobSetupError: the service needs a connection that is not there.
    """

    def __init__(
        self, service: Service, pace: Pace, connections: Connections, *, others: Sequence[Service] = ()
    ) -> None:
        self.service = service
        self.known: dict[str, Any] = {}
        """What the job's function has learnt of the service, for as long as the lane lasts."""
        self._pace = pace
        self._connections = connections
        self._others = {each.name: each for each in others}
        self._askers: dict[str, Asker] = {}
        self._making = threading.Lock()
        headers = {"User-Agent": "sluiceway", "Accept": "application/json"}
        url = service.url
        if service.connection is not None:
            found = service.connect(connections)
            url, headers = found.url or url, headers | dict(found.headers)
        self._base = httpx.URL(url)
        if "Authorization" in headers and self._base.scheme != "https" and self._base.host not in LOCAL_HOSTS:
            raise JobSetupError(f"{service.name}: {url}: the token would travel unencrypted; use https://")
        self._client = httpx.Client(
            base_url=self._base,
            timeout=TIMEOUT,
            headers=headers,
            verify=trusted(),
            trust_env=self._base.host not in LOCAL_HOSTS,
        )

    @property
    def address(self) -> str:
        """Where it asks, without what a login would be."""
        return str(self._base.copy_with(username=None, password=None)).rstrip("/")

    def close(self) -> None:
        """Close the connections, those of the others too."""
        for each in self._askers.values():
            each.close()
        self._client.close()

    def of(self, name: str) -> Asker:
        """What asks another of the job's services; made when it is first wanted.

        :raises JobSetupError: the job has no such service, or the service needs a connection that is not there.
        """
        if name == self.service.name:
            return self
        if name not in self._others:
            known = [self.service.name, *self._others]
            raise JobSetupError(
                f"{name!r} is no service of the job{nearest(name, known)}; name it among the job's `others`"
            )
        with self._making:
            if name not in self._askers:
                self._askers[name] = Asker(self._others[name], self._pace, self._connections)
            return self._askers[name]

    def fails(self, message: str, *, seconds: float | None = None) -> ServiceError:
        """The error for an answer that is none, such as an error body with 200.

        :param seconds: until the service may be asked again, where it says so.
        """
        said = f"{self.service.name}: {message}"
        if seconds is not None:
            return ServicePausedError(said, seconds, service=self.service.name)
        return ServiceError(said, service=self.service.name)

    def get(self, path: str, params: Mapping[str, str | int | bool] | None = None) -> Reply:
        """See `ask`."""
        return self._ask("GET", path, params=dict(params or {}))

    def post(self, path: str, document: Any, params: Mapping[str, str | int | bool] | None = None) -> Reply:
        """See `ask`."""
        return self._ask("POST", path, params=dict(params or {}), json=document)

    def _ask(self, method: str, path: str, **content: Any) -> Reply:
        """One request, in its turn.

        :raises ServicePausedError: 429, or its turn is too far away.
        :raises ServiceError: it does not answer, answers 5xx, or what it says is no JSON.
        :raises JobSetupError: it refuses whoever asks.
        """
        wait = self._pace(self.service, 1)
        if wait > LONGEST_WAIT_S:
            # a pause that is there already stays as it is; else so many wait that nobody should join them for a while
            raise self.fails(f"it is not asked for {wait:,.0f} s more", seconds=LONGEST_WAIT_S)
        time.sleep(wait)
        where = f"{method} {path}"
        try:
            status, headers, body = self._send(method, path, content)
        except httpx.RequestError as error:
            raise self.fails(f"{where} does not answer: {error or type(error).__name__}") from error
        seconds = retry_after(headers.get("retry-after"))
        if status == httpx.codes.TOO_MANY_REQUESTS:
            asked = "" if seconds is None else f" and asks to wait {seconds:,.0f} s"
            raise self.fails(f"{where} answers 429{asked}", seconds=PAUSE_S if seconds is None else seconds)
        said = body[:SAID].decode(errors="replace")
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            named = self.service.connection
            see = f"see the connection {named!r}" if named else "name a `connection` of the service in the job's file"
            raise JobSetupError(f"{self.service.name}: {where} answers {status}: {said}; {see}")
        if status >= httpx.codes.INTERNAL_SERVER_ERROR and status != httpx.codes.NOT_IMPLEMENTED:
            raise self.fails(f"{where} answers {status}: {said}")
        try:
            return Reply(status, parse_json(body), seconds)
        except ValueError as error:
            if status >= httpx.codes.BAD_REQUEST:
                return Reply(status, said)
            raise self.fails(f"{where} answers {status} with no JSON: {said!r}") from error

    def _send(self, method: str, path: str, content: Mapping[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        ends_at = time.monotonic() + DRIP_S
        with self._client.stream(method, path, **content) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise self.fails(f"an answer is larger than {MAX_ANSWER_BYTES:,} bytes")
                if time.monotonic() > ends_at:
                    raise self.fails(f"an answer has not ended after {DRIP_S:,.0f} s")
            return answer.status_code, answer.headers, bytes(body)
