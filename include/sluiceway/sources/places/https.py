"""Files behind http(s): fetched whole or not at all, resumed after a broken connection, not fetched when unchanged."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

import httpx

from sluiceway.amounts import counted
from sluiceway.errors import (
    ConfigError,
    PrivateAddressError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
    said_by,
)
from sluiceway.http_headers import announced, encoding_of, is_chunked, retry_after, settled
from sluiceway.sources.connections import Connections, secret_headers
from sluiceway.sources.place import Place, without_secrets
from sluiceway.sources.places.downloads import check_sha256, check_size, safe_name, sha256_of, unpacked_as_sent
from sluiceway.sources.places.watched_stream import WatchedTransport, sends_more
from sluiceway.sources.reach import proxy_of
from sluiceway.sources.services.api_client import LOCAL_HOSTS
from sluiceway.tables.source_spec import ExcelSource, LocatedSource

TIMEOUT = httpx.Timeout(30)
TRIES = 6
"""Failures in a row after which a file is given up; a try that got further than all before begins a new row."""
FIRST_WAIT_S = 0.5
PATIENCE_S = 300.0
"""Of all waits for one file together: a server that asks for more is left to the next attempt of the task."""
MAX_REDIRECTS = 5

_TRY_AGAIN = frozenset({408, 425, 429, *range(500, 600)} - {501, 505})
_ETAG = "etag:"
_MODIFIED = "last-modified:"
_DATA = re.compile(
    r"\.(csv|tsv|txt|json|ndjson|jsonl|parquet|geoparquet|xlsx|xlsm|sqlite|sqlite3|db|zip|gz|zst|zstd|shp|gpkg|fgb|gml"
    r"|kml|kmz|topojson|geojson|geojsonl|geojsons|geojsonseq)"
)
"""Endings of files that hold data; .php is the ending of a program."""
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst", b"PK\x03\x04": ".zip"}

log = logging.getLogger(__name__)

T = TypeVar("T")


class _BrokenOff(Exception):  # noqa: N818  # never leaves this module
    """The connection broke, or the server is busy: worth another try."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@contextmanager
def fetched(source: LocatedSource, connections: Connections, known: str | None) -> Iterator[Place]:
    """The file at source.uri, in a temporary folder for as long as the block lasts.

    :param known: the fingerprint of the last load; a file that still has it is not fetched.
    :raises SourceMissingError: the server says that there is no such file, or not for us.
    :raises SourceUnavailableError: the server does not answer, is busy, or breaks off again and again.
    :raises SourceUnreadableError: the file is larger than source.max_bytes, or has another checksum than source.sha256.
    """
    shown = without_secrets(source.uri)
    with TemporaryDirectory(prefix="sluiceway-") as folder, _Server.of(source, connections) as server:
        path = Path(folder) / "download"
        with path.open("w+b") as file:
            download = _Download(server, file, known)
            unchanged = _retried(shown, download.attempt, lambda: file.seek(0, 2))
        if unchanged:
            yield Place(name=shown, fingerprint=known)
            return
        path = _named(source, download, path)
        digest = sha256_of(path)
        check_sha256(source, shown, digest)
        yield Place(name=shown, fingerprint=download.fingerprint or digest, size=path.stat().st_size, path=path)


def check_reachable(source: LocatedSource, connections: Connections) -> None:
    """Raises SourceMissingError or SourceUnavailableError when `fetched` would; fetches one byte at most."""
    with _Server.of(source, connections) as server:
        _retried(without_secrets(source.uri), server.check_reachable)


