"""The file of an environment: what it may say, and how its errors read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.deploy.spec import CloudRunEnvironment, HttpEnvironment, read_environment
from sluiceway.errors import ConfigError, SettingsError

HTTP = 'kind = "http"\nurl = "https://staging.example/version"\n'
CLOUD_RUN = (
    'kind = "cloud_run"\nproject = "p"\nregion = "us-west1"\nservice = "shop"\nconnection = "google"\n'
    'commit_from = "label:commit"\n'
)
GITHUB = '[github]\nkind = "status"\nrepository = "shop/web"\nconnection = "github"\ncontext = "data"\n'


@pytest.fixture
def write(tmp_path: Path, setting: Callable[..., None]) -> Callable[[str], None]:
    """Writes environments/staging.toml."""
    (tmp_path / "environments").mkdir()
    setting(config_dir=tmp_path)

    def write(toml: str) -> None:
        (tmp_path / "environments" / "staging.toml").write_text(toml, encoding="utf-8")

    return write


def test_an_environment_is_named_by_its_file(write: Callable[[str], None]) -> None:
    write(HTTP)
    found = read_environment("staging")
    assert isinstance(found, HttpEnvironment)
    assert (found.name, found.url, found.json_path, found.header) == (
        "staging",
        "https://staging.example/version",
        None,
        None,
    )


def test_a_cloud_run_service_is_an_environment(write: Callable[[str], None]) -> None:
    write(CLOUD_RUN)
    assert isinstance(read_environment("staging"), CloudRunEnvironment)


def test_an_environment_without_a_file_names_the_nearest(write: Callable[[str], None]) -> None:
    write(HTTP)
    with pytest.raises(SettingsError, match=r"SLUICEWAY_ENVIRONMENT names 'stagin'.*did you mean 'staging'\?"):
        read_environment("stagin")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (HTTP + 'json_pat = "a"\n', r"json_pat: no such key; did you mean 'json_path'\?"),
        (HTTP + 'name = "x"\n', "named by its file"),
        (
            HTTP + 'data_within = "soon"\n',
            "data_within = 'soon': 'soon' is no span of time; write a number with s, m, h or d",
        ),
        (HTTP + 'data_within = "0m"\n', "must be more than nothing"),
        (
            HTTP + 'data_within = "10s"\n',
            "data_within = '10s': no deploy can keep it, .* asked every 15 s; make poll_s",
        ),
        (HTTP + 'json_path = "a"\nheader = "b"\n', "exclude each other"),
        (HTTP + 'json_path = "a..b"\n', "json_path = 'a..b': write keys with dots between"),
        (HTTP + "poll_s = 0\n", "poll_s = 0: must be more than 0"),
        ('kind = "http"\nurl = "staging/version"\n', "url = 'staging/version': write an address"),
        ('kind = "http"\n', "url: is missing; add it"),
        ('url = "https://x"\n', "kind: is missing; write one of http, cloud_run"),
        ('kind = "cloudrun"\n', r"kind = 'cloudrun': .*did you mean 'cloud_run'\?"),
        (CLOUD_RUN.replace("label:commit", "tag"), "commit_from = 'tag': write label:NAME, env:NAME or image_tag"),
        ("kind =", "is not valid TOML"),
        (HTTP + GITHUB.replace("context", "contxt"), r"github.contxt: no such key; did you mean 'context'\?"),
        (
            HTTP + GITHUB.replace('"status"', '"statuses"'),
            r"kind = 'statuses': is not one of .*did you mean 'status'\?",
        ),
        (HTTP + GITHUB.replace("shop/web", "github.com/shop/web"), "github.repository = .*: write owner/name"),
        (HTTP + GITHUB.replace("connection", "#"), "github.connection: is missing; add it"),
        (HTTP + GITHUB.replace("context", "environment"), 'environment is of kind = "deployment"; remove it'),
        (HTTP + GITHUB.replace('"status"', '"deployment"'), 'context is of kind = "status"; remove it'),
        (CLOUD_RUN + GITHUB.replace("context", "contxt"), r"github.contxt: .*did you mean 'context'\?"),
    ],
)
def test_an_error_names_file_key_and_value(write: Callable[[str], None], toml: str, message: str) -> None:
    write(toml)
    with pytest.raises(ConfigError, match=rf"staging\.toml: .*{message}|staging\.toml: {message}"):
        read_environment("staging")


def test_data_is_promised_within_an_hour_of_a_deploy_unless_the_file_says_otherwise(
    write: Callable[[str], None],
) -> None:
    write(HTTP)
    assert read_environment("staging").data_within == "1h"
    write(HTTP + 'data_within = "45min"\n')
    assert read_environment("staging").data_within == "45min"
    write(HTTP + 'data_within = "10s"\npoll_s = 10\n')
    assert read_environment("staging").data_within == "10s"


def test_who_names_an_environment_that_is_not_there_is_said(write: Callable[[str], None]) -> None:
    write(HTTP)
    with pytest.raises(SettingsError, match=r"^--environment names 'stagin'"):
        read_environment("stagin", named_by="--environment")
