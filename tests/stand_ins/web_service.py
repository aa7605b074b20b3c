"""A web service over real HTTP, in a thread, that also fails on demand."""

from __future__ import annotations

import json
import threading
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


@dataclass
class Reply:
    """What to answer."""

    status: int = 200
    body: Any = None
    """Sent as JSON, or as it is when it is bytes."""
    headers: dict[str, str] = field(default_factory=dict)
    breaks_off: bool = False
    """Half of the body, then the connection is closed."""


@dataclass
class WebService:
    """Answers with `answer`, unless `faults` still holds what to answer instead, in order; None is no fault."""

    answer: Callable[[Request], Reply]
    faults: list[Reply | None] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length", 0))
                request = Request(
                    method=self.command,
                    path=parts.path,
                    params=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(length).decode(),
                )
                service.requests.append(request)
                fault = service.faults.pop(0) if service.faults else None
                reply = fault if fault is not None else service.answer(request)
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if reply.breaks_off else body)
                self.close_connection = reply.breaks_off

            do_POST = do_GET  # noqa: N815  # the name that http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"
