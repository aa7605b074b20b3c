"""The addresses of a run's page, as those outside of Airflow find it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.on_airflow import links


@pytest.mark.parametrize(
    ("airflow_url", "base_url", "found"),
    [
        ("https://airflow.example", "", "https://airflow.example/sluiceway/runs/m/a%2Fb"),
        ("https://airflow.example/", "http://inside:8080", "https://airflow.example/sluiceway/runs/m/a%2Fb"),
        ("https://x.example/air", "http://x.example/air", "https://x.example/air/sluiceway/runs/m/a%2Fb"),
        ("https://x.example", "http://x.example/air", "https://x.example/air/sluiceway/runs/m/a%2Fb"),
        ("https://me:secret@x.example", "", "https://x.example/sluiceway/runs/m/a%2Fb"),
    ],
)
def test_a_page_is_found_below_the_path_of_airflow(
    airflow_url: str,
    base_url: str,
    found: str,
    setting: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting(airflow_url=airflow_url)
    monkeypatch.setattr(links.conf, "get", lambda *_, **__: base_url)
    assert links.report_url("m", "a/b") == found


def test_without_an_address_of_airflow_there_is_none(
    setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(airflow_url="")
    assert links.report_url("m", "r") is None
