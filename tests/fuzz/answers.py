"""What comes by HTTP: answers of services and version endpoints, and the bodies of hooks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.deploy.version_endpoint import probe_http
from sluiceway.errors import WebhookRefusedError
from sluiceway.flows.files import flow_of
from sluiceway.flows.kinds.api import ApiTrigger
from sluiceway.flows.webhooks import authenticate, params_of
from sluiceway.infer.preview import preview
from sluiceway.sources.connections import from_environment
from sluiceway.tables.spec import TableSpec
from tests.fuzz.target import Feed, Target, enter

SECRET = "not known to anybody else"
COMMIT = b"0123456789abcdef0123456789abcdef01234567"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
DEPLOYED = b'{"deployment": {"sha": "' + COMMIT + b'"}, "deployment_status": {"state": "success"}}'
RECORDS = b'[{"id": 1, "name": "Ponce", "people": 137491}, {"id": 2, "name": null, "people": 1.5}]'
WORDS = (b"\r\n", b": ", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"301", b"429", b"503")
PATIENCE_S = 5.0


class RawServer:
    """Answers every request with the same bytes, right or not, and closes the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> RawServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # close() alone leaves accept() where it waits
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.settimeout(PATIENCE_S)
                client.recv(1 << 16)
                client.sendall(self.answer)
                client.shutdown(socket.SHUT_WR)


def _whole(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def _served(feeder: Callable[[RawServer], Feed]) -> Iterator[Feed]:
    with RawServer() as server:
        yield feeder(server)


def _endpoint(server: RawServer, *, only_body: bool) -> Feed:
    spec = HttpEnvironment.model_validate(
        {
            "name": "staging",
            "kind": "http",
            "url": f"http://127.0.0.1:{server.port}/version",
            "json_path": "deployment.sha",
            "request_timeout_s": PATIENCE_S,
        }
    )

    def feed(content: bytes) -> None:
        server.answer = _whole(content) if only_body else content
        asyncio.run(probe_http(spec, from_environment))

    return feed


def _api(server: RawServer) -> Feed:
    spec = TableSpec.model_validate(
        {
            "name": "city",
            "description": "Cities",
            "key": "id",
            "source": {
                "kind": "http_json",
                "uri": f"http://127.0.0.1:{server.port}/cities",
                "requests_per_second": 1000,
            },
            "columns": {"id": "integer", "name": "text", "people": "numeric(12,2)"},
        }
    )

    def feed(content: bytes) -> None:
        server.answer = _whole(content)
        preview(spec)

    return feed


@contextmanager
def _hook(provider: str) -> Iterator[Feed]:
    flow = flow_of(
        {
            "id": "hooked",
            "flow_type": "tables",
            "tables": ["us_state"],
            "description": "Started by others",
            "triggers": [
                {
                    "id": "pushed",
                    "type": "api",
                    "provider": provider,
                    "connection": "hook",
                    "params": {"commit_sha": "deployment.sha"},
                    "only": {"deployment_status.state": "success"},
                }
            ],
        }
    )
    trigger = flow.trigger("pushed")
    assert isinstance(trigger, ApiTrigger)

    def feed(content: bytes) -> None:
        # the library compares with the clock
        body, now = content, int(time.time())
        signed = body if trigger.timestamp_header is None else b"%d.%s" % (now, body)
        headers = {"X-GitHub-Event": "deployment_status", trigger.delivery_header: "msg_1"}
        if trigger.timestamp_header is not None:
            headers[trigger.timestamp_header] = str(now)
        if provider == "standard":
            key = base64.b64encode(SECRET.encode()).decode()
            content = b"msg_1.%d.%s" % (now, body)
            digest = hmac.new(SECRET.encode(), content, hashlib.sha256).digest()
            secret, headers[trigger.signature_header] = f"whsec_{key}", f"v1,{base64.b64encode(digest).decode()}"
        else:
            secret = SECRET
            headers[trigger.signature_header] = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        authenticate(trigger, [secret], headers, body, now)
        params_of(trigger, headers, body)

    yield feed


enter(
    (
        Target(
            "version_answer", lambda: [_whole(DEPLOYED)], partial(_served, partial(_endpoint, only_body=False)), WORDS
        ),
        Target("version_body", lambda: [DEPLOYED], partial(_served, partial(_endpoint, only_body=True))),
        Target("api_body", lambda: [RECORDS], partial(_served, _api)),
        Target("hook_github", lambda: [DEPLOYED], partial(_hook, "github"), refuses_by=WebhookRefusedError),
        Target("hook_generic", lambda: [DEPLOYED], partial(_hook, "generic"), refuses_by=WebhookRefusedError),
        Target("hook_standard", lambda: [DEPLOYED], partial(_hook, "standard"), refuses_by=WebhookRefusedError),
    )
)
