"""Drafts of APIs that answer with JSON: parameters, pages that are proved, and keys that no draft holds."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.infer.address import address_of, is_secret
from sluiceway.sources.services import api_client
from tests.stand_ins.web_service import Reply, Request, WebService

Query = Callable[..., list[tuple[object, ...]]]
Serve = Callable[[Callable[[Request], Reply]], WebService]
THINGS = [{"id": n, "name": f"thing {n}", "group": "odd" if n % 2 else "even"} for n in range(1, 26)]
KEY = "s3cret/key+1"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client.ApiClient, "_pace", lambda _self: None)
    monkeypatch.setattr(api_client, "RETRY_SECONDS", 1.0)


@pytest.fixture
def serve() -> Iterator[Serve]:
    services = []

    def start(answer: Callable[[Request], Reply]) -> WebService:
        services.append(WebService(answer).__enter__())
        return services[-1]

    yield start
    for service in services:
        service.__exit__()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tables", *map(str, arguments)])


def source_of(uri: str, *arguments: str) -> dict[str, Any]:
    """[source] of the draft."""
    result = run("infer", uri, *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = tomllib.loads(result.stdout)["source"]
    return found


def part(rows: Sequence[Any], start: int, size: int) -> list[Any]:
    return list(rows[start : start + size])


def by_page(request: Request, first: int = 1, size: int = 10, name: str = "page") -> list[Any]:
    return part(THINGS, (int(request.params.get(name, first)) - first) * size, size)


# each answers with 25 things in parts of 10
def meta_page(request: Request) -> Reply:
    page = int(request.params.get("page", 1))
    return Reply(body={"meta": {"page": page, "pages": 3, "total": 25}, "data": by_page(request)})


def spring(request: Request) -> Reply:
    page = int(request.params.get("page", 0))
    return Reply(body={"content": by_page(request, first=0), "number": page, "totalElements": 25, "totalPages": 3})


def next_address(request: Request) -> Reply:
    page = int(request.params.get("page", 1))
    following = f"https://api.example.org/things/?page={page + 1}" if page < 3 else None
    return Reply(body={"count": 25, "next": following, "previous": None, "results": by_page(request)})


def next_offset_address(request: Request) -> Reply:
    start = int(request.params.get("start", 0))
    following = f"/things?start={start + 10}&max=10" if start + 10 < 25 else None
    return Reply(body={"links": {"next": following}, "things": part(THINGS, start, 10)})


def offset_in_answer(request: Request) -> Reply:
    offset, limit = int(request.params.get("offset", 0)), int(request.params.get("limit", 10))
    return Reply(body={"offset": offset, "limit": limit, "total": 25, "items": part(THINGS, offset, limit)})


def token(request: Request) -> Reply:
    at = {"": 0, "t10": 10, "t20": 20}[request.params.get("pageToken", "")]
    return Reply(body={"items": part(THINGS, at, 10), "nextPageToken": f"t{at + 10}" if at < 20 else None})


def cursor_in_meta(request: Request) -> Reply:
    at = {"": 0, "t10": 10, "t20": 20}[request.params.get("cursor", "")]
    following = {"next_cursor": f"t{at + 10}"} if at < 20 else {}
    return Reply(body={"meta": following, "items": part(THINGS, at, 10)})


def link_header(request: Request) -> Reply:
    page = int(request.params.get("page", 1))
    link = {"Link": f'<{request.path}?page={page + 1}>; rel="next"'} if page < 3 else {}
    return Reply(body=by_page(request), headers=link)


def only_a_total(request: Request) -> Reply:
    skip = int(request.params.get("skip", 0))
    return Reply(body={"totalCount": 25, "items": part(THINGS, skip, 10)})


PAGED: list[tuple[Callable[[Request], Reply], Mapping[str, str], dict[str, Any]]] = [
    (meta_page, {}, {"records": "data", "paging": {"type": "page", "param": "page"}}),
    (meta_page, {"page": "1"}, {"records": "data", "paging": {"type": "page", "param": "page"}}),
    (spring, {}, {"records": "content", "paging": {"type": "page", "param": "page", "first": 0}}),
    (next_address, {}, {"records": "results", "paging": {"type": "page", "param": "page"}}),
    (next_offset_address, {}, {"records": "things", "paging": {"type": "offset", "param": "start", "size": 10}}),
    (offset_in_answer, {}, {"records": "items", "paging": {"type": "offset", "param": "offset", "size": 10}}),
    (
        offset_in_answer,
        {"limit": "5"},
        {"records": "items", "paging": {"type": "offset", "param": "offset", "size_param": "limit", "size": 5}},
    ),
    (token, {}, {"records": "items", "paging": {"type": "cursor", "param": "pageToken", "next": "nextPageToken"}}),
    (
        cursor_in_meta,
        {},
        {"records": "items", "paging": {"type": "cursor", "param": "cursor", "next": "meta.next_cursor"}},
    ),
    (link_header, {}, {"paging": {"type": "link"}}),
    (only_a_total, {}, {"records": "items", "paging": {"type": "offset", "param": "skip", "size": 10}}),
]


@pytest.mark.parametrize(("answer", "asked", "drafted"), PAGED, ids=lambda each: getattr(each, "__name__", None))
def test_how_an_api_pages_is_found_and_all_its_pages_load(
    serve: Serve,
    tmp_path: Path,
    warehouse_url: str,
    query: Query,
    answer: Callable[[Request], Reply],
    asked: Mapping[str, str],
    drafted: dict[str, Any],
) -> None:
    uri = f"{serve(answer).uri}/things"
    out = tmp_path / "thing.toml"
    result = run("infer", f"{uri}?{urlencode(asked)}" if asked else uri, "-o", out)
    assert result.exit_code == 0, result.output
    found = tomllib.loads(out.read_text(encoding="utf-8"))
    assert found["source"] == {"kind": "http_json", "uri": uri, **drafted}
    assert found["columns"] == {"id": "integer", "name": "text", "group": "text"}
    assert found["key"] == "id"
    assert run("check", out).exit_code == 0
    result = run("run", out, "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output
    assert query("SELECT count(*), sum(id) FROM thing") == [(25, 325)]


def test_a_full_page_of_an_array_is_asked_for_the_next_one(serve: Serve) -> None:
    def socrata(request: Request) -> Reply:
        return Reply(body=part(THINGS, int(request.params.get("$offset", 0)), int(request.params.get("$limit", 1000))))

    uri = f"{serve(socrata).uri}/resource/ab12.json"
    paging = {"type": "offset", "param": "$offset", "size_param": "$limit", "size": 10}
    assert source_of(f"{uri}?$limit=10") == {"kind": "http_json", "uri": uri, "paging": paging}
    # what asks for more than there is, has all of it
    assert source_of(f"{uri}?$limit=50")["kind"] == "json"


def test_parameters_stand_apart_from_the_address(
    serve: Serve, tmp_path: Path, warehouse_url: str, query: Query
) -> None:
    def filtered(request: Request) -> Reply:
        return Reply(body={"data": [each for each in THINGS if each["group"] == request.params.get("the group")]})

    uri, out = f"{serve(filtered).uri}/things", tmp_path / "thing.toml"
    assert run("infer", f"{uri}?the+group=odd&empty=#part", "-o", out).exit_code == 0
    found = tomllib.loads(out.read_text(encoding="utf-8"))["source"]
    assert found == {"kind": "http_json", "uri": uri, "params": {"the group": "odd", "empty": ""}, "records": "data"}
    assert run("run", out, "--warehouse", warehouse_url).exit_code == 0
    assert query("SELECT count(*) FROM thing") == [(13,)]


def test_a_parameter_that_stands_twice_stays_in_the_address(serve: Serve) -> None:
    uri = f"{serve(lambda _: Reply(body=THINGS)).uri}/things"
    assert source_of(f"{uri}?a=1&b=x&a=2") == {"kind": "http_json", "uri": f"{uri}?a=1&a=2", "params": {"b": "x"}}


def test_a_file_of_json_that_lies_there_stays_a_file(serve: Serve) -> None:
    uri = f"{serve(lambda _: Reply(body=THINGS)).uri}/things.json"
    assert source_of(f"{uri}?version=3") == {"kind": "json", "uri": f"{uri}?version=3"}
    assert source_of(uri) == {"kind": "json", "uri": uri}


def test_pages_that_nobody_can_ask_for_are_told(serve: Serve) -> None:
    uri = f"{serve(lambda _: Reply(body={'total': 99, 'data': THINGS})).uri}/things?x=1"
    text = run("infer", uri).stdout
    assert "seems to be one page of several: it says total = 99 and holds 25." in " ".join(
        text.replace("# ", "").split()
    )
    assert "paging" not in tomllib.loads(text)["source"]


def test_a_page_in_the_middle_says_that_those_before_it_are_not_read(serve: Serve) -> None:
    text = run("infer", f"{serve(meta_page).uri}/things?page=2").stdout
    assert tomllib.loads(text)["source"]["paging"] == {"type": "page", "param": "page", "first": 2}
    assert "the pages before that of the address are not read" in text


# keys


def guarded(request: Request) -> Reply:
    if request.params.get("api_key") != KEY:
        return Reply(401, {"error": "who are you?"})
    page = int(request.params.get("page", 1))
    following = f"https://x.org/?api_key={KEY}&page={page + 1}" if page < 3 else None
    return Reply(body={"next": following, "data": by_page(request)})


def test_a_key_is_never_written_and_the_draft_names_a_connection_for_it(
    serve: Serve, tmp_path: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    service = serve(guarded)
    out = tmp_path / "thing.toml"
    result = run("infer", f"{service.uri}/things?{urlencode({'api_key': KEY, 'x': 1})}", "-o", out, "--verbose")
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    assert KEY not in text + result.output
    assert "s3cret" not in text + result.output
    assert tomllib.loads(text)["source"] == {
        "kind": "http_json",
        "uri": f"{service.uri}/things",
        "params": {"x": "1"},
        "records": "data",
        "connection": "n_127_0_0_1",
        "key_param": "api_key",
        "paging": {"type": "page", "param": "page"},
    }
    assert "(AIRFLOW_CONN_N_127_0_0_1)" in text
    assert run("check", out).exit_code == 0
    assert "There is no connection 'n_127_0_0_1'" in " ".join(
        run("run", out, "--warehouse", warehouse_url).stderr.split()
    )
    monkeypatch.setenv("AIRFLOW_CONN_N_127_0_0_1", json.dumps({"conn_type": "http", "password": KEY}))
    assert run("run", out, "--warehouse", warehouse_url).exit_code == 0
    assert query("SELECT count(*) FROM thing") == [(25,)]


def test_a_key_goes_to_the_connection_that_is_named(serve: Serve) -> None:
    found = source_of(f"{serve(guarded).uri}/things?{urlencode({'api_key': KEY})}", "--connection", "shop")
    assert (found["connection"], found["key_param"]) == ("shop", "api_key")


def test_pages_that_cannot_be_asked_for_are_told_without_the_key(serve: Serve) -> None:
    answer = {"next": f"https://x.org/?api_key={KEY}&after=abc", "data": THINGS}
    result = run("infer", f"{serve(lambda _: Reply(body=answer)).uri}/things?{urlencode({'api_key': KEY})}")
    assert "seems to be one page of several" in " ".join(result.stdout.replace("# ", "").split())
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("content", "kind"), [(b"id,name\n1,a\n2,b\n", "csv"), (b'{"id": 1}\n{"id": 2}\n', "json")], ids=["csv", "lines"]
)
def test_a_file_behind_a_key_is_refused_and_the_key_is_not_shown(
    serve: Serve, tmp_path: Path, content: bytes, kind: str
) -> None:
    out = tmp_path / "thing.toml"
    uri = f"{serve(lambda _: Reply(body=content)).uri}/things?token=s3cret"
    result = run("infer", uri, "-o", out)
    assert result.exit_code == 2
    assert f"gives a file of kind {kind}, and is asked with a key (token)" in " ".join(result.stderr.split())
    assert "s3cret" not in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://x.org/a?api_key=s3cret&token=s3cret", "asked with several keys (api_key and token)"),
        ("https://me:s3cret@x.org/a", "https://x.org/a: the address holds a login"),
    ],
)
def test_an_address_with_more_secrets_than_one_key_is_refused(uri: str, said: str) -> None:
    result = run("infer", uri)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("param", "secret"),
    [
        *((each, True) for each in ("key", "api_key", "apiKey", "api-key", "KEY", "token", "access_token", "appid")),
        *((each, True) for each in ("subscription-key", "registrationkey", "$$app_token", "client_secret", "apikey")),
        *(
            (each, False)
            for each in ("page_token", "pageToken", "nextPageToken", "keyword", "keys", "tokens", "format")
        ),
        *((each, False) for each in ("continuationToken", "page", "author", "primary_key_of", "limit")),
    ],
)
def test_a_parameter_is_a_secret_by_its_name(param: str, secret: bool) -> None:
    assert is_secret(param) is secret


def test_a_table_of_an_address_without_a_path_is_not_named_by_its_key() -> None:
    found = address_of("https://api.example.org?api_key=s3cret")
    assert found is not None
    assert "s3cret" not in f"{found}"
