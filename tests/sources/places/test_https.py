"""Files over real HTTP against a server that fails on demand: the whole file is loaded, or nothing is."""

from __future__ import annotations

import gzip
import io
import ssl
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import geopandas
import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from shapely import Point

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SettingsError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection
from sluiceway.sources.locate import check_exists
from sluiceway.sources.places import https
from sluiceway.tables.spec import TableSpec
from tests.stand_ins.file_server import LONG_AGO, Fault, FileServer, Served
from tests.warehouses import ASKER

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]

TOML = """
description = "Cities"
key = "id"
columns = {{ id = "integer", name = "text" }}
[source]
kind = "csv"
uri = "{uri}"
"""
OLD = b"id,name\n1,old\n2,old\n3,old\n"
ROWS = 3000
NEW = b"id,name\n" + b"".join(b"%d,new\n" % number for number in range(1, ROWS + 1))
HALF = len(NEW) // 2


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "FIRST_WAIT_S", 0.001)


@dataclass
class Web:
    """A server of one table's file, and its loads."""

    server: FileServer
    write_spec: WriteSpec
    url: str
    open_run: Callable[[str], RunKey]
    query: Query
    connection: Connection | None = None
    _runs: list[str] = field(default_factory=list)

    def spec(self, path: str = "/city.csv", more: str = "") -> TableSpec:
        uri = path if "://" in path else self.server.uri + path
        return self.write_spec("city", TOML.format(uri=uri) + more)

    def connections(self, conn_id: str) -> Connection:
        assert self.connection is not None
        return self.connection

    def load(self, path: str = "/city.csv", more: str = "", *, force: bool = False) -> TableRun:
        self._runs.append(f"r{len(self._runs) + 1}")
        return load_table(
            self.spec(path, more),
            self.url,
            run=self.open_run(self._runs[-1]),
            force=force,
            connections=self.connections,
        )

    def serve(self, served: Served | bytes, path: str = "/city.csv") -> Served:
        made = served if isinstance(served, Served) else Served(served)
        self.server.files[path] = made
        return made

    def rows(self) -> list[tuple[object, ...]]:
        return self.query("SELECT name, count(*) FROM city GROUP BY name")

    def is_untouched(self) -> bool:
        return self.query("SELECT to_regclass('city')") == [(None,)]

    def headers(self, request: int) -> dict[str, str]:
        return self.server.asked[request].headers


@pytest.fixture
def web(write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query) -> Iterator[Web]:
    with FileServer() as server:
        yield Web(server, write_spec, warehouse_url, open_run, query)


WHOLE = [("new", ROWS)]


# Broken connections


def test_a_file_loads(web: Web) -> None:
    web.serve(NEW)
    result = web.load()
    assert (result.extracted, result.inserted, result.bytes) == (ROWS, ROWS, len(NEW))
    assert [request.method for request in web.server.asked] == ["GET"]


def test_a_broken_connection_goes_on_where_it_broke(web: Web) -> None:
    served = web.serve(NEW)
    web.server.faults = [Fault(drops_after=HALF), Fault(drops_after=100)]
    assert web.load().extracted == ROWS
    assert web.headers(1)["range"] == f"bytes={HALF}-"
    assert web.headers(2)["range"] == f"bytes={HALF + 100}-"
    assert web.headers(2)["if-range"] == served.tag()
    assert [request.status for request in web.server.asked] == [200, 206, 206]
    assert sum(request.sent for request in web.server.asked) == len(NEW)


def test_a_broken_connection_goes_on_by_last_modified_where_there_is_no_etag(web: Web) -> None:
    web.serve(Served(NEW, etag=None))
    web.server.faults = [Fault(drops_after=HALF)]
    assert web.load().extracted == ROWS
    assert web.headers(1)["if-range"] == LONG_AGO
    assert web.server.asked[1].status == 206


@pytest.mark.parametrize("etag", [None, "weak"])
def test_where_nothing_tells_whether_the_file_is_the_same_it_is_fetched_anew(web: Web, etag: str | None) -> None:
    web.serve(Served(NEW, etag=etag, modified=None))
    web.server.faults = [Fault(drops_after=HALF)]
    assert web.load().extracted == ROWS
    assert "range" not in web.headers(1)


def test_a_last_modified_of_this_very_second_tells_nothing(web: Web) -> None:
    now = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    web.serve(Served(NEW, etag=None, modified=now))
    web.server.faults = [Fault(drops_after=HALF)]
    assert web.load().extracted == ROWS
    assert "range" not in web.headers(1)


