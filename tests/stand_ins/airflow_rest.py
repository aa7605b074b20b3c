"""Airflow's REST API as far as a trigger needs it, in the wire format that 3.3.2 with FAB was seen to speak.

It also fails on demand: fault("lost") processes the next request and sends no answer. A real Airflow is asked in
tests/integration/master/test_trigger.py; this one does what that cannot be made to do.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

USERNAME, PASSWORD = "ci", 'a "secret" pass/word'
JWT_HEAD = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9"
HTML = b"<!doctype html><html><head><title>Sign in</title></head><body>Who are you?</body></html>"
CONFLICT = {
    "detail": {
        "reason": "Unique constraint violation",
        "statement": "hidden",
        "orig_error": "hidden",
        "message": "Serious error when handling your request. Check logs for more details - you will find it in api "
        "server when you look for ID 8ZXnRzCo",
    }
}
FIRST_RUN = datetime(2026, 7, 1, tzinfo=UTC)
Reply = tuple[int, Any, dict[str, str]]


@dataclass
class Fault:
    """What happens instead of an answer, so many times; `times` counts down."""

    kind: str
    times: int
    method: str | None
    path: str
    headers: dict[str, str]
    status: int
    body: Any

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in (None, method) and self.path in path


@dataclass
class AirflowRest:
    """One Airflow. Use as a context manager; `uri` is where it listens, below `root`.

    :param tls: the certificate and key to serve https with
    """

    root: str = ""
    tls: ssl.SSLContext | None = None
    dags: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    reports: dict[str, dict[str, str]] = field(default_factory=dict)
    """What Sluiceway's page says of a run; of others nobody says anything."""
    reports_at: str = "runs"
    """Where these pages are below /sluiceway."""
    data: dict[str, Any] | None = None
    """What Sluiceway's status.json says; None: there is none."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    on_post: Callable[[], None] = lambda: None
    """Called between a caller's look and its POST."""
    answer_s: float = 0.0
    """How long every answer takes."""
    spent_s: float = 0.0
    """What it spent on requests since it began, from the first byte it read to the last it wrote."""

    def fault(
        self,
        kind: str,
        times: int = 1,
        *,
        method: str | None = None,
        path: str = "",
        headers: dict[str, str] | None = None,
        status: int = 503,
        body: Any = None,
    ) -> None:
        """kind is status, drop (no answer), lost (done, and no answer), cut (half an answer), slow, drip or html."""
        self.faults.append(Fault(kind, times, method, path, headers or {}, status, body))

    def add_dag(self, dag_id: str = "master_etl", **changes: Any) -> dict[str, Any]:
        """A DAG that is ready for a run, but for the changes; tags=["build:1"] names its build."""
        dag = {
            "dag_id": dag_id,
            "dag_display_name": dag_id,
            "is_paused": False,
            "is_stale": False,
            "has_import_errors": False,
            "max_active_runs": 1,
            **changes,
            "tags": [{"name": tag, "dag_id": dag_id, "dag_display_name": dag_id} for tag in changes.get("tags", [])],
        }
        self.dags[dag_id] = dag
        return dag

    def add_run(
        self, run_id: str, state: str, *, dag_id: str = "master_etl", conf: dict[str, Any] | None = None
    ) -> None:
        """A run that is there already, enqueued after those before it; its conf is what its id says."""
        if conf is None:
            conf = {"commit_sha": run_id.split("__")[1]}
        self.runs[run_id] = self._run(dag_id, {"dag_run_id": run_id, "conf": conf, "note": None}, state)

    def __enter__(self) -> Self:
        airflow = self
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                airflow._serve(self)

            do_POST = do_GET  # noqa: N815  # the name that http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A caller that gave up is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def uri(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return (
            f"{scheme}://{'127.0.0.1' if self.tls is None else 'localhost'}:{self._server.server_address[1]}{self.root}"
        )

    def asked(self, method: str, path: str = "") -> int:
        """How often."""
        return sum(1 for verb, where, _ in self.requests if verb == method and path in where)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        began = time.perf_counter()
        method, headers = handler.command, {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        with self._lock:
            self.requests.append((method, handler.path, headers))
            fault = next((each for each in self.faults if each.fits(method, handler.path)), None)
            if fault is not None:
                fault.times -= 1
        time.sleep(self.answer_s)
        if fault is not None and fault.kind == "drop":
            self._hang_up(handler)
            return
        if fault is not None and fault.kind == "slow":
            self._until_over(fault)
        if fault is not None and fault.kind == "status":
            self._send(handler, (fault.status, fault.body, fault.headers), fault)
            return
        reply = self._html() if fault is not None and fault.kind == "html" else self._answer(handler, headers, body)
        if fault is not None and fault.kind == "lost":
            self._hang_up(handler)
            return
        self._send(handler, reply, fault)
        with self._lock:
            self.spent_s += time.perf_counter() - began

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply, fault: Fault | None) -> None:
        status, content, headers = reply
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        kind = fault.kind if fault is not None else ""
        if kind == "drip":
            assert fault is not None
            for byte in raw:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(0.2)
                if fault not in self.faults:
                    break
            return
        handler.wfile.write(raw[: len(raw) // 2] if kind == "cut" else raw)
        handler.close_connection = True

    def _until_over(self, fault: Fault) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end and fault in self.faults:
            time.sleep(0.02)

    @staticmethod
    def _hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _html() -> Reply:
        return 200, HTML, {"Content-Type": "text/html"}

    def _answer(self, handler: BaseHTTPRequestHandler, headers: dict[str, str], body: bytes) -> Reply:
        parts = urlsplit(handler.path)
        if not parts.path.startswith(self.root + "/"):
            return 404, {"detail": "Not Found"}, {}
        path = parts.path.removeprefix(self.root)
        if path == "/auth/token":
            return self._token(json.loads(body))
        is_status = path == "/sluiceway/api/status.json"
        if path.startswith("/sluiceway/") and self.reports and not is_status:
            report = re.fullmatch(rf"/sluiceway/{self.reports_at}/[^/]+/([^/]+)", path)
            document = self.reports.get(unquote(report[1])) if report else None
            return (404, {"detail": "Not Found"}, {}) if document is None else (200, document, {})
        if not path.startswith("/api/v2/") and not is_status:
            return self._html()
        refused = self._refuse(headers.get("authorization", "").removeprefix("Bearer "))
        if refused is not None:
            return refused
        return self._data() if is_status else self._dags(handler, parts.query, path, body)

    def _data(self) -> Reply:
        return (404, {"detail": "Not Found"}, {}) if self.data is None else (200, self.data, {})

    def _dags(self, handler: BaseHTTPRequestHandler, query: str, path: str, body: bytes) -> Reply:
        found = re.fullmatch(r"/api/v2/dags/([^/]+)(/dagRuns(?:/([^/]+))?)?", path)
        if not found:
            return 404, {"detail": "Not Found"}, {}
        dag_id, runs, run_id = unquote(found[1]), found[2], found[3] and unquote(found[3])
        dag = self.dags.get(dag_id)
        if dag is None:
            return 404, {"detail": f"The Dag with ID: `{dag_id}` was not found"}, {}
        if handler.command == "POST":
            return self._post(dag, json.loads(body))
        if run_id:
            return self._one(dag_id, run_id)
        return (200, dag, {}) if not runs else self._list(parse_qs(query))

    def _refuse(self, token: str) -> Reply | None:
        if not token:
            return 401, {"detail": "Not authenticated"}, {}
        if token in self.expired:
            return 401, {"detail": "Token Expired"}, {}
        return None if token in self.tokens else (403, {"detail": "Invalid JWT token"}, {})

    def _token(self, given: dict[str, str]) -> Reply:
        if (given.get("username"), given.get("password")) != (USERNAME, PASSWORD):
            return 401, {"detail": "Invalid credentials"}, {}
        token = f"{JWT_HEAD}.eyJzdWIiOiIyIn0.{len(self.tokens):08d}signature"
        self.tokens.add(token)
        return 201, {"access_token": token}, {}

    def _post(self, dag: dict[str, Any], given: dict[str, Any]) -> Reply:
        strange = set(given) - {"dag_run_id", "logical_date", "conf", "note"}
        if strange or "logical_date" not in given:
            problem = {"type": "extra_forbidden", "loc": ["body", *strange], "msg": "Extra inputs are not permitted"}
            return 422, {"detail": [{**problem, "input": given}]}, {}
        if dag["has_import_errors"]:
            said = f"Dag with dag_id: '{dag['dag_id']}' has import errors and cannot be triggered"
            return 400, {"detail": said}, {}
        self.on_post()
        with self._lock:
            if given["dag_run_id"] in self.runs:
                return 409, CONFLICT, {}
            run = self._run(dag["dag_id"], given, "queued")
            self.runs[given["dag_run_id"]] = run
        return 200, run, {}

    def _one(self, dag_id: str, run_id: str) -> Reply:
        if run_id not in self.runs:
            said = f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"
            return 404, {"detail": said}, {}
        return 200, self.runs[run_id], {}

    def _list(self, query: dict[str, list[str]]) -> Reply:
        # as Airflow does it: a range that ends before the last letter's successor
        prefix = query["run_id_prefix_pattern"][0]
        after = query.get("run_after_gt", [""])[0]
        found = [
            run
            for run_id, run in list(self.runs.items())
            if prefix <= run_id < prefix[:-1] + chr(ord(prefix[-1]) + 1) and run["run_after"] > after
        ]
        offset, limit = int(query["offset"][0]), min(int(query["limit"][0]), 100)
        page = found[offset : offset + limit]
        document = {"dag_runs": page, "total_entries": len(found), "total_entries_limit": None}
        return 200, {**document, "next_cursor": None, "previous_cursor": None}, {}

    def _run(self, dag_id: str, given: dict[str, Any], state: str) -> dict[str, Any]:
        enqueued_at = FIRST_RUN + timedelta(seconds=len(self.runs))
        return {
            "dag_run_id": given["dag_run_id"],
            "dag_id": dag_id,
            "logical_date": None,
            "queued_at": f"{enqueued_at:%FT%T.%fZ}",
            "run_after": f"{enqueued_at:%FT%T.%fZ}",
            "run_type": "manual",
            "state": state,
            "triggered_by": "rest_api",
            "triggering_user_name": USERNAME,
            "conf": given["conf"],
            "note": given["note"],
        }
