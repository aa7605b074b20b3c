"""The sensor of deployments, against a real version endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, EndpointUnavailableError, NoCommitError, SettingsError
from tests.flows.looks import Looks, trigger_of
from tests.stand_ins.version_endpoint import VersionEndpoint

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def endpoint() -> Iterator[VersionEndpoint]:
    with VersionEndpoint(commit=ONE) as running:
        yield running


@pytest.fixture
def looks(endpoint: VersionEndpoint, tmp_path: Path, setting: Callable[..., None]) -> Looks:
    """A sensor that has looked once."""
    (tmp_path / "environments").mkdir()
    toml = f'kind = "http"\nurl = "{endpoint.uri}/text"\nrequest_timeout_s = 2\n'
    (tmp_path / "environments" / "staging.toml").write_text(toml)
    setting(config_dir=tmp_path)
    made = Looks(trigger_of(sensor_type="deployment", environment="staging"))
    assert made.events() == ()
    return made


def test_another_commit_is_an_event(endpoint: VersionEndpoint, looks: Looks) -> None:
    endpoint.commit = TWO
    told = {"event": "deployed", "environment": "staging", "place": f"{endpoint.uri}/text"}
    assert looks.facts() == [{**told, "old": ONE, "new": TWO}]
    assert looks.events() == ()


def test_a_deployment_that_is_taken_back_is_an_event_each_time(endpoint: VersionEndpoint, looks: Looks) -> None:
    seen = []
    for endpoint.commit in (TWO, ONE, TWO):
        seen += [facts["new"] for facts in looks.facts()]
    assert seen == [TWO, ONE, TWO]


@pytest.mark.parametrize(("fault", "error"), [("500", EndpointUnavailableError), ("html", NoCommitError)])
def test_an_environment_that_says_no_commit_is_an_error(
    endpoint: VersionEndpoint, looks: Looks, fault: str, error: type[Exception]
) -> None:
    endpoint.fault = fault
    with pytest.raises(error):
        looks.events()
    endpoint.fault = None
    assert looks.events() == ()


def test_a_short_commit_is_an_error(endpoint: VersionEndpoint, looks: Looks) -> None:
    endpoint.commit = TWO[:7]
    with pytest.raises(NoCommitError, match="publish all of them"):
        looks.events()


def test_an_environment_without_a_file_is_an_error(looks: Looks) -> None:
    looks.trigger = trigger_of(sensor_type="deployment", environment="stagin")
    with pytest.raises(SettingsError, match="did you mean 'staging'"):
        looks.events()


@pytest.mark.parametrize("name", ["../staging", "a/b", "", "a'b"])
def test_a_name_that_is_no_environment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="environment"):
        trigger_of(sensor_type="deployment", environment=name)