def test_a_server_that_gives_less_than_the_rest_is_asked_on(web: Web) -> None:
    web.serve(Served(NEW, longest_part=5000))
    web.server.faults = [Fault(drops_after=HALF)]
    web.load()
    assert web.rows() == WHOLE
    assert [request.status for request in web.server.asked] == [200, 206, 206, 206]


def test_a_server_without_ranges_sends_the_whole_again(web: Web) -> None:
    web.serve(Served(NEW, ranges=False))
    web.server.faults = [Fault(drops_after=HALF)]
    web.load()
    assert [request.status for request in web.server.asked] == [200, 200]
    assert web.rows() == WHOLE


@pytest.mark.parametrize("if_range", [True, False], ids=["the server heeds If-Range", "the server ignores If-Range"])
def test_a_file_that_changes_between_two_requests_is_fetched_anew(web: Web, if_range: bool) -> None:
    served = web.serve(Served(NEW.replace(b"new", b"old"), if_range=if_range))

    def change() -> None:
        served.content = NEW

    web.server.faults = [Fault(drops_after=HALF, then=change)]
    web.load()
    assert web.rows() == WHOLE


def test_a_file_that_shrank_between_two_requests_is_fetched_anew(web: Web) -> None:
    served = web.serve(Served(NEW * 2, if_range=False, etag=None))

    def change() -> None:
        served.content = NEW

    web.server.faults = [Fault(drops_after=len(NEW) + 10, then=change)]
    web.load()
    assert web.rows() == WHOLE
    assert [request.status for request in web.server.asked] == [200, 416, 200]


def test_chunks_that_break_off_are_no_whole_file(web: Web) -> None:
    web.serve(Served(NEW, chunked=True))
    web.server.faults = [Fault(drops_after=HALF)]
    web.load()
    assert web.rows() == WHOLE
    assert web.server.asked[1].status == 206


def test_a_server_that_packs_the_whole_and_not_the_parts_is_asked_anew(web: Web) -> None:
    web.serve(Served(NEW, packs=True, chunked=True))
    web.server.faults = [Fault(drops_after=1000)]
    web.load()
    assert web.rows() == WHOLE
    assert [request.status for request in web.server.asked] == [200, 206, 200]


def test_a_server_that_falls_silent_in_the_middle_is_asked_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "TIMEOUT", httpx.Timeout(0.2))
    web.serve(NEW)
    web.server.faults = [Fault(hangs_after=HALF)]
    assert web.load().extracted == ROWS
    assert web.headers(1)["range"] == f"bytes={HALF}-"


def test_progress_gives_a_file_new_tries(web: Web) -> None:
    web.serve(NEW)
    web.server.faults = [Fault(drops_after=1000) for _ in range(https.TRIES * 2)]
    assert web.load().extracted == ROWS
    assert len(web.server.asked) == https.TRIES * 2 + 1


# Whatever fails, nothing of it is loaded

