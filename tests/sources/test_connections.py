"""Connections out of the environment, as Airflow writes them, and nothing secret in what is shown of them."""

from __future__ import annotations

import json

import pytest

from sluiceway.errors import SettingsError
from sluiceway.sources.connections import from_environment


def test_a_connection_is_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CROP", "postgres://me:p%40ss%2Fw@db.example.org:5433/crops?sslmode=require")
    found = from_environment("crop")
    assert (found.conn_id, found.conn_type, found.host, found.port) == ("crop", "postgres", "db.example.org", 5433)
    assert (found.login, found.password, found.schema_name) == ("me", "p@ss/w", "crops")
    assert found.extra == {"sslmode": "require"}


def test_a_type_with_a_line_is_written_with_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_G", "google-cloud-platform://?__extra__=%7B%22project%22%3A%20%22p%22%7D")
    found = from_environment("g")
    assert (found.conn_type, found.host, dict(found.extra)) == ("google_cloud_platform", None, {"project": "p"})


def test_the_path_of_an_sqlite_file_stays_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FILE", "sqlite:////srv/my%20city.db")
    assert from_environment("file").schema_name == "/srv/my city.db"


@pytest.mark.parametrize("extra", [{"a": 1}, '{"a": 1}'])
def test_a_connection_is_json_whose_extra_may_be_text(monkeypatch: pytest.MonkeyPatch, extra: object) -> None:
    content = {"conn_type": "mysql", "host": "h", "schema": "s", "extra": extra, "description": "not needed"}
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(content))
    found = from_environment("x")
    assert (found.conn_type, found.schema_name, dict(found.extra)) == ("mysql", "s", {"a": 1})


def test_a_missing_connection_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_NOSUCH", raising=False)
    with pytest.raises(SettingsError, match="There is no connection 'nosuch': set AIRFLOW_CONN_NOSUCH to a URI"):
        from_environment("nosuch")


@pytest.mark.parametrize(
    "text", ["s3cret", '{"password": "s3cret"', '{"password": "s3cret"}', "pg://u:s3cret@h:port/x"]
)
def test_a_broken_connection_is_not_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", text)
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_X is neither a connection's URI nor its JSON") as caught:
        from_environment("x")
    assert "s3cret" not in str(caught.value)
    # Airflow logs the causes of an error too
    assert "s3cret" not in repr(caught.value.__cause__)


def test_a_connection_does_not_show_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_X", "http://:s3cret@h/?token=t0ken")
    shown = repr(from_environment("x"))
    assert "s3cret" not in shown
    assert "t0ken" not in shown
