"""A deployment with tables, a ledger, and places that are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from tests.alerts.sinks import HttpSink, MailSink, mail_sink

TABLES = tuple(f"city_{number:02}" for number in range(1, 21))
Alerts = Callable[..., Result]


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with HttpSink() as running:
        yield running


@pytest.fixture
def mails() -> Iterator[MailSink]:
    with mail_sink() as running:
        yield running


@pytest.fixture
def deployment(
    tmp_path: Path,
    setting: Callable[..., None],
    warehouse_url: str,
    sink: HttpSink,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Twenty tables that promise to be a day old at most, and one who is told of everything."""
    for below in ("tables", "environments", "flows"):
        (tmp_path / below).mkdir()
    for name in TABLES:
        (tmp_path / "tables" / f"{name}.toml").write_text(
            f'description = "{name}"\nkey = "id"\nfresh_within = "24h"\n'
            'source = { kind = "csv", uri = "a.csv" }\ncolumns = { id = "integer" }\n'
        )
    declare(tmp_path, 'tell_of = ["red", "stale", "waiting", "blind", "dead_letters"]')
    connection(monkeypatch, "on_call", sink.address)
    setting(config_dir=tmp_path, warehouse_url=warehouse_url, airflow_url="https://airflow.example.org")
    return tmp_path


def declare(folder: Path, keys: str, head: str = "") -> None:
    """Write alerts.toml with one alert that tells by the connection on_call."""
    (folder / "alerts.toml").write_text(f'{head}\n[alerts.team]\nconnection = "on_call"\n{keys}\n')


def connection(monkeypatch: pytest.MonkeyPatch, conn_id: str, *addresses: str) -> None:
    """Define a connection as Airflow's provider of Apprise keeps it."""
    paths = [{"path": address, "tag": "alerts"} for address in addresses]
    value = {"conn_type": "apprise", "extra": {"config": paths[0] if len(paths) == 1 else paths}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))


@pytest.fixture
def alerts(deployment: Path) -> Alerts:
    """Runs `sluiceway alerts`."""
    assert deployment.is_dir()
    return lambda *arguments: CliRunner().invoke(app, ["alerts", *arguments])