BROKEN = gzip.compress(NEW)[:-100]
FAILURES = {
    "silent": (Served(NEW), Fault(silent=True), SourceUnavailableError, "the connection broke"),
    "nothing after the headers": (Served(NEW), Fault(drops_after=0), SourceUnavailableError, "the connection broke"),
    "breaks off, no ranges": (
        Served(NEW, ranges=False),
        Fault(drops_after=HALF),
        SourceUnavailableError,
        rf"the connection broke .* after {HALF:,} bytes, after 6 tries",
    ),
    "500": (Served(NEW), Fault(500), SourceUnavailableError, "answers 500 Internal Server Error, after 6 tries"),
    "429": (Served(NEW), Fault(429), SourceUnavailableError, "answers 429 Too Many Requests, after 6 tries"),
    "503 with a long wait": (
        Served(NEW),
        Fault(503, {"Retry-After": "86400"}),
        SourceUnavailableError,
        "answers 503 Service Unavailable and asks to wait 86,400 s, after 1 try",
    ),
    "404": (Served(NEW), Fault(404), SourceMissingError, "answers 404 Not Found; check source.uri"),
    "403": (Served(NEW), Fault(403), SourceMissingError, "403 Forbidden; name a connection that may read it as source"),
    "204": (Served(NEW), Fault(204), SourceMissingError, "answers 204 No Content"),
    "501": (Served(NEW), Fault(501), SourceMissingError, "answers 501 Not Implemented"),
    "a length that is too long": (
        Served(NEW, announces=lambda size: size + 1000),
        None,
        SourceUnavailableError,
        rf"announced {len(NEW) + 1000:,} bytes and now has {len(NEW):,}, after 6 tries",
    ),
    "a length that is too short": (
        Served(NEW, announces=lambda size: size - 1000),
        None,
        SourceUnavailableError,
        rf"sends more than the {len(NEW) - 1000:,} bytes it announces",
    ),
    "a length that is one byte too short": (
        Served(NEW, announces=lambda size: size - 1),
        None,
        SourceUnavailableError,
        rf"sends more than the {len(NEW) - 1:,} bytes it announces",
    ),
    "a length that is too short, on a connection that stays open": (
        Served(NEW, announces=lambda size: size - 1000, keeps_open=True, ranges=False),
        None,
        SourceUnavailableError,
        "bytes it announces",
    ),
    "a length that is none": (
        Served(NEW, announces=lambda size: -1),
        None,
        SourceUnavailableError,
        "the connection broke",
    ),
    "no length, and always broken off elsewhere": (
        Served(NEW, announces=lambda size: None, ranges=False),
        [Fault(drops_after=HALF + 10 * number) for number in range(https.TRIES)],
        SourceUnavailableError,
        "does not say how long the file is, and has not sent the same twice",
    ),
    "packed, and cut before it was packed off": (
        Served(BROKEN, headers={"Content-Encoding": "gzip"}),
        None,
        SourceUnreadableError,
        r"/city\.csv: it comes packed by gzip, and packed\.gz is broken or cut off",
    ),
    "packed in a way nobody asked for": (
        Served(NEW, headers={"Content-Encoding": "br"}),
        None,
        SourceUnreadableError,
        "comes in the content encoding 'br', and was asked for as it is",
    ),
}


def failing(web: Web, failure: str) -> pytest.ExceptionInfo[SluicewayError]:
    served, fault, error, message = FAILURES[failure]
    web.serve(served)
    web.server.faults = [*fault] if isinstance(fault, list) else [fault] * (https.TRIES * 3)  # type: ignore[list-item]
    with pytest.raises(error, match=message) as raised:
        web.load()
    assert str(raised.value).startswith(f"{web.server.uri}/city.csv")
    return raised


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_makes_no_table(web: Web, failure: str) -> None:
    failing(web, failure)
    assert web.is_untouched()


@pytest.mark.parametrize("failure", FAILURES)
def test_what_fails_keeps_the_old_rows(web: Web, failure: str) -> None:
    web.serve(OLD)
    web.load()
    failing(web, failure)
    assert web.rows() == [("old", 3)]
    assert web.query("SELECT status FROM etl.table_run ORDER BY run_id") == [("loaded",), ("failed",)]


def test_304_to_a_first_load_is_no_file(web: Web) -> None:
    web.serve(NEW)
    web.server.faults = [Fault(304)]
    with pytest.raises(SourceMissingError, match="answers 304 Not Modified"):
        web.load()
    assert web.is_untouched()


def test_a_gz_that_was_cut_before_it_was_served_is_unreadable(web: Web) -> None:
    web.serve(BROKEN, "/city.csv.gz")
    with pytest.raises(SourceUnreadableError, match=r"city\.csv\.gz is broken or cut off"):
        web.load("/city.csv.gz")
    assert web.is_untouched()


def test_no_server_at_all_is_unavailable(web: Web) -> None:
    with FileServer() as gone:
        address = f"{gone.uri}/city.csv"
    with pytest.raises(SourceUnavailableError, match=r"the connection broke \(.*refused\), after 6 tries"):
        web.load(address)
    assert web.is_untouched()


# Servers that are busy


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_server_that_is_busy_for_a_while_is_asked_again(web: Web, status: int) -> None:
    web.serve(NEW)
    web.server.faults = [Fault(status), Fault(status)]
    assert web.load().extracted == ROWS
    assert len(web.server.asked) == 3


