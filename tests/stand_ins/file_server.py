"""A server of files over real HTTP: ranges, validators and conditions as RFC 9110 has them, and faults on demand."""

from __future__ import annotations

import gzip
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote, urlsplit

LONG_AGO = format_datetime(datetime(2024, 5, 1, 12, tzinfo=UTC), usegmt=True)


@dataclass
class Asked:
    """What a client asked for, and when it came."""

    method: str
    target: str
    """Path and query."""
    headers: dict[str, str]
    at: datetime
    status: int = 0
    sent: int = 0
    """Bytes of the body that were answered."""


@dataclass
class Served:
    """One file, and how it is served."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = "strong"
    """`strong` and `weak` are made from the content; anything else is sent as it is."""
    modified: str | None = LONG_AGO
    ranges: bool = True
    if_range: bool = True
    """False sends the part of whatever file is there now."""
    longest_part: int | None = None
    """Bytes; some proxies give no more of a range at once."""
    packs: bool = False
    """Packs every whole answer by gzip, whatever the client accepts."""
    announces: Callable[[int], int | None] = lambda size: size
    """The Content-Length for a body of that size; None sends none and closes the connection."""
    chunked: bool = False
    keeps_open: bool = False
    """The connection, although it was asked to close it."""

    def tag(self) -> str | None:
        made = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'
        return {"strong": made, "weak": f"W/{made}"}.get(self.etag or "", self.etag)


@dataclass
class Fault:
    """What to do wrong to one request."""

    status: int | None = None
    """Answers that, and no file."""
    headers: dict[str, str] = field(default_factory=dict)
    drops_after: int | None = None
    """Bytes of the body after which the connection breaks; 0 is after the headers."""
    hangs_after: int | None = None
    """Bytes of the body after which nothing comes, until the client gives up."""
    silent: bool = False
    """Closes the connection without a word."""
    then: Callable[[], None] | None = None
    """Done after the answer."""


@dataclass
class FileServer:
    """Serves `files` by path; each request that is no HEAD uses up the first of `faults`, None is no fault."""

    files: dict[str, Served | str] = field(default_factory=dict)
    """Text is an address to redirect to."""
    faults: list[Fault | None] = field(default_factory=list)
    secret: dict[str, str] = field(default_factory=dict)
    """Headers without which everything is forbidden."""
    heads: bool = True
    """Whether HEAD is allowed."""
    after_head: list[Callable[[], None]] = field(default_factory=list)
    """Done one by one, each after an answer to HEAD."""
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        files = self

        class Handler(_Handler):
            owner = files

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def uri(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError):
            # the client has gone, or does not trust us
            self.close_connection = True

    def do_HEAD(self) -> None:
        self._answer(None)
        if self.owner.after_head:
            self.owner.after_head.pop(0)()

    def do_GET(self) -> None:
        faults = self.owner.faults
        self._answer(faults.pop(0) if faults else None)

    def _answer(self, fault: Fault | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked = Asked(self.command, self.path, headers, datetime.now(UTC))
        self.owner.asked.append(self.asked)
        if fault is not None and fault.silent:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault is not None and fault.status is not None:
            self._bare(fault.status, fault.headers)
        elif any(headers.get(name.lower()) != value for name, value in self.owner.secret.items()):
            self._bare(403)
        elif self.command == "HEAD" and not self.owner.heads:
            self._bare(405)
        else:
            self._find(headers, fault)
        if fault is not None and fault.then is not None:
            fault.then()

    def _find(self, headers: dict[str, str], fault: Fault | None) -> None:
        found = self.owner.files.get(unquote(urlsplit(self.path).path))
        if found is None:
            self._bare(404)
        elif isinstance(found, str):
            self._bare(302, {"Location": found})
        elif _unchanged(found, headers):
            self._bare(304, _validators(found))
        elif headers.get("if-match", found.tag()) != found.tag():
            self._bare(412)
        else:
            self._serve(found, headers, fault or Fault())

    def _bare(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.asked.status = status
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _serve(self, served: Served, headers: dict[str, str], fault: Fault) -> None:
        status, extra, body = _part(served, headers)
        self.asked.status = status
        length = served.announces(len(body))
        self.send_response(status)
        given = {"Content-Type": "application/octet-stream", **_validators(served), **served.headers, **extra}
        if served.chunked:
            given["Transfer-Encoding"] = "chunked"
        elif length is not None:
            given["Content-Length"] = str(length)
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = not served.keeps_open
        if self.command == "HEAD":
            return
        stops = fault.drops_after if fault.drops_after is not None else fault.hangs_after
        sent = body[:stops]
        self.asked.sent = len(sent)
        if served.chunked:
            sent = b"%x\r\n%b\r\n" % (len(sent), sent) if sent else b""
            sent += b"0\r\n\r\n" if stops is None else b""
        self.wfile.write(sent)
        if stops is not None:
            self.close_connection = True
        if fault.hangs_after is not None:
            self.connection.recv(1)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _validators(served: Served) -> dict[str, str]:
    found = {"ETag": served.tag(), "Last-Modified": served.modified}
    return {name: value for name, value in found.items() if value is not None}


def _unchanged(served: Served, headers: dict[str, str]) -> bool:
    if "if-none-match" in headers:
        tag = served.tag()
        return tag is not None and headers["if-none-match"].removeprefix("W/") == tag.removeprefix("W/")
    return "if-modified-since" in headers and headers["if-modified-since"] == served.modified


def _part(served: Served, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body: the whole, or the part that was asked for."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
    wanted = headers.get("if-range")
    same = wanted is None or not served.if_range or wanted in {served.tag(), served.modified}
    size = len(served.content)
    if asked is None or not served.ranges or not same:
        if served.packs:
            return 200, {"Content-Encoding": "gzip"}, gzip.compress(served.content)
        return 200, {}, served.content
    first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    last = min(last, first + (served.longest_part or size) - 1)
    if first >= size:
        return 416, {"Content-Range": f"bytes */{size}"}, b""
    return 206, {"Content-Range": f"bytes {first}-{last}/{size}"}, served.content[first : last + 1]
