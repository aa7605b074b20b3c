"""An Airflow that gives no answer, or another than Airflow's: one sentence of ours, at every command that asks it."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.certificates import _read
from sluiceway.cli.app import app
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.flows.configured import CLI, configured, flow
from tests.stand_ins.airflow_rest import PASSWORD, USERNAME, AirflowRest

Setting = Callable[..., None]
COMMANDS = [
    ("runs", "retry", "deploy__1"),
    ("access", "setup"),
    ("pools", "apply", "--file", str(ROOT / "airflow_settings.yaml")),
    ("triggers", "list"),
    ("triggers", "show", "orders"),
    ("trigger", "--flow-id", "orders"),
]
START_PAGE = "SLUICEWAY_AIRFLOW_URL is the address of Airflow's start page"


@pytest.fixture(autouse=True)
def _known(tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow `orders`, who logs in, and no proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = configured(tmp_path, orders=flow(CLI)).config_dir
    setting(config_dir=folder, airflow_username=USERNAME, airflow_password=PASSWORD)


@pytest.fixture
def airflow() -> Iterator[AirflowRest]:
    with AirflowRest() as service:
        service.add_dag()
        yield service


@pytest.fixture
def says(setting: Setting) -> Callable[..., str]:
    """The one sentence with which every command that asks the Airflow at an address ends, with 1."""

    def says(url: str, **more: object) -> str:
        setting(airflow_url=url, **more)
        found = {told(CliRunner().invoke(app, command), 1) for command in COMMANDS}
        assert len(found) == 1, found
        return found.pop()

    return says


def told(result: Result, code: int) -> str:
    """The sentence alone, without what is said of a warehouse that nobody has named."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert PASSWORD not in result.output and "Traceback" not in result.output
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("No warehouse is named")]
    return line


def test_nobody_listens(says: Callable[..., str]) -> None:
    assert says("http://127.0.0.1:1") == (
        "error: Airflow at http://127.0.0.1:1 does not answer: nothing listens there; start it, or correct "
        "SLUICEWAY_AIRFLOW_URL."
    )


def test_the_host_is_not_known(says: Callable[..., str]) -> None:
    said = says("http://airflow.invalid:8080")
    assert "Airflow at http://airflow.invalid:8080 does not answer: the host 'airflow.invalid' is not known" in said