def test_a_server_that_is_busy_in_the_middle_costs_no_byte(web: Web) -> None:
    web.serve(NEW)
    web.server.faults = [Fault(drops_after=HALF), Fault(503), Fault(silent=True)]
    assert web.load().extracted == ROWS
    assert sum(request.sent for request in web.server.asked) == len(NEW)


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_as_long_as_the_server_asks_is_waited(web: Web, kind: str) -> None:
    web.serve(NEW)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    web.server.faults = [Fault(429, {"Retry-After": "1" if kind == "seconds" else format_datetime(until, usegmt=True)})]
    assert web.load().extracted == ROWS
    first, second = web.server.asked
    if kind == "seconds":
        assert second.at - first.at >= timedelta(seconds=1)
    else:
        assert second.at >= until


@pytest.mark.parametrize("value", ["Wed, 01 May 2024 12:00:00 GMT", "soon", "-5", "0"])
def test_a_wait_that_is_over_or_none_at_all_is_not_waited_for(web: Web, value: str) -> None:
    web.serve(NEW)
    web.server.faults = [Fault(429, {"Retry-After": value})]
    assert web.load().extracted == ROWS


# Lengths


def test_a_file_without_a_length_loads_when_it_comes_twice_the_same(web: Web) -> None:
    web.serve(Served(NEW, announces=lambda size: None, ranges=False))
    web.server.faults = [Fault(drops_after=HALF)]
    assert web.load().extracted == ROWS
    assert len(web.server.asked) == 3


def test_a_file_without_a_length_and_with_a_checksum_comes_once(web: Web) -> None:
    web.serve(Served(NEW, announces=lambda size: None))
    assert web.load(more=f'sha256 = "{sha256(NEW).hexdigest()}"\n').extracted == ROWS
    assert len(web.server.asked) == 1


def test_chunks_come_once(web: Web) -> None:
    web.serve(Served(NEW, chunked=True))
    assert web.load().extracted == ROWS
    assert len(web.server.asked) == 1


def test_an_empty_file_is_an_empty_extraction(web: Web) -> None:
    web.serve(b"")
    with pytest.raises(EmptyExtractionError):
        web.load()


def test_a_file_that_is_announced_larger_than_allowed_is_not_fetched(web: Web) -> None:
    web.serve(Served(NEW))
    with pytest.raises(
        SourceUnreadableError, match=rf"has {len(NEW):,} bytes or more and source\.max_bytes allows 999"
    ):
        web.load(more="max_bytes = 999\n")
    assert web.is_untouched()
    assert len(web.server.asked) == 1


def test_a_file_that_grows_larger_than_allowed_is_given_up(web: Web) -> None:
    web.serve(Served(NEW, chunked=True))
    with pytest.raises(SourceUnreadableError, match=r"bytes or more and source\.max_bytes allows 999"):
        web.load(more="max_bytes = 999\n")
    assert web.is_untouched()
    assert len(web.server.asked) == 1


def test_a_file_of_just_the_allowed_size_loads(web: Web) -> None:
    web.serve(NEW)
    assert web.load(more=f"max_bytes = {len(NEW)}\n").extracted == ROWS


def test_another_checksum_than_declared_is_refused(web: Web) -> None:
    web.serve(NEW)
    with pytest.raises(SourceUnreadableError, match=rf"the file's sha256 is {sha256(NEW).hexdigest()} and source"):
        web.load(more=f'sha256 = "{"0" * 64}"\n')
    assert web.is_untouched()


# Gzip


@pytest.mark.parametrize("chunked", [True, False])
def test_what_is_packed_on_the_way_is_unpacked(web: Web, chunked: bool) -> None:
    web.serve(Served(NEW, packs=True, chunked=chunked))
    result = web.load(more=f'sha256 = "{sha256(NEW).hexdigest()}"\n')
    assert (result.extracted, result.bytes) == (ROWS, len(NEW))
    assert web.headers(0)["accept-encoding"] == "identity"


def test_what_is_packed_on_the_way_unpacks_to_no_more_than_allowed(web: Web) -> None:
    web.serve(Served(b"id,name\n" + b"1,a\n" * 1_000_000, packs=True))
    with pytest.raises(SourceUnreadableError, match=r"unpacks to more than source\.max_bytes = 1,000,000 bytes"):
        web.load(more="max_bytes = 1_000_000\n")
    assert web.is_untouched()


def test_a_gz_that_the_server_only_labels_keeps_its_content(web: Web) -> None:
    packed = gzip.compress(NEW)
    web.serve(Served(packed, headers={"Content-Encoding": "x-gzip"}), "/city.csv.gz")
    result = web.load("/city.csv.gz", f'sha256 = "{sha256(packed).hexdigest()}"\n')
    assert (result.extracted, result.bytes) == (ROWS, len(packed))


