"""No file has a machine of the deployment's own network asked, unless it is declared: by address, name or redirect."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from sluiceway.errors import PrivateAddressError, SettingsError, SluicewayError
from sluiceway.flows.kinds.http_look import Question, look
from sluiceway.settings import load_settings
from sluiceway.sources import reach
from sluiceway.sources.locate import check_exists, located, source_name
from sluiceway.sources.places import https
from sluiceway.sources.reach import AsyncOutsideTransport, OutsideTransport, judged, proxy_of
from sluiceway.sources.services import api_client
from sluiceway.sources.services.http_json import open_http_json
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec
from tests.stand_ins.file_server import FileServer, Served

Setting = Callable[..., None]
CSV = b"id\n1\n"
INSIDE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "localhost",
]


def nobody(conn_id: str) -> Any:
    """There are no connections here."""
    raise SettingsError(conn_id)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"/a.csv": Served(CSV)}) as found:
        yield found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name -> what the server of names answers, one after another. Nobody else is asked."""
    answers: dict[str, list[str]] = {}
    ask = socket.getaddrinfo

    def answer(host: str, port: Any, *more: Any, **options: Any) -> Any:
        return ask(answers[host].pop(0) if host in answers else host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return answers


def source(uri: str) -> CsvSource:
    return CsvSource(kind="csv", uri=uri)


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_of_ones_own_network_is_refused_however_it_is_spelled(host: str, setting: Setting) -> None:
    setting(private_hosts="10.0.0.2,192.168.2.0/24,files.example.org,fd01::/16")
    with pytest.raises(PrivateAddressError, match=r"is an address of this network.*SLUICEWAY_PRIVATE_HOSTS"):
        judged(host, 80)


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_outside_needs_no_declaration(host: str, setting: Setting) -> None:
    setting(private_hosts="")
    assert judged(host, 443) == [host]


@pytest.mark.parametrize("declared", ["localhost", "127.0.0.0/8,::1", "127.0.0.1", "LOCALHOST. , 10.0.0.1"])
def test_what_is_declared_may_be_asked(declared: str, setting: Setting) -> None:
    setting(private_hosts=declared)
    assert "127.0.0.1" in judged("localhost", 80)


def test_a_network_that_is_none_is_named(setting: Setting) -> None:
    setting(private_hosts="10.0.0.0/33")
    with pytest.raises(SettingsError, match=r"'10\.0\.0\.0/33' is no network"):
        load_settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_is_not_declared_is_not_even_connected_to(
    host: str, server: FileServer, setting: Setting
) -> None:
    setting(private_hosts="")
    uri = f"{server.uri.replace('127.0.0.1', host)}/a.csv?key=geheim"
    for act in (lambda: check_exists(source(uri), nobody), lambda: located(source(uri), nobody).__enter__()):
        with pytest.raises(PrivateAddressError, match=rf"a\.csv: {host}.* is an address of this network") as caught:
            act()
        assert "geheim" not in str(caught.value)
    assert server.asked == []


def test_a_redirect_leads_to_no_undeclared_server(server: FileServer, setting: Setting) -> None:
    port = server.uri.rpartition(":")[2]
    server.files["/there.csv"] = Served(CSV)
    server.files["/moved.csv"] = f"http://127.0.0.2:{port}/there.csv"
    setting(private_hosts="127.0.0.1")
    with (
        pytest.raises(PrivateAddressError, match=r"moved\.csv: 127\.0\.0\.2 is an address of this network"),
        located(source(f"{server.uri}/moved.csv"), nobody),
    ):
        pass
    assert [each.target for each in server.asked] == ["/moved.csv"]


def test_a_name_is_asked_for_once_and_what_was_judged_is_connected_to(
    server: FileServer, setting: Setting, names: dict[str, list[str]]
) -> None:
    setting(private_hosts="127.0.0.1")
    names["rebound.example.org"] = ["127.0.0.1", "169.254.169.254"]
    uri = f"{server.uri.replace('127.0.0.1', 'rebound.example.org')}/a.csv"
    with located(source(uri), nobody) as place:
        assert place.path is not None
        assert place.path.read_bytes() == CSV
    assert names["rebound.example.org"] == ["169.254.169.254"]
    with pytest.raises(PrivateAddressError, match=r"rebound\.example\.org is 169\.254\.169\.254, which is an address"):
        check_exists(source(uri), nobody)


def test_what_a_proxy_sends_on_is_judged_too_and_the_proxy_itself_is_not(server: FileServer, setting: Setting) -> None:
    setting(private_hosts="")
    with httpx.Client(transport=OutsideTransport(server.uri)) as client:
        with pytest.raises(PrivateAddressError, match=r"169\.254\.169\.254 is an address of this network"):
            client.get("http://169.254.169.254/latest/meta-data")
        assert server.asked == []
        client.get("http://only.the.proxy.knows.invalid/a.csv")
    assert len(server.asked) == 1


def test_what_a_sensor_has_a_proxy_send_on_is_judged_too(server: FileServer, setting: Setting) -> None:
    setting(private_hosts="")

    async def ask() -> None:
        async with httpx.AsyncClient(transport=AsyncOutsideTransport(server.uri)) as client:
            with pytest.raises(PrivateAddressError, match=r"169\.254\.169\.254 is an address of this network"):
                await client.get("http://169.254.169.254/latest/meta-data")
            assert server.asked == []
            await client.get("http://only.the.proxy.knows.invalid/a.csv")

    asyncio.run(ask())
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("bypassed", "found"), [("files.example.org", None), ("other.example.org", "http://proxy.example.org:3128")]
)
def test_the_proxy_is_the_environments(bypassed: str, found: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", bypassed)
    assert proxy_of(httpx.URL("https://files.example.org/a.csv")) == found
    assert proxy_of(httpx.URL("http://files.example.org/a.csv")) is None


@pytest.mark.parametrize("waits", [True, False], ids=["async", "sync"])
def test_of_several_addresses_the_next_is_tried_and_a_name_that_nobody_knows_is_no_answer(
    waits: bool, server: FileServer, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server listens on the last alone."""
    setting(private_hosts="127.0.0.0/8")
    monkeypatch.setattr(reach, "judged", lambda host, port: {"two": ["127.0.0.2", "127.0.0.1"]}.get(host) or unknown())

    def unknown() -> list[str]:
        raise socket.gaierror("nobody knows it")

    def get(host: str) -> bytes:
        uri = f"{server.uri.replace('127.0.0.1', host)}/a.csv"

        async def awaited() -> httpx.Response:
            async with httpx.AsyncClient(transport=AsyncOutsideTransport()) as client:
                return await client.get(uri)

        if waits:
            return asyncio.run(awaited()).content
        with httpx.Client(transport=OutsideTransport()) as client:
            return client.get(uri).content

    assert get("two") == CSV
    with pytest.raises(httpx.ConnectError, match="nobody knows it"):
        get("none")


def test_an_api_and_a_sensor_ask_no_undeclared_server(
    server: FileServer, setting: Setting, write_spec: Callable[..., TableSpec]
) -> None:
    setting(private_hosts="")
    spec = write_spec(
        "city",
        f'description = "c"\nkey = "id"\ncolumns = {{ id = "integer" }}\n'
        f'source = {{ kind = "http_json", uri = "{server.uri}/a.csv" }}\n',
    )
    with (
        pytest.raises(PrivateAddressError, match="address of this network"),
        open_http_json(spec, spec.source, nobody),  # type: ignore[arg-type]
    ):
        pass
    with pytest.raises(PrivateAddressError, match="address of this network"):
        look(Question(f"{server.uri}/a.csv", None, None, None, 5.0), nobody)
    assert server.asked == []


ADDRESS = "http://anna:geheim@127.0.0.1:1/a.csv?key=geheim"


@pytest.mark.parametrize(
    "uri", [ADDRESS, ADDRESS.replace("http", "https"), "s3://anna:geheim@bucket", "gs://anna:geheim@bucket?key=geheim"]
)
def test_no_sentence_of_a_source_shows_who_logs_in(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "TRIES", 1)
    with pytest.raises(SluicewayError) as caught:
        check_exists(source(uri), nobody)
    assert "geheim" not in str(caught.value)
    assert source_name(source(uri)) == uri.replace("anna:geheim@", "").partition("?")[0]


def test_no_sentence_of_an_api_and_of_a_sensor_shows_what_is_asked(
    monkeypatch: pytest.MonkeyPatch, write_spec: Callable[..., TableSpec], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api_client, "RETRY_SECONDS", 0.6)
    caplog.set_level("INFO")
    spec = write_spec(
        "city",
        f'description = "c"\nkey = "id"\ncolumns = {{ id = "integer" }}\n'
        f'source = {{ kind = "http_json", uri = "{ADDRESS}" }}\n',
    )
    with (
        pytest.raises(SluicewayError, match=r"a\.csv does not answer") as caught,
        open_http_json(spec, spec.source, nobody),  # type: ignore[arg-type]
    ):
        pass
    with pytest.raises(SluicewayError, match=r"a\.csv does not answer") as looked:
        look(Question(ADDRESS, None, None, None, 5.0), nobody)
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("sluiceway")]
    assert ours, "the second try is told"
    assert "geheim" not in " ".join([str(caught.value), str(looked.value), *ours])
