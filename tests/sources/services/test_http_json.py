"""APIs that answer with JSON: paging, patience, splitting, the key that is never shown. Over real HTTP."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SchemaDriftError,
    SettingsError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection
from sluiceway.sources.services import api_client
from sluiceway.sources.services import http_json as module
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened
from tests.stand_ins.quick_stats import KEY, PATH, QuickStats, record, yields
from tests.stand_ins.web_service import Reply, Request, WebService

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Serve = Callable[..., WebService]
RECORDED = Path(__file__).parents[4] / "shared" / "data" / "quickstats"
SPEC = """
description = "Things"
key = "id"
columns = {{ id = "integer", name = "text" }}
[source]
kind = "http_json"
uri = "{uri}/things"
requests_per_second = 1000
{source}
"""
QUICK_STATS = """
description = "Corn"
key = ["year", "county_name"]
columns = {{ year = "integer", county_name = "text", corn_yield = {{ source = "Value", type = "numeric" }} }}
[source]
kind = "http_json"
uri = "{uri}"
params = {{ commodity_desc = "CORN", format = "JSON" }}
records = "data"
connection = "quick_stats"
key_param = "key"
null = ["(D)"]
thousands = ","
requests_per_second = 1000
{source}
"""


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "RETRY_SECONDS", 1.0)
    monkeypatch.setattr(api_client, "FIRST_WAIT_SECONDS", 0.01)


def connections(conn_id: str) -> Connection:
    return Connection(conn_id=conn_id, conn_type="http", password=KEY)


@pytest.fixture
def quick_stats() -> Iterator[QuickStats]:
    with QuickStats(records=yields((2021, 2022), ("ALPINE", "BUTTE", "COLUSA"))) as service:
        yield service


@pytest.fixture
def corn(write_spec: WriteSpec, quick_stats: QuickStats) -> Callable[..., TableSpec]:
    """The spec of Quick Stats, with more keys of [source]."""
    return lambda source="": write_spec("corn", QUICK_STATS.format(uri=quick_stats.uri + PATH, source=source))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a service that answers as the function says."""
    services = []

    def start(answer: Callable[[Request], Reply]) -> WebService:
        services.append(WebService(answer).__enter__())
        return services[-1]

    yield start
    for service in services:
        service.__exit__()


@pytest.fixture
def things(write_spec: WriteSpec, serve: Serve) -> Callable[..., pa.Table]:
    """Reads the things that a service gives to `answer`."""

    def read(answer: Callable[[Request], Reply], source: str = "", rate: str = "1000") -> pa.Table:
        toml = SPEC.replace("1000", rate).format(uri=serve(answer).uri, source=source)
        return table_of(write_spec("thing", toml))

    return read


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"), connections=connections)


def table_of(spec: TableSpec) -> pa.Table:
    with opened(spec, connections) as extraction:
        batches = list(extraction.batches)
    return pa.Table.from_batches(batches) if batches else pa.table({})


def named(*ids: int) -> list[dict[str, object]]:
    return [{"id": each, "name": f"n{each}"} for each in ids]


def ids(table: pa.Table) -> list[str]:
    return [str(value) for value in table.column("id").to_pylist()]


