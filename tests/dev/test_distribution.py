"""What tests/distribution.py names is there: a folder that was moved would start an Airflow per file."""

from __future__ import annotations

import pytest

from dev.environment import ROOT
from tests.distribution import FIRST, WITH_SERVER, place


@pytest.mark.parametrize("path", sorted({*WITH_SERVER, *FIRST}))
def test_a_place_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_tests_of_a_shared_server_stay_together() -> None:
    assert place("tests/on_airflow/web/test_app.py::test_x") == place("tests/on_airflow/web/test_webhooks.py::test_y")
    assert place("tests/load/test_cast.py::test_x") == "tests/load/test_cast.py"
