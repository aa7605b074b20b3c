"""A web service over real HTTP, in a thread, that also fails on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: str = ""
    """What is no UTF-8 is in surrogates."""
    at: float = 0.0
    """When it came, by time.monotonic()."""


@dataclass
class Reply:
    """What to answer."""

    status: int = 200
    body: Any = None
    """Sent as JSON, or as it is when it is bytes."""
    headers: dict[str, str] = field(default_factory=dict)
    breaks_off: bool = False
    """Half of the body, then the connection is closed."""
    waits_s: float = 0.0
    """Before anything is answered."""
    drips_s: float = 0.0
    """Before each byte of the body."""


@dataclass
class WebService:
    """Answers with `answer`, unless `faults` still holds what to answer instead, in order; None is no fault."""

    answer: Callable[[Request], Reply]
    faults: list[Reply | None] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    """0: one that is free."""

    def __enter__(self) -> Self:
        service = self
        self._ends = threading.Event()
        self._taking = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                at = time.monotonic()
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length", 0))
                request = Request(
                    method=self.command,
                    path=parts.path,
                    params=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(length).decode(errors="surrogateescape"),
                    at=at,
                )
                reply = service.reply_to(request)
                service.rests(reply.waits_s)
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                body = body[: len(body) // 2] if reply.breaks_off else body
                try:
                    for part in [body[i : i + 1] for i in range(len(body))] if reply.drips_s else [body]:
                        service.rests(reply.drips_s)
                        self.wfile.write(part)
                except ConnectionError:
                    # whoever asked has given up
                    self.close_connection = True
                self.close_connection = self.close_connection or reply.breaks_off

            # the names that http.server looks for
            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reply_to(self, request: Request) -> Reply:
        """The next fault, or the answer."""
        with self._taking:
            self.requests.append(request)
            fault = self.faults.pop(0) if self.faults else None
        return fault if fault is not None else self.answer(request)

    def rests(self, seconds: float) -> None:
        """Sleeps, but never beyond the service's end."""
        if seconds:
            self._ends.wait(seconds)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"
