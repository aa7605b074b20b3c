"""The sensor of an address, over real HTTP."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import zstandard

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnavailableError, SourceUnreadableError
from sluiceway.flows.kinds.http_look import MAX_BODY_BYTES
from sluiceway.sources.connections import Connection
from tests.flows.looks import Looks, trigger_of
from tests.stand_ins.web_service import Reply, WebService

BOMB = gzip.compress(bytes(1 << 28))
"""256 MiB of zeros, in 255 kB."""
ZSTANDARD_BOMB = zstandard.compress(bytes(1 << 28))


@dataclass
class Page(WebService):
    """Answers with `reply`."""

    answer: object = None  # type: ignore[assignment]  # set below
    reply: Reply = field(default_factory=lambda: Reply(200, {"release": {"version": 1}}, {"ETag": '"a"'}))

    def __post_init__(self) -> None:
        self.answer = lambda _: self.reply


@pytest.fixture
def page() -> Iterator[Page]:
    with Page() as running:
        yield running


@pytest.fixture
def watch(page: Page) -> Callable[..., Looks]:
    """A sensor that has looked once."""

    def make(**keys: Any) -> Looks:
        given = {"url": f"{page.uri}/status", "request_timeout_s": 2, **keys}
        looks = Looks(
            trigger_of(sensor_type="http", **given),
            lambda conn_id: Connection(conn_id=conn_id, conn_type="http", password="s3cret"),
        )
        assert looks.events() == ()
        return looks

    return make


def test_another_status_is_an_event(page: Page, watch: Callable[..., Looks]) -> None:
    looks, seen = watch(), []
    for status in (200, 503, 503, 200):
        page.reply = Reply(status, b"")
        seen += [(facts["what"], facts["old"], facts["new"]) for facts in looks.facts()]
    assert seen == [("status", 200, 503), ("status", 503, 200)]


def test_another_value_in_the_json_is_an_event(page: Page, watch: Callable[..., Looks]) -> None:
    looks = watch(json_path="release.version")
    page.reply = Reply(200, {"release": {"version": 2}, "more": 1})
    url = f"{page.uri}/status"
    assert looks.facts() == [{"event": "changed", "url": url, "what": "release.version", "old": 1, "new": 2}]
    page.reply = Reply(200, {"release": {"version": 2}, "more": 2})
    assert looks.events() == ()


def test_a_value_that_comes_back_is_another_event(page: Page, watch: Callable[..., Looks]) -> None:
    page.reply = Reply(200, {"v": [1]})
    looks, count = watch(json_path="v.0"), 0
    for value in (2, 1, 2, 1):
        page.reply = Reply(200, {"v": [value]})
        count += len(looks.events())
    assert count == 4


@pytest.mark.parametrize("value", [None, "ü\u0000\ud83d", [1, {"a": 2}], 1e308, float("nan"), 0.1, True, 10**30])
def test_any_value_can_be_kept(page: Page, watch: Callable[..., Looks], value: object) -> None:
    looks = watch(json_path="release")
    page.reply = Reply(200, json.dumps({"release": value}).encode())
    (event,) = looks.events()
    kept = json.dumps([dict(event.facts), looks.cursor], allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in kept.encode().decode()
    assert looks.events() == ()


def test_another_etag_is_an_event_and_a_weak_one_is_the_same(page: Page, watch: Callable[..., Looks]) -> None:
    looks = watch(header="etag")
    page.reply = Reply(200, b"", {"ETag": 'W/"a"'})
    assert looks.events() == ()
    page.reply = Reply(200, b"", {"ETag": '"b"'})
    assert [(facts["old"], facts["new"]) for facts in looks.facts()] == [('"a"', '"b"')]


@pytest.mark.parametrize(
    ("keys", "reply", "error", "said"),
    [
        ({"header": "ETag"}, Reply(503, b""), SourceUnavailableError, "answers 503 Service Unavailable; try again"),
        ({"header": "ETag"}, Reply(404, b""), SourceMissingError, "answers 404 Not Found; check url"),
        ({"header": "ETag"}, Reply(302, b"", {"Location": "/b"}), SourceMissingError, "302 Found to /b; name the ad"),
        (
            {"header": "ETag"},
            Reply(200, b"", {"ETak": "1"}),
            SourceMissingError,
            "no header 'ETag'; did you",
        ),
        ({"json_path": "release"}, Reply(200, b"<html>"), SourceUnreadableError, "should answer JSON"),
        (
            {"json_path": "release"},
            Reply(200, b"[" * 99_999),
            SourceUnreadableError,
            "should answer JSON",
        ),
        # half a character, which only Python's own parser reads, and it reads deeper than anything else can follow
        (
            {"json_path": "release"},
            Reply(200, b'{"release": ["\\ud83d", ' + b"[" * 600 + b"]" * 600 + b"]}"),
            SourceUnreadableError,
            "should answer JSON",
        ),
        ({"json_path": "release"}, Reply(200, b"1" * 5000), SourceUnreadableError, "should answer JSON"),
        ({"json_path": "release"}, Reply(200, "<a>é</a>".encode("latin-1")), SourceUnreadableError, "should answer"),
        ({"json_path": "release"}, Reply(200, b"\xff\xfe\x00\xd8"), SourceUnreadableError, "should answer JSON"),
        ({"json_path": "release"}, Reply(200, b""), SourceUnreadableError, "should answer JSON"),
        (
            {"json_path": "release"},
            Reply(200, BOMB, {"Content-Encoding": "gzip"}),
            SourceUnreadableError,
            "more than 1,048",
        ),
        (
            {"json_path": "release"},
            Reply(200, ZSTANDARD_BOMB, {"Content-Encoding": "zstd"}),
            SourceUnavailableError,
            "packed as 'zstd', which was not asked for",
        ),
        (
            {"json_path": "release"},
            Reply(200, b"{}", {"Content-Encoding": "gzip"}),
            SourceUnavailableError,
            "is not packed as it says",
        ),
        (
            {"json_path": "release"},
            Reply(200, gzip.compress(b'{"release": 1}')[:-9], {"Content-Encoding": "gzip"}),
            SourceUnavailableError,
            "breaks off",
        ),
        ({"header": "ETag"}, Reply(200, b"", {"ETag": "x" * 10_001}), SourceUnreadableError, "more than 10,000"),
        ({"json_path": "release"}, Reply(200, {"releases": 1}), SourceMissingError, "no 'release'.*mean 'releases'"),
        (
            {"json_path": "release"},
            Reply(200, b" " * MAX_BODY_BYTES + b"1"),
            SourceUnreadableError,
            "more than 1,048",
        ),
        ({"json_path": "release"}, Reply(200, {"release": "x" * 10_001}), SourceUnreadableError, "more than 10,000"),
    ],
)
def test_an_answer_without_the_value_is_an_error(
    page: Page, watch: Callable[..., Looks], keys: dict[str, str], reply: Reply, error: type[Exception], said: str
) -> None:
    looks = watch(**keys)
    before, page.reply = page.reply, reply
    with pytest.raises(error, match=f"^{page.uri}/status.*{said}"):
        looks.events()
    page.reply = before
    assert looks.events() == ()


def test_a_server_that_is_gone_is_an_error(page: Page, watch: Callable[..., Looks]) -> None:
    with Page() as other:
        looks = watch(url=other.uri)
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        looks.events()


def test_a_server_that_is_too_slow_is_an_error(page: Page, watch: Callable[..., Looks]) -> None:
    looks = watch(request_timeout_s=0.3)
    page.answer = lambda _: time.sleep(1) or page.reply
    with pytest.raises(SourceUnavailableError, match=r"no whole answer within 0\.3 s"):
        looks.events()


def test_a_packed_body_is_unpacked_as_far_as_is_read(page: Page, watch: Callable[..., Looks]) -> None:
    page.reply = Reply(200, gzip.compress(b'{"release": 1}'), {"Content-Encoding": "gzip"})
    looks = watch(json_path="release")
    page.reply = Reply(200, gzip.compress(b'{"release": 2}'), {"Content-Encoding": "GZip"})
    assert [facts["new"] for facts in looks.facts()] == [2]
    page.reply = Reply(200, BOMB, {"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(SourceUnreadableError):
            looks.events()
        assert tracemalloc.get_traced_memory()[1] < 16 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keys", [{"json_path": "release"}, {"header": "ETag"}, {}])
def test_a_body_that_never_ends_is_an_error_or_not_read(
    page: Page, watch: Callable[..., Looks], keys: dict[str, str]
) -> None:
    looks = watch(**keys, request_timeout_s=0.5)
    page.reply = Reply(200, b"[" * 1000, {"ETag": '"a"'}, drips_s=0.1)
    if "json_path" not in keys:
        assert looks.events() == ()
        return
    with pytest.raises(SourceUnavailableError, match=r"gave no whole answer within 0\.5 s"):
        looks.events()


@pytest.mark.parametrize(
    "url", ["https://data..example.org/", f"https://{'a' * 64}.org/", "https://example.org:70000/"]
)
def test_an_address_that_no_server_can_have_is_an_error_with_its_name(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        Looks(trigger_of(sensor_type="http", url=url)).events()


def test_a_connection_is_carried_and_shown_nowhere(page: Page, watch: Callable[..., Looks]) -> None:
    looks = watch(connection="open_data")
    assert page.requests[-1].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in json.dumps(looks.cursor)


def test_a_connection_does_not_travel_unencrypted() -> None:
    looks = Looks(
        trigger_of(sensor_type="http", url="http://example.org/", connection="open_data"),
        lambda conn_id: Connection(conn_id=conn_id, conn_type="http", password="s3cret"),
    )
    with pytest.raises(ConfigError, match="would travel unencrypted; use https://"):
        looks.events()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": "example.org"}, "url"),
        ({"url": "https://example.org/a b"}, "url"),
        ({"url": "https://me:s3cret@example.org/"}, "url"),
        ({"url": "https://example.org/", "json_path": "a..b"}, "no place in JSON"),
        ({"url": "https://example.org/", "header": "X-A: 1\r\nX-B"}, "header"),
        ({"url": "https://example.org/", "header": "ETag", "json_path": "a"}, "exclude each other"),
    ],
)
def test_a_wrong_definition_is_refused(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        trigger_of(sensor_type="http", **keys)