def test_quick_stats_loads_with_withheld_values_as_null_and_commas_dropped(
    corn: Callable[..., TableSpec], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    result = load(corn())
    assert (result.extracted, result.inserted, result.rejected) == (6, 6, 0)
    assert query("SELECT county_name, corn_yield::int FROM corn WHERE year = 2021 ORDER BY 1") == [
        ("ALPINE", None),
        ("BUTTE", 1001),
        ("COLUSA", 1002),
    ]


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not here")
def test_the_recorded_answer_of_quick_stats_loads(
    write_spec: WriteSpec, serve: Serve, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    body = (RECORDED / "request_json.json").read_bytes()
    service = serve(lambda _: Reply(body=body))
    columns = """{ short_desc = "text", period = { source = "reference_period_desc", type = "text" },
        year = "integer", corn_yield = { source = "Value", type = "numeric" },
        cv = { source = "CV (%)", type = "numeric" } }"""
    toml = QUICK_STATS.format(uri=service.uri, source="").splitlines()
    toml[2:4] = ['key = ["short_desc", "period"]', f"columns = {' '.join(columns.split())}"]
    spec = write_spec("corn", "\n".join(toml).replace('["(D)"]', '["(D)", ""]'))
    result = load(spec)
    assert result.inserted == len(json.loads(body)["data"]) > 3
    assert query("SELECT count(*) FROM corn WHERE corn_yield = 161.2 AND cv = 0.6 AND year = 2012") == [(1,)]


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not here")
def test_the_stand_in_speaks_as_quick_stats_was_recorded(quick_stats: QuickStats) -> None:
    recorded = json.loads((RECORDED / "request_json.json").read_bytes())["data"]
    assert set(recorded[0]) == set(record())
    assert json.loads((RECORDED / "qsresponse_413.json").read_bytes()) == {"error": ["exceeds limit=50000"]}
    assert json.loads((RECORDED / "qsresponse_400.json").read_bytes()) == {"error": ["bad request - invalid query"]}


def test_a_request_that_is_too_large_is_split(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    quick_stats.limit = 4
    table = table_of(corn('split = { year = ["2021", "2022"] }'))
    assert table.column("year").to_pylist() == ["2021"] * 3 + ["2022"] * 3
    assert [request.params.get("year") for request in quick_stats.requests] == [None, "2021", "2022"]


def test_a_part_that_is_still_too_large_is_split_by_the_next_key(
    corn: Callable[..., TableSpec], quick_stats: QuickStats
) -> None:
    quick_stats.limit = 2
    quick_stats.records = [*yields((2021,), ("ALPINE", "BUTTE", "COLUSA")), *yields((2022,), ("BUTTE",))]
    split = 'split = { year = ["2021", "2022"], county_name = ["ALPINE", "BUTTE", "COLUSA"] }'
    table = table_of(corn(split))
    assert table.select(["year", "county_name"]).to_pylist() == [
        {"year": "2021", "county_name": "ALPINE"},
        {"year": "2021", "county_name": "BUTTE"},
        {"year": "2021", "county_name": "COLUSA"},
        {"year": "2022", "county_name": "BUTTE"},
    ]
    # 2022 is small enough and is not split
    assert [request.params.get("county_name") for request in quick_stats.requests if "2022" in str(request.params)] == [
        None
    ]


def test_a_part_without_records_is_no_error(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    # Quick Stats answers 400 "invalid query" to a right query that finds nothing
    quick_stats.limit = 4
    assert table_of(corn('split = { year = ["2019", "2021", "2022"] }')).num_rows == 6


def test_a_split_that_leaves_records_out_is_an_error(
    corn: Callable[..., TableSpec], load: Callable[[TableSpec], TableRun], quick_stats: QuickStats, query: Query
) -> None:
    quick_stats.limit = 4
    with pytest.raises(SourceUnreadableError, match=r"all values of source\.split\.year together give 3 records"):
        load(corn('split = { year = ["2021"] }'))
    assert query("SELECT to_regclass('corn') IS NULL") == [(True,)]


def test_nothing_left_to_split_by_is_one_sentence(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    quick_stats.limit = 2
    with pytest.raises(SourceUnreadableError) as caught:
        table_of(corn('split = { year = ["2021", "2022"] }'))
    assert str(caught.value) == (
        f"corn: {quick_stats.uri}{PATH} refuses the request for year = 2021 as too large (exceeds limit=2); "
        "add a parameter and its values to source.split by which it can be divided"
    )


def test_a_wrong_query_says_what_the_service_said(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    spec = corn()
    quick_stats.records = []
    with pytest.raises(SourceUnreadableError, match=r"answers 400: bad request - invalid query; check source\.params"):
        table_of(spec)


def test_a_wrong_key_names_the_connection(corn: Callable[..., TableSpec]) -> None:
    spec = corn()
    wrong = Connection(conn_id="quick_stats", conn_type="http", password="wrong")
    with (
        pytest.raises(SourceUnreadableError, match="answers 401: unauthorized; see whether the password of connection"),
        opened(spec, lambda _: wrong),
    ):
        pass


def test_a_connection_without_a_password_is_named(corn: Callable[..., TableSpec]) -> None:
    spec = corn()
    empty = Connection(conn_id="quick_stats", conn_type="http")
    with (
        pytest.raises(SettingsError, match="corn: connection 'quick_stats' has no password: the API key belongs there"),
        opened(spec, lambda _: empty),
    ):
        pass


def test_the_key_is_in_no_log_and_no_message(
    corn: Callable[..., TableSpec], quick_stats: QuickStats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # a source behind https lowers it for the process
    spec = corn()
    echo = Reply(400, {"error": [f"key {KEY} and key=0F3A-secret%2Fkey%2B1 are invalid"]})
    quick_stats.faults = [Reply(503), Reply(500), echo]
    with pytest.raises(SourceUnreadableError, match=r"key \*\*\* and key=\*\*\* are invalid") as caught:
        table_of(spec)
    assert [request.params["key"] for request in quick_stats.requests] == [KEY] * 3
    assert any("HTTP Request" in message for message in caplog.messages)  # httpx did log
    shown = caplog.text + str(caught.value) + repr(caught.value.__cause__) + repr(spec)
    assert "0F3A" not in shown


def test_a_key_can_travel_in_a_header(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    spec = corn()
    source = spec.source.model_copy(update={"key_param": None, "key_header": "X-Api-Key"})
    with pytest.raises(SourceUnreadableError, match="answers 401"):
        table_of(spec.model_copy(update={"source": source}))
    assert quick_stats.requests[0].headers["x-api-key"] == KEY
    assert "key" not in quick_stats.requests[0].params


def test_a_key_does_not_travel_unencrypted(corn: Callable[..., TableSpec]) -> None:
    spec = corn()
    source = spec.source.model_copy(update={"uri": "http://api.example.org/x"})
    with pytest.raises(ConfigError, match="the key would travel unencrypted; use https://"):
        table_of(spec.model_copy(update={"source": source}))


@pytest.mark.parametrize(
    "fault",
    [Reply(429), Reply(500), Reply(503), Reply(200, {"data": [record()] * 9}, breaks_off=True)],
    ids=["429", "500", "503", "breaks off"],
)
def test_a_passing_fault_is_waited_out(corn: Callable[..., TableSpec], quick_stats: QuickStats, fault: Reply) -> None:
    spec = corn()
    quick_stats.faults = [fault, fault]
    assert table_of(spec).num_rows == 6
    assert len(quick_stats.requests) == 3


def test_a_fault_that_stays_is_transient_and_loads_nothing(
    corn: Callable[..., TableSpec], load: Callable[[TableSpec], TableRun], quick_stats: QuickStats, query: Query
) -> None:
    spec = corn()
    quick_stats.faults = [Reply(503)] * 1000
    with pytest.raises(SourceUnavailableError, match=r"answers 503, after \d+ tries; try again later"):
        load(spec)
    assert query("SELECT status, error_type FROM etl.table_run") == [("failed", "SourceUnavailableError")]


def test_retry_after_is_obeyed(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    spec = corn()
    quick_stats.faults = [Reply(429, headers={"Retry-After": "1"})]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api_client, "RETRY_SECONDS", 5)
        started = time.monotonic()
        table_of(spec)
    assert time.monotonic() - started > 0.9


def test_a_wait_that_is_too_long_ends_at_once(corn: Callable[..., TableSpec], quick_stats: QuickStats) -> None:
    spec = corn()
    quick_stats.faults = [Reply(429, headers={"Retry-After": "3600"})]
    with pytest.raises(SourceUnavailableError, match="answers 429 and asks to wait 3,600 s, after 1 try"):
        table_of(spec)


def test_a_server_that_is_gone_is_unavailable(write_spec: WriteSpec, serve: Serve) -> None:
    service = serve(lambda _: Reply())
    spec = write_spec("thing", SPEC.format(uri=service.uri, source=""))
    service.__exit__()
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        table_of(spec)
    service.__enter__()  # the fixture ends it


def test_requests_keep_their_pace(things: Callable[..., pa.Table]) -> None:
    moments = []

    def answer(request: Request) -> Reply:
        moments.append(time.monotonic())
        page = int(request.params["page"])
        return Reply(body=named(page) if page < 4 else [])

    source = 'paging = { type = "page", param = "page" }'
    assert ids(things(answer, source, rate="10")) == ["1", "2", "3"]
    assert min(later - earlier for earlier, later in pairwise(moments)) > 0.08


def test_pages_are_read_until_one_is_empty(things: Callable[..., pa.Table]) -> None:
    # the server gives two where five were asked for: a short page is not the last one
    pages = {"1": named(1, 2), "2": named(3, 4), "3": named(5)}
    asked = []

    def answer(request: Request) -> Reply:
        asked.append(request.params)
        return Reply(body={"items": pages.get(request.params["p"], [])})

    source = 'records = "items"\npaging = { type = "page", param = "p", size_param = "n", size = 5 }'
    assert ids(things(answer, source)) == ["1", "2", "3", "4", "5"]
    assert asked[0] == {"p": "1", "n": "5"}


def test_a_first_page_can_be_0(things: Callable[..., pa.Table]) -> None:
    pages = {"0": named(1), "1": named(2)}
    source = 'paging = { type = "page", param = "p", first = 0 }'
    assert ids(things(lambda request: Reply(body=pages.get(request.params["p"], [])), source)) == ["1", "2"]


def test_a_404_after_the_last_page_is_the_end(things: Callable[..., pa.Table]) -> None:
    pages = {"1": named(1), "2": named(2)}

    def answer(request: Request) -> Reply:
        found = pages.get(request.params["p"])
        return Reply(body=found) if found else Reply(404, {"detail": "Invalid page."})

    assert ids(things(answer, 'paging = { type = "page", param = "p" }')) == ["1", "2"]


def test_an_offset_grows_by_what_came(things: Callable[..., pa.Table]) -> None:
    # the server caps a page at 2: an offset that grew by the 5 asked for would leave records out
    everything = named(1, 2, 3, 4, 5)

    def answer(request: Request) -> Reply:
        start = int(request.params["offset"])
        return Reply(body=everything[start : start + min(2, int(request.params["limit"]))])

    source = 'paging = { type = "offset", param = "offset", size_param = "limit", size = 5 }'
    assert ids(things(answer, source)) == ["1", "2", "3", "4", "5"]


def test_a_cursor_is_followed_until_it_is_null(things: Callable[..., pa.Table]) -> None:
    after: dict[str | None, tuple[list[Any], str | None]] = {
        None: (named(1), "a b&c"),
        "a b&c": ([], "d"),  # an empty page in between is not the end
        "d": (named(2), None),
    }

    def answer(request: Request) -> Reply:
        records, cursor = after[request.params.get("after")]
        return Reply(body={"meta": {"next": cursor}, "data": {"items": records}})

    source = 'records = "data.items"\npaging = { type = "cursor", param = "after", next = "meta.next" }'
    assert ids(things(answer, source)) == ["1", "2"]


def test_links_are_followed_and_a_key_in_them_is_not_shown(
    write_spec: WriteSpec, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def answer(request: Request) -> Reply:
        page = int(request.params.get("page", 1))
        link = {"Link": f'<{request.path}?page={page + 1}&key=0F3A-echo>; rel="next"'} if page < 3 else {}
        return Reply(body=named(page), headers=link)

    service = serve(answer)
    source = 'connection = "c"\nkey_param = "key"\nparams = { a = "b" }\npaging = { type = "link" }'
    spec = write_spec("thing", SPEC.format(uri=service.uri, source=source))
    assert ids(table_of(spec)) == ["1", "2", "3"]
    assert [request.params["key"] for request in service.requests] == [KEY] * 3
    assert "0F3A" not in caplog.text


def test_a_link_to_another_server_is_not_followed(things: Callable[..., pa.Table]) -> None:
    link = {"Link": '<http://example.org/x?page=2>; rel="next"'}
    with pytest.raises(SourceUnreadableError, match=r"points to another server, example\.org"):
        things(lambda _: Reply(body=named(1), headers=link), 'paging = { type = "link" }')


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ('paging = { type = "page", param = "p" }', "page 2 of .* is the same as one before it"),
        ('records = "d"\npaging = { type = "cursor", param = "p", next = "n" }', "page 2 of .* is the same"),
    ],
)
def test_the_same_page_again_is_an_error(things: Callable[..., pa.Table], source: str, match: str) -> None:
    body = {"d": named(1), "n": "x"} if "records" in source else named(1)
    with pytest.raises(SourceUnreadableError, match=match):
        things(lambda _: Reply(body=body), source)


def test_a_cursor_that_comes_back_is_an_error(things: Callable[..., pa.Table]) -> None:
    count = iter(range(100))
    source = 'records = "d"\npaging = { type = "cursor", param = "p", next = "n" }'
    with pytest.raises(SourceUnreadableError, match="leads in a circle: page 3 has been read before"):
        things(lambda _: Reply(body={"d": named(next(count)), "n": "x"}), source)


def test_numbers_keep_their_spelling(things: Callable[..., pa.Table]) -> None:
    body = b'[{"id": 12345678901234567890123, "name": 1.10}, {"id": 1e400, "name": -0.0}]'
    table = things(lambda _: Reply(body=body))
    assert table.to_pylist() == [
        {"id": "12345678901234567890123", "name": "1.10"},
        {"id": "1e400", "name": "-0.0"},
    ]


def test_nested_values_are_json_and_null_is_null(things: Callable[..., pa.Table]) -> None:
    body = '[{"id": {"a": [1.50, "é\\"", null, true]}, "name": null}, {"id": false}]'.encode()
    table = things(lambda _: Reply(body=body))
    assert table.to_pylist() == [
        {"id": '{"a": [1.50, "é\\"", null, true]}', "name": None},
        {"id": "false", "name": None},
    ]


def test_a_geometry_may_be_nested(write_spec: WriteSpec, serve: Serve) -> None:
    shape = {"type": "Point", "coordinates": [1, 2]}
    service = serve(lambda _: Reply(body=[{"id": 1, "name": "a", "shape": shape}]))
    toml = SPEC.format(uri=service.uri, source="") + '[geometry]\ntype = "Point"\nsource = "shape"\n'
    table = table_of(write_spec("thing", toml))
    assert json.loads(table.column("geom")[0].as_py()) == shape


def test_a_record_that_is_no_object_is_unreadable(write_spec: WriteSpec, serve: Serve) -> None:
    body = b'[{"id": 1, "name": "a"}, 7, {"id": "\\ud800", "name": "b"}, {"id": 2, "name": "c"}]'
    service = serve(lambda _: Reply(body=body))
    with opened(write_spec("thing", SPEC.format(uri=service.uri, source=""))) as extraction:
        rows = pa.Table.from_batches(extraction.batches)
    assert rows.column("name").to_pylist() == ["a", "c"]
    assert [(bad.row_number, bad.reason, bad.text[:9]) for bad in extraction.unreadable] == [
        (2, "is no JSON object", "7"),
        (3, "holds half a character (\\ud800)", '\'{"id": "'),
    ]


def test_records_that_are_all_no_objects_are_an_error(things: Callable[..., pa.Table]) -> None:
    with pytest.raises(SourceUnreadableError, match="holds 2 records and none is a JSON object"):
        things(lambda _: Reply(body=[1, 2]))


def test_a_column_in_a_later_record_of_the_first_page_counts(things: Callable[..., pa.Table]) -> None:
    table = things(lambda _: Reply(body=[{"id": 1}, {"id": 2, "name": "b"}]))
    assert table.column("name").to_pylist() == [None, "b"]


def test_a_column_in_no_record_of_the_first_page_is_drift(things: Callable[..., pa.Table]) -> None:
    with pytest.raises(SchemaDriftError, match="column 'name' is missing; did you mean 'names'"):
        things(lambda _: Reply(body=[{"id": 1, "names": "a"}]))


def test_no_records_are_an_empty_extraction(
    write_spec: WriteSpec, serve: Serve, load: Callable[[TableSpec], TableRun]
) -> None:
    service = serve(lambda _: Reply(body={"d": []}))
    with pytest.raises(EmptyExtractionError, match="the source gave no rows"):
        load(write_spec("thing", SPEC.format(uri=service.uri, source='records = "d"')))


@pytest.mark.parametrize(
    ("reply", "error", "match"),
    [
        (
            Reply(body={"items": []}),
            SourceUnreadableError,
            r"no records at source\.records = 'item'; did you mean 'items'",
        ),
        (Reply(body={"error": "quota"}), SourceUnreadableError, "holds no records .*; it says: quota"),
        (Reply(body={"item": 7}), SourceUnreadableError, "holds no records at"),
        (Reply(body=b"<html>login</html>"), SourceUnreadableError, "is no JSON"),
        (Reply(body=b'{"item": [{"id": 1},'), SourceUnavailableError, "breaks off"),
        (
            Reply(body=b'{"item": [{"id": 1} {"id": 2}]}'),
            SourceUnreadableError,
            "',' or ']' expected, not '{\"id\": 2}]}'",
        ),
        (Reply(body=b'{"item": []} x'), SourceUnreadableError, "'x' follows its end"),
        (Reply(body=b'{"item": ["\xff"]}'), SourceUnreadableError, "is no JSON: byte 0xff is no UTF-8"),
        (Reply(404, {"error": {"message": "gone"}}), SourceMissingError, r"answers 404: gone; check source\.uri"),
        (Reply(404, b"[" * 100_000 + b"]" * 100_000), SourceMissingError, r"answers 404: \[\[\["),
        (Reply(403), SourceUnreadableError, "answers 403; if it wants an API key, declare"),
        (
            Reply(301, headers={"Location": "https://x.org/y?k=1"}),
            SourceUnreadableError,
            "points to https://x.org/y; declare",
        ),
    ],
)
def test_a_wrong_answer_is_one_sentence(
    things: Callable[..., pa.Table], reply: Reply, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        things(lambda _: reply, 'records = "item"')


def test_a_large_answer_comes_in_several_batches_and_in_order(write_spec: WriteSpec, serve: Serve) -> None:
    body = [{"id": each, "name": "x" * 1000} for each in range(6000)]
    service = serve(lambda _: Reply(body=body))
    with opened(write_spec("thing", SPEC.format(uri=service.uri, source=""))) as extraction:
        batches = list(extraction.batches)
    assert len(batches) > 1
    assert max(batch.nbytes for batch in batches) < 2 * module.BATCH_BYTES
    assert ids(pa.Table.from_batches(batches)) == [str(each) for each in range(6000)]


def test_a_column_of_a_nested_object_is_named_by_its_path(write_spec: WriteSpec, serve: Serve) -> None:
    pages = {"1": [{"id": 1}, {"id": 2, "meta": {"n": "a"}}], "2": [{"id": 3, "meta": {"n": 1.50}}, {"id": 4}]}
    service = serve(lambda request: Reply(body=pages.get(request.params["page"], [])))
    toml = SPEC.replace('name = "text"', 'name = {{ source = "meta.n", type = "text" }}')
    paging = 'paging = { type = "page", param = "page" }'
    with opened(write_spec("thing", toml.format(uri=service.uri, source=paging))) as extraction:
        found = [row["name"] for batch in extraction.batches for row in batch.to_pylist()]
    assert found == [None, "a", "1.5", None]
    wrong = toml.replace("meta.n", "meta.m")
    spec = write_spec("thing", wrong.format(uri=service.uri, source=paging))
    with pytest.raises(SchemaDriftError, match=r"'meta\.m' is missing; did you mean 'meta\.n'"), opened(spec):
        pass


def test_the_keys_of_an_answer_are_counted_while_it_is_read(things: Callable[..., pa.Table]) -> None:
    body = [{"id": 1, "name": "a", "c": 1}, {"d": 1}, {"e": 1}]
    assert ids(things(lambda _: Reply(body=body), "max_columns = 5")) == ["1", "None", "None"]
    with pytest.raises(
        SourceTooLargeError, match=r"the answer of http.* has 4 columns and source\.max_columns allows 3"
    ):
        things(lambda _: Reply(body=body), "max_columns = 3")


def test_the_keys_of_a_later_page_are_counted_too(things: Callable[..., pa.Table]) -> None:
    pages = {"1": [{"id": 1, "name": "a"}], "2": [{"id": 2, "b": 1, "c": 1, "d": 1}]}
    paging = 'paging = { type = "page", param = "page" }\nmax_columns = 3'
    with pytest.raises(
        SourceTooLargeError, match=r"the answer of http.* has 4 columns and source\.max_columns allows 3"
    ):
        things(lambda request: Reply(body=pages.get(request.params["page"], [])), paging)


def test_a_record_of_an_answer_is_no_longer_than_a_value_may_be(things: Callable[..., pa.Table]) -> None:
    body = [{"id": 1, "name": "x" * 200_000}]
    assert ids(things(lambda _: Reply(body=body), "max_value_bytes = 1_000_000")) == ["1"]
    said = r"^thing: the answer of http.* a value is longer than 100,000 characters, and source\.max_value_bytes allows"
    with pytest.raises(SourceTooLargeError, match=said):
        things(lambda _: Reply(body=body), "max_value_bytes = 100_000")


def test_an_answer_is_no_larger_than_any_may_be(
    things: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = [{"id": 1, "name": "x" * 1_000}]
    monkeypatch.setattr(api_client, "MAX_ANSWER_BYTES", len(json.dumps(body)))
    assert ids(things(lambda _: Reply(body=body))) == ["1"]
    with pytest.raises(
        SourceUnreadableError, match=r"an answer of http.* is larger than 1,0\d\d bytes; read it in pages"
    ):
        things(lambda _: Reply(body=[*body, {"id": 2}]))
