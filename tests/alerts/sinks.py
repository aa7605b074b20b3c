"""Where messages arrive for real: an HTTP server and an SMTP server, each in a thread."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller

from tests.stand_ins.web_service import Reply, WebService

SECRET = "s3cretT0kenOfTheHook"
"""Stands in every address; it must be read nowhere."""


class Arrived(NamedTuple):
    """One message as whoever is told sees it."""

    subject: str
    body: str
    kind: str = ""


class HttpSink(WebService):
    """Takes what Apprise posts to json://."""

    def __init__(self) -> None:
        super().__init__(answer=lambda _request: Reply(body={}))

    @property
    def address(self) -> str:
        """Of Apprise."""
        return f"json://user:{SECRET}@127.0.0.1:{self._server.server_port}/hook/{SECRET}?cto=2&rto=2"

    @property
    def url(self) -> str:
        """Of a dead man's switch."""
        return f"http://127.0.0.1:{self._server.server_port}/ping/{SECRET}"

    def arrived(self) -> list[Arrived]:
        """The messages so far, in order."""
        found: list[dict[str, Any]] = [json.loads(each.body) for each in self.requests if each.method == "POST"]
        return [Arrived(each["title"], each["message"], each["type"]) for each in found]


class MailSink:
    """Takes e-mail."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = 0

    @property
    def address(self) -> str:
        """Of Apprise."""
        return f"mailto://127.0.0.1:{self.port}?from=etl@example.org&to=team@example.org&smtp=127.0.0.1&mode=insecure"

    def arrived(self) -> list[Arrived]:
        """The messages so far, in order."""
        found = []
        for mail in self.mails:
            part = mail.get_body(("plain", "html"))
            assert part is not None
            found.append(Arrived(str(mail["Subject"]), str(part.get_content())))
        return found

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """Take one."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"


class _Controller(Controller):
    """At a free port, which it asks the server for."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    """A running one, at a free port."""
    sink = MailSink()
    controller = _Controller(sink, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        sink.port = controller.port
        yield sink
    finally:
        controller.stop()
