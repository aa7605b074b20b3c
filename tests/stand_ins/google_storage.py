"""Google Cloud Storage's JSON API over real HTTP: generations, parts, objects that are stored packed, and refusals.

Also the token endpoint of Google's OAuth: a service account's signed assertion is exchanged for a token.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from tests.stand_ins.google_account import TOKEN, VIEWER, token_for
from tests.stand_ins.web_service import Reply, Request, WebService


@dataclass
class Stored:
    """One object."""

    content: bytes
    generation: int = 1700000000000001
    encoding: str | None = None
    """The contentEncoding it was uploaded with; the content is packed already."""
    public: bool = True


def refusal(code: int, message: str) -> Reply:
    """An error as this API words it."""
    return Reply(code, {"error": {"code": code, "message": message, "errors": [{"message": message}]}})


@dataclass
class GoogleStorage(WebService):
    """Buckets and their objects, by `bucket/name`. Objects that are not public are for `viewer`."""

    answer: object = None  # type: ignore[assignment]  # set below
    objects: dict[str, Stored] = field(default_factory=dict)
    viewer: str = VIEWER
    public_key: str = ""
    buckets: set[str] = field(default_factory=set)
    """Those that can be listed."""
    private: bool = False
    """Whether only `viewer` may list."""
    longest_page: int = 1000
    after_look: list[Callable[[], None]] = field(default_factory=list)
    """Done one by one, each after an object's description was given."""

    after_parts: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Done after so many parts were given."""

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return token_for(request, self.public_key)
        if listed := re.fullmatch(r"/storage/v1/b/([^/]+)/o", request.path):
            return self._listing(request, unquote(listed[1]))
        found = re.fullmatch(r"(/download)?/storage/v1/b/([^/]+)/o/([^/]+)", request.path)
        if found is None:
            return refusal(404, "Not Found")
        name = f"{found[2]}/{unquote(found[3])}"
        stored = self.objects.get(name)
        if stored is None:
            return refusal(404, f"No such object: {name}")
        if not stored.public and (refused := self._refused(request)) is not None:
            return refused
        if request.params.get("generation", str(stored.generation)) != str(stored.generation):
            return refusal(404, f"No such object: {name}#{request.params['generation']}")
        if found[1] is not None:
            given = sum(each.path.startswith("/download") for each in self.requests)
            part = _media(request, stored)
            self.after_parts.get(given, lambda: None)()
            return part
        reply = Reply(body=_description(name, stored))
        if self.after_look:
            self.after_look.pop(0)()
        return reply

    def _listing(self, request: Request, bucket: str) -> Reply:
        """A page of a bucket's objects, by name; the token is the name that the next page begins behind."""
        if bucket not in self.buckets:
            return refusal(404, "The specified bucket does not exist.")
        if self.private and (refused := self._refused(request)) is not None:
            return refused
        after, prefix = request.params.get("pageToken", ""), request.params.get("prefix", "")
        begin = f"{bucket}/{prefix}"
        names = sorted(name for name in self.objects if name.startswith(begin) and name.partition("/")[2] > after)
        page = names[: min(int(request.params.get("maxResults", "1000")), self.longest_page)]
        reply: dict[str, object] = {"kind": "storage#objects"}
        if page:
            reply["items"] = [_description(name, self.objects[name]) for name in page]
        if len(page) < len(names):
            reply["nextPageToken"] = page[-1].partition("/")[2]
        return Reply(body=reply)

    def _refused(self, request: Request) -> Reply | None:
        who = "Anonymous caller"
        if "authorization" in request.headers:
            if request.headers["authorization"] != f"Bearer {TOKEN}":
                return refusal(401, "Invalid Credentials")
            if self.viewer == VIEWER:
                return None
            who = VIEWER
        message = f"{who} does not have storage.objects.get access to the Google Cloud Storage object."
        return refusal(401 if who == "Anonymous caller" else 403, message)


def _description(name: str, stored: Stored) -> dict[str, object]:
    bucket, _, key = name.partition("/")
    described = {
        "kind": "storage#object",
        "bucket": bucket,
        "name": key,
        "size": str(len(stored.content)),
        "generation": str(stored.generation),
        "metageneration": "1",
        "etag": "CNH" + str(stored.generation),
        "contentType": "text/csv",
        "timeCreated": datetime.fromtimestamp(stored.generation / 1e6, UTC).isoformat(),
    }
    return described | ({"contentEncoding": stored.encoding} if stored.encoding else {})


def _media(request: Request, stored: Stored) -> Reply:
    if stored.encoding == "gzip" and "gzip" not in request.headers.get("accept-encoding", ""):
        # unpacked on the way, and Range is not heeded
        return Reply(200, gzip.decompress(stored.content))
    headers = {"Content-Encoding": stored.encoding} if stored.encoding else {}
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
    if asked is None:
        return Reply(200, stored.content, headers)
    size = len(stored.content)
    first, last = int(asked[1]), min(int(asked[2]), size - 1)
    if first >= size:
        return refusal(416, "The requested range cannot be satisfied.")
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Reply(206, stored.content[first : last + 1], headers)
