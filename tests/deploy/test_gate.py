"""What a look at an environment comes to, over a real HTTP server; what it means for a run, in test_order.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from sluiceway.deploy.commit import Sighting
from sluiceway.deploy.gate import Sight, look
from sluiceway.deploy.spec import HttpEnvironment
from sluiceway.sources.connections import Connection
from tests.stand_ins.version_endpoint import VersionEndpoint

SHA, OTHER = "a1" * 20, "b2" * 20


@pytest.fixture
def endpoint() -> Iterator[VersionEndpoint]:
    with VersionEndpoint(commit=SHA) as running:
        yield running


class Asked:
    """Who looks: what it was asked and has written down."""

    def __init__(self, endpoint: VersionEndpoint, runs: Sequence[str] = ()) -> None:
        values = {"kind": "http", "name": "staging", "url": f"{endpoint.uri}/text", "request_timeout_s": 2}
        self.environment = HttpEnvironment.model_validate(values)
        self.runs = list(runs)
        self.commits: list[str] = []
        self.written: list[Sighting] = []

    def waiting_runs(self, commit: str) -> list[str]:
        self.commits.append(commit)
        return self.runs

    def look(self, commit: str = SHA) -> Sight:
        return asyncio.run(look(self.environment, nobody, commit, self.waiting_runs, self.written.append))


def nobody(conn_id: str) -> Connection:
    raise AssertionError(conn_id)


def test_the_runs_own_commit_is_reached_and_nobody_is_asked_for_other_runs(endpoint: VersionEndpoint) -> None:
    asked = Asked(endpoint, ["deploy__x"])
    found = asked.look()
    assert (found.outcome, found.commit, found.runs) == ("reached", SHA, ())
    assert found.said.endswith(f"/text serves {SHA}")
    assert asked.commits == []
    assert [each.commit for each in asked.written] == [SHA]


@pytest.mark.parametrize(
    ("served", "waited_for", "commit"),
    [(SHA[:7], SHA, SHA), (SHA, SHA[:12], SHA), (SHA[:12], SHA[:9], SHA[:12])],
    ids=["a service that says seven digits", "a run that was given twelve", "neither says all"],
)
def test_a_short_commit_is_reached_and_written_at_its_longest(
    endpoint: VersionEndpoint, served: str, waited_for: str, commit: str
) -> None:
    endpoint.commit = served
    found = Asked(endpoint).look(waited_for)
    assert (found.outcome, found.commit) == ("reached", commit)


def test_another_commit_that_has_runs_is_contested_and_one_without_is_waited_out(endpoint: VersionEndpoint) -> None:
    endpoint.commit = OTHER
    asked = Asked(endpoint, ["deploy__1", "deploy__2"])
    found = asked.look()
    assert (found.outcome, found.commit, found.runs) == ("contested", OTHER, ("deploy__1", "deploy__2"))
    assert asked.commits == [OTHER]
    found = Asked(endpoint).look()
    assert (found.outcome, found.commit, found.runs) == ("waiting", OTHER, ())
    assert found.said.endswith(f"/text serves {OTHER}")


def test_an_environment_is_asked_with_the_connection_that_who_looks_knows(endpoint: VersionEndpoint) -> None:
    asked = Asked(endpoint)
    asked.environment = asked.environment.model_copy(update={"connection": "version"})
    with pytest.raises(AssertionError, match=r"^version$"):
        asked.look()


@pytest.mark.parametrize(("fault", "said"), [("500", "answers 500"), ("html", "7 to 40 hex digits")])
def test_an_environment_that_says_no_commit_is_waited_for_and_nothing_is_written(
    endpoint: VersionEndpoint, fault: str, said: str
) -> None:
    endpoint.fault = fault
    asked = Asked(endpoint, ["deploy__x"])
    found = asked.look()
    assert (found.outcome, found.commit, found.runs) == ("waiting", None, ())
    assert said in found.said
    assert (asked.commits, asked.written) == ([], [])