def test_the_certificate_is_not_trusted(says: Callable[..., str], tmp_path: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    _read.cache_clear()
    with AirflowRest(tls=context) as airflow:
        said = says(airflow.uri)
        assert airflow.requests == []
    assert re.search(r"its certificate is not trusted \(self.signed certificate\); name .* in SSL_CERT_FILE\.$", said)


def test_https_is_asked_of_a_port_that_speaks_http(says: Callable[..., str], airflow: AirflowRest) -> None:
    said = says(airflow.uri.replace("http://", "https://"))
    assert "no TLS is spoken there; write http:// if that is meant" in said


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9\r\n", b""], ids=["another protocol", "reset"])
def test_something_else_than_http_is_spoken(says: Callable[..., str], said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in COMMANDS:
                connection, _ = server.accept()
                with connection:
                    connection.recv(100)
                    if not said:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        continue
                    connection.sendall(said)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        assert "it breaks off, or speaks no HTTP" in says(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_the_password_is_wrong(says: Callable[..., str], airflow: AirflowRest) -> None:
    assert says(airflow.uri, airflow_password="wrong") == (
        f"error: Airflow at {airflow.uri} does not let 'ci' in (401 Invalid credentials): see "
        "SLUICEWAY_AIRFLOW_USERNAME and SLUICEWAY_AIRFLOW_PASSWORD."
    )


def test_a_login_that_is_refused_does_not_repeat_the_password(says: Callable[..., str], airflow: AirflowRest) -> None:
    problem = {"loc": ["body", "password"], "msg": "too long", "input": {"password": PASSWORD}}
    airflow.fault("status", len(COMMANDS), path="/auth/token", status=422, body={"detail": [problem]})
    assert "Airflow answered 422 to POST /auth/token" in (said := says(airflow.uri)) and "too long" in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_user_may_not(setting: Setting, airflow: AirflowRest, command: tuple[str, ...]) -> None:
    for path in ("/api/v2/", "/auth/fab/"):
        airflow.fault("status", 9, path=path, status=403, body={"detail": "Forbidden"})
    setting(airflow_url=airflow.uri)
    said = told(CliRunner().invoke(app, command), 1)
    assert re.search(rf"Airflow answered 403 to GET /\S+ at {airflow.uri}: Forbidden\. The user 'ci' has not", said)


@pytest.mark.parametrize("path", ["/api/v2", "/airflow"])
def test_the_address_has_a_wrong_path(says: Callable[..., str], airflow: AirflowRest, path: str) -> None:
    airflow.fault("status", len(COMMANDS), path=f"{path}/auth/token", status=404, body={"detail": "Not Found"})
    assert says(f"{airflow.uri}{path}") == (
        f"error: There is no Airflow 3 at {airflow.uri}{path}: it answers 404 to POST {path}/auth/token. "
        f"{START_PAGE}, with the path it is served under, and without /api/v2."
    )


def test_a_web_page_stands_there(says: Callable[..., str], airflow: AirflowRest) -> None:
    airflow.fault("html", len(COMMANDS))
    assert says(airflow.uri) == (
        f"error: {airflow.uri} is no Airflow 3, or something stands before it: to POST /auth/token it answers 200 and "
        f"a web page instead of JSON. {START_PAGE}."
    )


def test_json_that_is_none_counts_as_no_answer_of_airflow(says: Callable[..., str], airflow: AirflowRest) -> None:
    airflow.fault("status", len(COMMANDS), status=200, body=b"{")
    assert "instead of JSON" in says(airflow.uri)


@pytest.mark.parametrize("body", [{"ok": True}, ["x"], {"access_token": None}])
def test_another_service_that_speaks_json_stands_there(
    says: Callable[..., str], airflow: AirflowRest, body: object
) -> None:
    airflow.fault("status", len(COMMANDS), status=200, body=body)
    assert f"{airflow.uri} is no Airflow 3: its /auth/token gives no token for a password." in says(airflow.uri)


def test_a_login_page_sends_us_elsewhere(says: Callable[..., str], airflow: AirflowRest) -> None:
    there = {"Location": "https://login.example.org/?token=hidden"}
    airflow.fault("status", len(COMMANDS), status=302, headers=there, body={})
    assert "answers 302 to POST /auth/token and sends us to https://login.example.org: a login page" in says(
        airflow.uri
    )


def test_a_proxy_is_up_and_airflow_is_not(says: Callable[..., str], airflow: AirflowRest) -> None:
    airflow.fault("status", len(COMMANDS), status=502, body=b"<html>", headers={"Content-Type": "text/html"})
    assert "is not up behind its proxy, which answers 502 to POST /auth/token; try again later." in says(airflow.uri)


@pytest.mark.parametrize("url", ["airflow.example.org", "ftp://airflow.example.org", "http://me:pw@host:x/", "http://"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_address_is_a_usage_error(setting: Setting, command: tuple[str, ...], url: str) -> None:
    setting(airflow_url=url)
    said = told(CliRunner().invoke(app, command), 2)
    assert re.fullmatch(r"error: SLUICEWAY_AIRFLOW_URL '.*' is no address of an Airflow; write https://\S+\.", said)
    assert "pw" not in said


def test_the_ledgers_runs_are_shown_with_the_sentence(setting: Setting, warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        store.open_run(session, RunKey("shop", "r1"), None, "manual")
    setting(airflow_url="http://127.0.0.1:1", warehouse_url=warehouse_url)
    for command in (("runs", "list"), ("runs", "show", "r1")):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, "r1" in result.stdout) == (0, True)
        assert result.stderr == (
            "Airflow was not asked, this is what the ledger says: Airflow at http://127.0.0.1:1 does not answer: "
            "nothing listens there; start it, or correct SLUICEWAY_AIRFLOW_URL.\n"
        )
