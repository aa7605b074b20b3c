"""What goes wrong with other people's web services, by name, and a process that lets one fail on demand."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Mapping, Sequence

from tests.stand_ins.web_service import Reply, Request, WebService

PAGE = b"<!DOCTYPE html><html><head><title>Guru Meditation</title></head><body>503</body></html>"
FAULTS: Mapping[str, Reply] = {
    "429": Reply(429, {"message": "Too many requests"}),
    "429 with Retry-After": Reply(429, {"message": "Too many requests"}, {"Retry-After": "7"}),
    "500": Reply(500, {"status": 500, "error": "Internal Server Error"}),
    "time-out": Reply(200, {}, waits_s=600),
    "HTML with 200": Reply(200, PAGE, {"Content-Type": "text/html"}),
    "cut JSON": Reply(200, b'{"usage": {"key": "5TQ'),
    "broken off": Reply(200, {"usage": {"key": "5TQD6"}}, breaks_off=True),
    "error body with 200": Reply(200, {"message": "Unable to support API v1 for this checklist. Please use v2."}),
    "slow drip": Reply(200, {"usage": {"key": "5TQD6"}}, drips_s=0.05),
}
CONTROL = "/-/"


def serve(service: WebService, argv: Sequence[str] | None = None) -> None:
    """Be the service until the process is ended; its address is the first line that it prints.

    POST /-/faults with `{"fault": "500", "times": 3}` lets the next requests fail, POST /-/faults with `{}` ends that;
    GET /-/requests is what was asked: method, path and the second it came at.
    """
    parser = argparse.ArgumentParser(description=type(service).__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: one that is free")
    service.port = parser.parse_args(argv).port
    with _Controlled(service) as running:
        print(running.uri, flush=True)  # noqa: T201  # whoever starts the process reads its address
        threading.Event().wait()


class _Controlled(WebService):
    """A service that others tell what to do."""

    def __init__(self, service: WebService) -> None:
        super().__init__(answer=service.answer, port=service.port)

    def reply_to(self, request: Request) -> Reply:
        if not request.path.startswith(CONTROL):
            return super().reply_to(request)
        if request.path == f"{CONTROL}requests":
            return Reply(200, [{"method": each.method, "path": each.path, "at": each.at} for each in self.requests])
        told = json.loads(request.body or "{}")
        if told and told.get("fault") not in FAULTS:
            return Reply(400, {"error": f"no such fault; known: {', '.join(FAULTS)}"})
        self.faults = [FAULTS[told["fault"]]] * int(told.get("times", 1)) if told else []
        return Reply(200, {"faults": len(self.faults)})
