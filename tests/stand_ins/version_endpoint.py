"""A service that says which commit it runs, over real HTTP; on demand it is slow, broken, or replaced by a web page."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.stand_ins.web_service import Reply, Request, WebService

HTML = b"<!doctype html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to staging</h1></body></html>"


@dataclass
class VersionEndpoint(WebService):
    """Says `commit` as JSON ({"build": {"commit": ...}}) and in the header X-Commit; at /text as text alone."""

    answer: object = None  # type: ignore[assignment]  # set below
    commit: str = "0" * 40
    fault: str | None = None
    """None, "html", "500" or "slow": what it does instead, until it is set back."""
    slow_s: float = 30.0

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if self.fault == "html":
            return Reply(200, HTML, {"Content-Type": "text/html"})
        if self.fault == "500":
            return Reply(500, b"upstream connect error", {"Content-Type": "text/plain"})
        if self.fault == "slow":
            # in pieces, so that a client that is gone ends it
            until = time.monotonic() + self.slow_s
            while time.monotonic() < until and self.fault == "slow":
                time.sleep(0.05)
        if request.path == "/text":
            return Reply(200, f"{self.commit}\n".encode(), {"Content-Type": "text/plain"})
        return Reply(200, {"service": "shop", "build": {"commit": self.commit}}, {"X-Commit": self.commit})