def _retried(shown: str, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
    """Try again what broke off.

    :param progress: how many bytes are here.
    """
    tries, failures, reached, waited_s = 0, 0, 0, 0.0
    while True:
        tries += 1
        try:
            return attempt()
        except _BrokenOff as error:
            here = progress()
            failures = 1 if here > reached else failures + 1
            reached = max(reached, here)
            pause_s = error.wait_s if error.wait_s is not None else FIRST_WAIT_S * 2 ** (failures - 1)
            waited_s += pause_s
            problem = f"{error} after {counted(here, 'byte')}" if here else str(error)
            if failures == TRIES or waited_s > PATIENCE_S:
                asks = f" and asks to wait {error.wait_s:,.0f} s" if error.wait_s else ""
                times = f"{tries} tries" if tries > 1 else "1 try"
                raise SourceUnavailableError(f"{shown}: {problem}{asks}, after {times}; try again later") from error
            log.warning("%s: %s; trying again in %.1f s", shown, problem, pause_s)
            time.sleep(pause_s)


@dataclass
class _Server:
    """One address, and what opens it."""

    source: LocatedSource
    client: httpx.Client
    shown: str
    secret_headers: frozenset[str]
    """Names of the connection's headers: another server must not see them."""

    @classmethod
    @contextmanager
    def of(cls, source: LocatedSource, connections: Connections) -> Iterator[_Server]:
        """Keeps the connection open for as long as the block lasts."""
        shown = without_secrets(source.uri)
        _check_address(source, shown)
        secrets = secret_headers(connections(source.connection)) if source.connection is not None else {}
        headers = {"User-Agent": "sluiceway", "Accept-Encoding": "identity", "Connection": "close"} | secrets
        # httpx logs every address at INFO, and an address may hold a key
        logging.getLogger("httpx").setLevel(logging.WARNING)
        url = httpx.URL(source.uri)
        transport = WatchedTransport(proxy_of(url))
        with httpx.Client(headers=headers, timeout=TIMEOUT, transport=transport, follow_redirects=False) as client:
            yield cls(source, client, shown, frozenset(secrets))

    @contextmanager
    def ask(self, method: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer at the end of all redirects; its body is not read yet.

        :raises _BrokenOff: there is no answer, or it breaks off while the block reads it.
        """
        try:
            answer = self._follow(self.client.build_request(method, self.source.uri, headers=headers))
            try:
                yield answer
            finally:
                answer.close()
        except httpx.TransportError as error:
            said = said_by(error)
            if "CERTIFICATE_VERIFY_FAILED" in said:
                raise SourceUnreadableError(
                    f"{self.shown}: the server's certificate is not trusted ({said}); if it is your own, name its "
                    f"authority's file in SSL_CERT_FILE"
                ) from error
            raise _BrokenOff(f"the connection broke ({said})") from error
        except PrivateAddressError as error:
            raise PrivateAddressError(f"{self.shown}: {error}") from error

    def _follow(self, request: httpx.Request) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self.client.send(request, stream=True)
            if answer.next_request is None:
                return answer
            answer.close()
            request = self._redirected(request, answer.next_request)
        raise SourceUnreadableError(f"{self.shown} is redirected more than {MAX_REDIRECTS} times; check source.uri")

    def _redirected(self, before: httpx.Request, after: httpx.Request) -> httpx.Request:
        allowed = {"https"} if before.url.scheme == "https" else {"http", "https"}
        if after.url.scheme not in allowed:
            raise SourceUnreadableError(
                f"{self.shown} leads to {without_secrets(str(after.url))}, which is not encrypted; name the address "
                f"to trust as source.uri"
            )
        origins = {(url.scheme, url.host, url.port) for url in (before.url, after.url)}
        if len(origins) > 1:
            # httpx drops Authorization, and knows nothing of X-Api-Key
            for name in self.secret_headers:
                after.headers.pop(name, None)
        return after

    def check_status(self, answer: httpx.Response, *good: int) -> None:
        """Raises what the status means, unless it is a good one."""
        status = answer.status_code
        if status in good:
            return
        said = f"the server answers {f'{status} {answer.reason_phrase}'.strip()}"
        if status in _TRY_AGAIN:
            raise _BrokenOff(said, retry_after(answer.headers.get("retry-after")))
        hint = "check source.uri"
        if status in {401, 403}:
            id_ = self.source.connection
            hint = f"check the connection {id_!r}" if id_ else "name a connection that may read it as source.connection"
        raise SourceMissingError(f"{self.shown}: {said}; {hint}")

    def check_reachable(self) -> None:
        """Raises unless the file is there; fetches one byte at most."""
        with self.ask("HEAD", {}) as answer:
            if answer.status_code < 400 or answer.status_code in _TRY_AGAIN:
                self.check_status(answer, 200)
                return
        # some servers, and signed addresses, allow GET only; 416 is an empty file
        with self.ask("GET", {"Range": "bytes=0-0"}) as answer:
            self.check_status(answer, 200, 206, 416)


def _check_address(source: LocatedSource, shown: str) -> None:
    try:
        url = httpx.URL(source.uri)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{shown} is no address: {error}") from error
    if not url.host:
        raise ConfigError(f"{shown} names no server")
    if source.connection is not None and url.scheme != "https" and url.host not in LOCAL_HOSTS:
        raise ConfigError(
            f"{shown}: what the connection {source.connection!r} holds would travel unencrypted; use https://"
        )


@dataclass
class _Download:
    """One file on its way, and what the server says of it."""

    server: _Server
    file: IO[bytes]
    known: str | None
    etag: str | None = None
    modified: str | None = None
    length: int | None = None
    names: list[str] = field(default_factory=list)
    """What the server calls the file."""
    encoding: str = "identity"
    """Or gzip, where the server packs it on the way although it was asked not to."""
    without_length: str | None = None
    """sha256 of a whole answer whose length nobody announced."""

    @property
    def fingerprint(self) -> str | None:
        """What the server says identifies the content; a weak ETag does not."""
        if (etag := self._strong_etag()) is not None:
            return _ETAG + etag
        return f"{_MODIFIED}{self.modified};{self.length}" if self.modified and self.length is not None else None

    def attempt(self) -> bool:
        """One request, which goes on where the last one broke off.

        :returns: whether the file is still the known one; else it is here, the whole of it.
        """
        have = self.file.seek(0, 2)
        with self.server.ask("GET", self._resuming() if have else self._conditions()) as answer:
            if answer.status_code == 304 and not have and self._conditions():
                return self._is_known(answer)
            if have and answer.status_code in {206, 416} and not self._continues(answer, have):
                raise self._anew(self._why_not(answer))
            self.server.check_status(answer, 200, 206)
            if answer.status_code == 200:
                # the server knows no ranges, or the file has changed: what is here belongs to another one
                self._empty()
                self._note(answer)
                if self.known is not None and self.fingerprint == self.known:
                    return True
            elif not have:
                raise self._anew("the server sent a part of the file and was asked for the whole")
            check_size(self.server.source, self.server.shown, self.length)
            self._store(answer)
        self._check_whole(answer)
        return False

    def _strong_etag(self) -> str | None:
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    def _conditions(self) -> dict[str, str]:
        if self.known is not None and self.known.startswith(_ETAG):
            return {"If-None-Match": self.known.removeprefix(_ETAG)}
        if self.known is not None and self.known.startswith(_MODIFIED):
            return {"If-Modified-Since": self.known.removeprefix(_MODIFIED).rpartition(";")[0]}
        return {}

    def _resuming(self) -> dict[str, str]:
        """Go on, if the file is still the same; where nothing can tell, begin anew."""
        validator = self._strong_etag() or self.modified
        have = self.file.seek(0, 2)
        return {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}

    def _is_known(self, answer: httpx.Response) -> bool:
        # "not modified since" is also true of an older file that was put in its place
        assert self.known is not None
        modified = answer.headers.get("last-modified")
        if self.known.startswith(_MODIFIED) and modified is not None:
            before = self.known.removeprefix(_MODIFIED).rpartition(";")[0]
            if modified != before:
                self.known = None
                raise _BrokenOff(f"the file is of {modified} and no longer of {before}", 0)
        return True

    def _continues(self, answer: httpx.Response, have: int) -> bool:
        """Whether the answer is the rest of this very file; servers that ignore If-Range send that of another."""
        part = re.match(r"bytes (\d+)-\d+/(\d+|\*)$", answer.headers.get("content-range", ""))
        if answer.status_code != 206 or part is None or int(part[1]) != have:
            return False
        if encoding_of(answer) != self.encoding:
            # nginx packs the whole, and sends parts as they are
            return False
        etag = self._strong_etag()
        same = answer.headers.get("etag") == etag if etag else answer.headers.get("last-modified") == self.modified
        if self.length is None and part[2] != "*":
            self.length = int(part[2])
        return same and part[2] in {"*", str(self.length)}

    def _why_not(self, answer: httpx.Response) -> str:
        total = re.search(r"/(\d+)$", answer.headers.get("content-range", ""))
        if total is not None and self.length is not None and int(total[1]) != self.length:
            return f"the server announced {counted(self.length, 'byte')} and now has {int(total[1]):,}"
        return "the server sent another part of the file, or of another file, than it was asked for"

    def _note(self, answer: httpx.Response) -> None:
        self.etag = answer.headers.get("etag")
        self.modified = settled(answer.headers.get("last-modified"), answer.headers.get("date"))
        self.length = announced(answer)
        self.encoding = encoding_of(answer)
        if self.encoding not in {"gzip", "identity"}:
            raise SourceUnreadableError(
                f"{self.server.shown} comes in the content encoding {self.encoding!r}, and was asked for as it is; "
                f"fetch it by other means"
            )
        disposition = Message()
        disposition["content-disposition"] = answer.headers.get("content-disposition", "")
        given = PurePosixPath((disposition.get_filename() or "").replace("\\", "/")).name
        self.names = [given, PurePosixPath(unquote(answer.url.path)).name]

    def _store(self, answer: httpx.Response) -> None:
        begin = size = self.file.tell()
        length = announced(answer)
        end = begin + length if length is not None else None
        try:
            for chunk in answer.iter_raw():
                size += len(chunk)
                check_size(self.server.source, self.server.shown, size)
                self.file.write(chunk)
                if size == end and sends_more(answer, end - begin):
                    raise self._anew(f"the server sends more than the {counted(end, 'byte')} it announces")
            self.file.flush()
        except OSError as error:
            raise SourceUnavailableError(f"{self.server.shown}: the file cannot be stored here: {error}") from error

    def _check_whole(self, answer: httpx.Response) -> None:
        size = self.file.tell()
        if self.length is not None:
            if size > self.length:
                raise self._anew(f"{counted(size, 'byte')} came and {self.length:,} were announced")
            if size < self.length:
                raise _BrokenOff(f"the answer ended before its {counted(self.length, 'byte')}")
        elif not is_chunked(answer) and self.server.source.sha256 is None:
            # the end of the connection is the end of the file, so a broken one looks whole: it must come twice
            self.file.seek(0)
            digest = hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type]
            if digest != self.without_length:
                self.without_length = digest
                raise self._anew("the server does not say how long the file is, and has not sent the same twice")

    def _anew(self, why: str) -> _BrokenOff:
        self._empty()
        return _BrokenOff(why, 0)

    def _empty(self) -> None:
        self.file.seek(0)
        self.file.truncate()


def _named(source: LocatedSource, download: _Download, path: Path) -> Path:
    """The file under its own name, and as it was before the server packed it."""
    asked = PurePosixPath(unquote(urlsplit(source.uri).path)).name
    name = next((name for name in (asked, *download.names) if _DATA.fullmatch(_ending(name))), asked)
    if download.encoding == "gzip":
        path = unpacked_as_sent(source, without_secrets(source.uri), name, path)
    # a workbook is a zip too, and is read by its content
    if not _DATA.fullmatch(_ending(name)) and not isinstance(source, ExcelSource):
        with path.open("rb") as file:
            start = file.read(4)
        name += next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), "")
    return path.rename(path.with_name(safe_name(name)))


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