def test_a_gz_that_was_packed_once_more_is_unpacked_once(web: Web) -> None:
    packed = gzip.compress(NEW)
    web.serve(Served(packed, packs=True), "/city.csv.gz")
    result = web.load("/city.csv.gz", f'sha256 = "{sha256(packed).hexdigest()}"\n')
    assert (result.extracted, result.bytes) == (ROWS, len(packed))


def test_a_label_on_a_file_that_is_not_packed_is_no_harm(web: Web) -> None:
    web.serve(Served(NEW, headers={"Content-Encoding": "gzip"}))
    assert web.load().extracted == ROWS


# Unchanged files


def test_an_unchanged_file_is_not_fetched_again(web: Web) -> None:
    served = web.serve(NEW)
    web.load()
    again = web.load()
    assert (again.status, again.table_rows) == ("unchanged", ROWS)
    assert web.headers(1)["if-none-match"] == served.tag()
    assert (web.server.asked[1].status, web.server.asked[1].sent) == (304, 0)


def test_an_unchanged_file_without_etag_is_known_by_its_date(web: Web) -> None:
    web.serve(Served(NEW, etag=None))
    web.load()
    assert web.load().status == "unchanged"
    assert web.headers(1)["if-modified-since"] == LONG_AGO
    assert web.server.asked[1].status == 304


def test_a_server_that_knows_no_conditions_sends_an_unchanged_file_in_vain(web: Web) -> None:
    served = web.serve(NEW)
    tag = served.tag()
    web.load()
    served.etag = f"{tag} "  # the same to a client, and to this server another one
    assert web.load().status == "unchanged"
    assert web.server.asked[1].status == 200


@pytest.mark.parametrize("etag", [None, "weak"])
def test_a_file_that_nothing_identifies_is_known_by_its_content(web: Web, etag: str | None) -> None:
    web.serve(Served(NEW, etag=etag, modified=None))
    web.load()
    assert web.load().status == "unchanged"
    assert "if-none-match" not in web.headers(1)
    assert web.server.asked[1].sent == len(NEW)


@pytest.mark.parametrize("etag", ["strong", "weak", None])
def test_a_changed_file_is_loaded(web: Web, etag: str | None) -> None:
    served = web.serve(Served(NEW.replace(b"1,new", b"1,old"), etag=etag))
    web.load()
    served.content, served.modified = NEW, "Thu, 02 May 2024 12:00:00 GMT"
    assert web.load().status == "loaded"
    assert web.rows() == WHOLE


def test_an_older_file_that_was_put_in_place_is_loaded(web: Web) -> None:
    web.serve(Served(NEW.replace(b"1,new", b"1,old"), etag=None))
    web.load()
    before = "Mon, 01 Apr 2024 12:00:00 GMT"
    web.serve(Served(NEW, etag=None, modified=before))
    # a server that compares dates says of an older file that it was not modified since
    web.server.faults = [Fault(304, {"Last-Modified": before})]
    assert web.load().status == "loaded"
    assert web.rows() == WHOLE


def test_force_fetches_an_unchanged_file(web: Web) -> None:
    web.serve(NEW)
    web.load()
    again = web.load(force=True)
    assert (again.status, again.unchanged) == ("loaded", ROWS)
    assert "if-none-match" not in web.headers(1)
    assert web.server.asked[1].sent == len(NEW)


def test_304_to_a_request_without_condition_is_no_unchanged_file(web: Web) -> None:
    web.serve(Served(NEW, etag=None, modified=None))
    web.load()
    web.server.faults = [Fault(304)]
    with pytest.raises(SourceMissingError, match="answers 304 Not Modified"):
        web.load()


# Connections


SECRETS = ("s3cret-password", "s3cret-key", "bG9hZGVyOnMzY3JldC1wYXNzd29yZA==")
WITH_SECRET = Connection(
    conn_id="open_data",
    conn_type="http",
    login="loader",
    password="s3cret-password",
    extra={"headers": {"X-Api-Key": "s3cret-key"}},
)
HEADERS = {"Authorization": "Basic bG9hZGVyOnMzY3JldC1wYXNzd29yZA==", "X-Api-Key": "s3cret-key"}
NAMED = 'connection = "open_data"\n'


def test_what_the_connection_holds_is_sent(web: Web) -> None:
    web.serve(NEW)
    web.server.secret, web.connection = HEADERS, WITH_SECRET
    web.server.faults = [Fault(drops_after=HALF)]
    assert web.load(more=NAMED).extracted == ROWS


