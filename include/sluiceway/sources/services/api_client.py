"""GETs of a web API: paced, tried again with patience, and with a key that no message and no log shows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote, quote_plus

import httpx

from sluiceway.certificates import trusted
from sluiceway.errors import ConfigError, SourceUnavailableError, SourceUnreadableError
from sluiceway.http_headers import retry_after
from sluiceway.sources.place import without_secrets
from sluiceway.sources.reach import OutsideTransport, proxy_of

RETRY_SECONDS = 120.0
"""How long one request is tried again, waits included."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
TIMEOUT = httpx.Timeout(60, connect=15)
IN_MEMORY_BYTES = 1 << 20
"""A larger answer goes to a temporary file."""
MAX_ANSWER_BYTES = 4 << 30
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

log = logging.getLogger(__name__)


@dataclass
class Answer:
    """What a server said. Holds a temporary file until it is closed."""

    status: int
    headers: httpx.Headers
    encoding: str
    next_link: str | None
    """The Link header's rel=next."""
    body: IO[bytes]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.body.close()

    def start(self, size: int = 20_000) -> str:
        """The first bytes as text; for messages."""
        self.body.seek(0)
        return self.body.read(size).decode(errors="replace")


class _Signing(httpx.BaseTransport):
    """Adds the key where the request leaves: httpx logs whole addresses, and its errors carry their request."""

    def __init__(
        self, inner: httpx.BaseTransport, params: Mapping[str, str], headers: Callable[[], Mapping[str, str]]
    ) -> None:
        self._inner = inner
        self._params = params
        self._headers = headers

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_merge_params(self._params) if self._params else request.url
        headers = httpx.Headers(request.headers)
        headers.update(self._headers())
        return self._inner.handle_request(
            httpx.Request(request.method, url, headers=headers, extensions=request.extensions)
        )

    def close(self) -> None:
        self._inner.close()


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass
class ApiClient:
    """One server.

    :param table: the table's name, for messages.
    :param uri: an address of the server; requests to any other server are refused, they would carry the key there.
    :param secret_params: query parameters that hold a key.
    :param secret_headers: gives the headers that hold a key or token, anew for every request.
    """

    table: str
    uri: str
    requests_per_second: float
    secret_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_headers: Callable[[], Mapping[str, str]] = field(default=_nothing, repr=False)
    is_known: bool = False
    """Whether the address is one that the code or a connection names, and not a table's file: it may be anywhere."""
    patience_s: float | None = None
    """How long one request is tried again; None: RETRY_SECONDS."""
    _last: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        url = httpx.URL(self.uri)
        has_secret = bool(self.secret_params) or self.secret_headers is not _nothing
        if has_secret and url.scheme != "https" and url.host not in LOCAL_HOSTS:
            raise ConfigError(f"{self.table}: {self.shown}: the key would travel unencrypted; use https://")
        self._origin = (url.scheme, url.host, url.port)
        proxy = proxy_of(url)
        inner = httpx.HTTPTransport(proxy=proxy, verify=trusted()) if self.is_known else OutsideTransport(proxy)
        self._client = httpx.Client(
            transport=_Signing(inner, self.secret_params, self.secret_headers),
            timeout=TIMEOUT,
            headers={"User-Agent": "sluiceway", "Accept": "application/json"},
        )

    @property
    def shown(self) -> str:
        """Its address in a sentence."""
        return without_secrets(self.uri)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def redact(self, text: str) -> str:
        """`text` without the key, for an answer may repeat it."""
        headers = self.secret_headers() if self.secret_headers is not _nothing else {}
        for secret in (*self.secret_params.values(), *headers.values()):
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret), secret.removeprefix("Bearer ")):
                text = text.replace(spelling, "***") if spelling else text
        return text

    def get(self, uri: str, params: Mapping[str, str | int | float | bool] | None = None) -> Answer:
        """The answer, whatever its status, unless trying again later may bring another one.

        :param params: added to those of `uri`.
        :raises SourceUnavailableError: no answer, or "later" (429, 5xx), within `patience_s`.
        :raises SourceUnreadableError: `uri` is on another server.
        """
        url = httpx.URL(uri)
        if (url.scheme, url.host, url.port) != self._origin:
            raise SourceUnreadableError(
                f"{self.table}: {self.shown} points to another server, {url.host}, which is not followed"
            )
        for name in self.secret_params:
            url = url.copy_remove_param(name)
        url = url.copy_merge_params(dict(params)) if params else url
        ends = time.monotonic() + (RETRY_SECONDS if self.patience_s is None else self.patience_s)
        wait, tries = FIRST_WAIT_SECONDS, 0
        while True:
            self._pace()
            tries += 1
            asked = None
            try:
                answer = self._send(url)
            except httpx.RequestError as error:
                problem = f"does not answer ({self.redact(str(error)) or type(error).__name__})"
            else:
                if answer.status not in _TRY_AGAIN:
                    return answer
                with answer:
                    problem = f"answers {answer.status}"
                    asked = retry_after(answer.headers.get("retry-after"))
            delay = wait if asked is None else asked
            if time.monotonic() + delay > ends:
                wants = f" and asks to wait {asked:,.0f} s" if asked else ""
                times = f"{tries} tries" if tries > 1 else "1 try"
                raise SourceUnavailableError(
                    f"{self.table}: {self.shown} {problem}{wants}, after {times}; try again later"
                )
            log.info("%s: %s %s, trying again in %.1f s", self.table, self.shown, problem, delay)
            time.sleep(delay)
            wait = min(wait * 2, LONGEST_WAIT_SECONDS)

    def _pace(self) -> None:
        time.sleep(max(0.0, self._last + 1 / self.requests_per_second - time.monotonic()))
        self._last = time.monotonic()

    def _send(self, url: httpx.URL) -> Answer:
        """One answer, the whole of it; what breaks off is an error."""
        body: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115  # the Answer closes it
        try:
            with self._client.stream("GET", url) as response:
                size = 0
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > MAX_ANSWER_BYTES:
                        raise SourceUnreadableError(
                            f"{self.table}: an answer of {self.shown} is larger than {MAX_ANSWER_BYTES:,} bytes; "
                            f"read it in pages (source.paging)"
                        )
                    body.write(chunk)
                links = response.links
                answer = Answer(
                    status=response.status_code,
                    headers=response.headers,
                    encoding=response.charset_encoding or "utf-8",
                    next_link=links["next"].get("url") if "next" in links else None,
                    body=body,
                )
        except BaseException:
            body.close()
            raise
        body.seek(0)
        return answer
