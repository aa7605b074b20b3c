"""Probes over a real HTTP server: what is a commit, and what is an error that shows what came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from sluiceway.deploy.commit import Deployed, same
from sluiceway.deploy.probe import probe_now
from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.deploy.version_endpoint import MAX_BODY_BYTES
from sluiceway.errors import ConfigError, EndpointUnavailableError, NoCommitError
from sluiceway.sources.connections import Connection
from tests.stand_ins.version_endpoint import VersionEndpoint
from tests.stand_ins.web_service import Reply

SHA = "0123456789abcdef0123456789abcdef01234567"
Ask = Callable[..., Deployed]


@pytest.fixture
def endpoint() -> Iterator[VersionEndpoint]:
    with VersionEndpoint(commit=SHA) as running:
        yield running


@pytest.fixture
def ask(endpoint: VersionEndpoint) -> Ask:
    """Asks the endpoint, with what the environment's file says."""

    def ask(path: str = "/", *, password: str = "s3cret", **keys: object) -> Deployed:
        values = {"kind": "http", "name": "staging", "url": f"{endpoint.uri}{path}", "request_timeout_s": 2, **keys}
        return probe_now(
            HttpEnvironment.model_validate(values),
            lambda conn_id: Connection(conn_id=conn_id, conn_type="http", password=password),
        )

    return ask


@pytest.mark.parametrize(
    ("path", "keys"),
    [("/text", {}), ("/", {"json_path": "build.commit"}), ("/", {"header": "x-commit"})],
    ids=["text", "json", "header"],
)
def test_a_commit_is_found_where_the_file_says(ask: Ask, path: str, keys: dict[str, str]) -> None:
    assert ask(path, **keys).commit == SHA


def test_a_json_path_goes_through_lists(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(200, {"images": [{"sha": "x"}, {"sha": SHA}]}))
    assert ask(json_path="images.1.sha").commit == SHA


@pytest.mark.parametrize("commit", [SHA[:7], SHA[:12], SHA.upper()])
def test_short_and_upper_case_commits_are_commits(endpoint: VersionEndpoint, ask: Ask, commit: str) -> None:
    endpoint.commit = commit
    assert ask("/text").commit == commit.lower()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<!doctype html>\n<html><title>Sign in</title>", "says '<!doctype html> <html><title>Sign in</title>'"),
        (b"", "says nothing"),
        (b"v1.4.2", "says 'v1.4.2'"),
        (SHA[:6].encode(), f"says '{SHA[:6]}'"),
        (f"{SHA}0".encode(), f"says '{SHA}0'"),
        (b"x" * 200, f"says '{'x' * 80}...'"),
        (b"\xff\xfe\x00", "says"),
    ],
)
def test_anything_else_is_an_error_that_shows_what_came_shortened(
    endpoint: VersionEndpoint, ask: Ask, body: bytes, shown: str
) -> None:
    endpoint.faults.append(Reply(200, body))
    with pytest.raises(NoCommitError, match="7 to 40 hex digits") as refused:
        ask("/text")
    assert shown in str(refused.value) and endpoint.uri in str(refused.value)


def test_html_instead_of_json_is_shown(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.fault = "html"
    with pytest.raises(NoCommitError, match=r"JSON with .*<title>Sign in</title>"):
        ask(json_path="build.commit")


def test_json_that_is_nested_without_end_is_shown_shortened(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(200, b"[" * 30_000 + b"]" * 30_000))
    with pytest.raises(NoCommitError, match=r"should answer JSON .*; it says '\[\[\[") as raised:
        ask(json_path="build.commit")
    assert len(str(raised.value)) < 400


def test_a_json_key_that_is_missing_names_the_nearest(ask: Ask) -> None:
    with pytest.raises(NoCommitError, match=r"has no 'comit'; did you mean 'commit'\?"):
        ask(json_path="build.comit")


def test_a_json_value_that_is_no_text_is_shown(ask: Ask) -> None:
    with pytest.raises(NoCommitError, match="commit"):
        ask(json_path="build")


def test_a_header_that_is_missing_names_the_nearest(ask: Ask) -> None:
    with pytest.raises(NoCommitError, match=r"no header 'X-Comit'; did you mean 'x-commit'\?"):
        ask(header="X-Comit")


def test_a_redirect_is_not_followed_and_names_where_it_leads(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(302, b"", {"Location": "https://login.example/"}))
    with pytest.raises(NoCommitError, match=r"302 Found to https://login.example/"):
        ask("/text")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_permanent(endpoint: VersionEndpoint, ask: Ask, status: int) -> None:
    endpoint.faults.append(Reply(status, b"no"))
    with pytest.raises(NoCommitError, match=f"answers {status} .*check url"):
        ask("/text")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_later_is_transient(endpoint: VersionEndpoint, ask: Ask, status: int) -> None:
    endpoint.faults.append(Reply(status, b"later"))
    with pytest.raises(EndpointUnavailableError, match=f"answers {status}"):
        ask("/text")


def test_an_endpoint_that_is_down_is_transient(ask: Ask) -> None:
    with pytest.raises(EndpointUnavailableError, match="does not answer"):
        ask("/", url="http://127.0.0.1:9/version")


def test_an_answer_that_breaks_off_is_transient(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(200, SHA.encode(), breaks_off=True))
    with pytest.raises(EndpointUnavailableError, match="does not answer"):
        ask("/text")


def test_an_endpoint_that_is_slow_is_given_up(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.fault = "slow"
    began = time.monotonic()
    with pytest.raises(EndpointUnavailableError, match=r"no whole answer within 0.3 s \(request_timeout_s\)"):
        ask("/text", request_timeout_s=0.3)
    endpoint.fault = None
    assert time.monotonic() - began < endpoint.slow_s / 2


def test_an_endless_answer_is_cut_off(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(200, b"a" * (MAX_BODY_BYTES + 1)))
    with pytest.raises(NoCommitError, match=r"more than 65,536 bytes.*'aaaa"):
        ask("/text")


def test_a_connection_adds_its_token_and_no_error_shows_it(endpoint: VersionEndpoint, ask: Ask) -> None:
    endpoint.faults.append(Reply(200, b"you sent Bearer s3cret"))
    with pytest.raises(NoCommitError) as refused:
        ask("/text", connection="version")
    assert endpoint.requests[-1].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(refused.value) and "***" in str(refused.value)


def test_a_token_does_not_travel_unencrypted(ask: Ask) -> None:
    with pytest.raises(ConfigError, match="use https://"):
        ask(url="http://staging.example/version", connection="version")


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (SHA, SHA, True),
        (SHA, SHA[:7], True),
        (SHA[:7], SHA.upper(), True),
        (SHA[:12], SHA[:9], True),
        (SHA, SHA[:6], False),
        (SHA[:7], "0123457", False),
        ("", SHA, False),
    ],
)
def test_a_short_commit_matches_by_its_beginning(one: str, other: str, are_same: bool) -> None:
    assert same(one, other) is are_same
