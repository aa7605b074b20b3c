"""`sluiceway workers` where it cannot answer."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.settings import load_settings


def ask(monkeypatch: pytest.MonkeyPatch, **env: str) -> tuple[int, str]:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    result = CliRunner().invoke(app, ["workers"])
    load_settings.cache_clear()
    return result.exit_code, result.stderr


def test_without_a_broker_it_says_which_setting_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = ask(monkeypatch)
    assert (code, "set SLUICEWAY_BROKER_URL" in said) == (2, True)


def test_a_broker_that_does_not_answer_is_one_sentence_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, said = ask(monkeypatch, AIRFLOW__CELERY__BROKER_URL=f"redis://:secret@127.0.0.1:{port}/0")
    assert code == 1
    assert "Celery's broker does not answer" in said
    assert "secret" not in said