def test_a_password_alone_is_a_token(web: Web) -> None:
    web.serve(NEW)
    web.server.secret = {"Authorization": "Bearer s3cret-key"}
    web.connection = Connection(conn_id="open_data", conn_type="http", password="s3cret-key")
    assert web.load(more=NAMED).extracted == ROWS


@pytest.mark.parametrize("fault", [Fault(403), Fault(500), Fault(drops_after=HALF), None])
def test_no_error_and_no_log_shows_what_the_connection_holds(
    web: Web, fault: Fault | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    web.serve(Served(NEW, ranges=False))
    web.server.secret, web.connection = HEADERS, WITH_SECRET
    web.server.faults = [fault] * 8
    shown = ""
    if fault is None:
        web.load("/city.csv?key=s3cret-key", NAMED)
    else:
        with pytest.raises((SourceMissingError, SourceUnavailableError)) as raised:
            web.load("/city.csv?key=s3cret-key", NAMED)
        shown = "".join(map(str, (raised.value, raised.value.__cause__, web.query("SELECT error FROM etl.table_run"))))
    for secret in SECRETS:
        assert secret not in shown
        assert secret not in caplog.text
    assert web.server.asked[0].target == "/city.csv?key=s3cret-key"


def test_a_forbidden_file_names_its_connection(web: Web) -> None:
    web.serve(NEW)
    web.server.secret, web.connection = {"X-Api-Key": "another"}, WITH_SECRET
    with pytest.raises(SourceMissingError, match="answers 403 Forbidden; check the connection 'open_data'"):
        web.load(more=NAMED)


def test_another_server_does_not_see_what_the_connection_holds(web: Web) -> None:
    web.connection = WITH_SECRET
    with FileServer({"/there.csv": Served(NEW)}) as other:
        web.server.files["/city.csv"] = f"{other.uri}/there.csv"
        assert web.load(more=NAMED).extracted == ROWS
        seen = {name.lower() for name in other.asked[0].headers}
    assert {"x-api-key", "authorization"} & seen == set()
    assert web.headers(0)["x-api-key"] == "s3cret-key"


def test_another_path_of_the_same_server_sees_what_the_connection_holds(web: Web) -> None:
    web.serve(NEW, "/there.csv")
    web.server.files["/city.csv"] = "/there.csv"
    web.server.secret, web.connection = HEADERS, WITH_SECRET
    assert web.load(more=NAMED).extracted == ROWS


def test_a_secret_does_not_travel_unencrypted(web: Web) -> None:
    web.connection = WITH_SECRET
    with pytest.raises(ConfigError, match=r"'open_data' holds would travel unencrypted; use https://"):
        web.load("http://example.invalid/city.csv", NAMED)


def test_a_header_with_a_line_break_is_refused_and_not_shown(web: Web) -> None:
    web.connection = Connection(conn_id="open_data", conn_type="http", extra={"headers": {"X-Api-Key": "s3cret\nkey"}})
    with pytest.raises(SettingsError, match="the header 'X-Api-Key' would hold a line break") as raised:
        web.load(more=NAMED)
    assert "s3cret" not in str(raised.value)


# Redirects, and encryption


def test_a_circle_of_redirects_ends(web: Web) -> None:
    web.server.files |= {"/city.csv": "/there.csv", "/there.csv": "/city.csv"}
    with pytest.raises(SourceUnreadableError, match="is redirected more than 5 times"):
        web.load()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[FileServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FileServer({"/city.csv": Served(NEW)}, tls=context) as server:
        yield server


def test_an_encrypted_file_loads_and_goes_on_after_a_break(
    web: Web, encrypted: FileServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    encrypted.faults = [Fault(drops_after=HALF)]
    assert web.load(f"{encrypted.uri}/city.csv").extracted == ROWS
    assert encrypted.asked[1].status == 206


def test_a_length_that_is_too_short_is_seen_through_encryption(
    web: Web, encrypted: FileServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    encrypted.files["/city.csv"] = Served(NEW, announces=lambda size: size - 1)
    with pytest.raises(SourceUnavailableError, match="sends more than"):
        web.load(f"{encrypted.uri}/city.csv")
    assert web.is_untouched()


def test_a_certificate_that_is_not_trusted_is_named_at_once(web: Web, encrypted: FileServer) -> None:
    with pytest.raises(SourceUnreadableError, match=r"certificate is not trusted .*in SSL_CERT_FILE"):
        web.load(f"{encrypted.uri}/city.csv")
    assert encrypted.asked == []


def test_an_encrypted_address_does_not_lead_to_an_open_one(
    web: Web, encrypted: FileServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    web.serve(NEW)
    encrypted.files["/city.csv"] = f"{web.server.uri}/city.csv?key=s3cret"
    with pytest.raises(SourceUnreadableError, match=r"leads to http://.*/city\.csv, which is not encrypted"):
        web.load(f"{encrypted.uri}/city.csv")
    assert web.server.asked == []


# Names and archives


def zipped(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "given",
    ['attachment; filename="city.csv.gz"', "attachment; filename*=UTF-8''..%2F..%2Fcity.csv.gz", None],
    ids=["plain", "encoded, and with a path", "none: by its first bytes"],
)
def test_a_file_is_named_by_what_the_server_calls_it(web: Web, given: str | None) -> None:
    headers = {"Content-Disposition": given} if given else {}
    web.serve(Served(gzip.compress(NEW), headers=headers), "/export.php")
    assert web.load("/export.php?format=csv").extracted == ROWS


def test_a_file_is_named_by_where_a_redirect_leads(web: Web) -> None:
    web.serve(gzip.compress(NEW), "/city.csv.gz")
    web.server.files["/latest"] = "/city.csv.gz"
    assert web.load("/latest").extracted == ROWS


def test_a_csv_in_a_zip_loads(web: Web) -> None:
    web.serve(zipped(city__csv=NEW, readme__txt=b"hello"), "/city.zip")
    assert web.load("/city.zip", 'member = "city.csv"\n').extracted == ROWS


def test_a_zip_that_was_cut_before_it_was_served_is_unreadable(web: Web) -> None:
    web.serve(zipped(city__csv=NEW)[:-200], "/city.zip")
    with pytest.raises(SourceUnreadableError, match=r"city\.zip is no zip archive, or a broken one"):
        web.load("/city.zip")
    assert web.is_untouched()


def test_a_shapefile_in_a_zip_loads(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "shape"
    folder.mkdir()
    cities = geopandas.GeoDataFrame(
        {"id": [1, 2], "name": ["Ponce", "Caguas"]}, geometry=[Point(1, 2), Point(3, 4)], crs=4326
    )
    cities.to_file(folder / "city.shp")
    web.serve(zipped(**{path.name: path.read_bytes() for path in folder.iterdir()}), "/download")
    toml = TOML.format(uri=f"{web.server.uri}/download").replace('"csv"', '"vector"')
    spec = web.write_spec("city", toml + '[geometry]\ntype = "Point"\n')
    load_table(spec, web.url, run=web.open_run("r1"))
    assert web.query("SELECT id, name, ST_AsText(geom) FROM city ORDER BY id") == [
        (1, "Ponce", "POINT(1 2)"),
        (2, "Caguas", "POINT(3 4)"),
    ]


# Before a load


@pytest.mark.parametrize("heads", [True, False], ids=["HEAD", "GET only"])
def test_a_file_that_is_there_is_found_without_fetching_it(web: Web, heads: bool) -> None:
    web.serve(NEW)
    web.server.heads = heads
    check_exists(web.spec().source, web.connections)
    assert sum(request.sent for request in web.server.asked) <= 1


@pytest.mark.parametrize("heads", [True, False], ids=["HEAD", "GET only"])
def test_a_file_that_is_not_there_is_missing(web: Web, heads: bool) -> None:
    web.server.heads = heads
    with pytest.raises(SourceMissingError, match=r"answers 404 Not Found; check source\.uri"):
        check_exists(web.spec().source, web.connections)


def test_no_transaction_is_open_for_a_load_that_is_fetched(web: Web) -> None:
    """A slow server must not hold one: vacuum would wait for it. The load's lock is that of a session."""
    web.serve(NEW)
    open_: list[object] = []

    def look() -> None:
        with psycopg.connect(web.url) as session:
            found = session.execute(
                "SELECT state, xact_start, backend_xmin FROM pg_stat_activity "
                "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() "
                "AND application_name <> %s",
                [ASKER],
            ).fetchall()
        open_.extend(found)

    web.server.faults = [Fault(drops_after=HALF, then=look)]
    web.load()
    assert open_ == [("idle", None, None)]
