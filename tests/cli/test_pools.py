"""`sluiceway pools apply`: what it refuses to read. What it does is tested on a real Airflow (integration/master)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.environment import ROOT
from sluiceway.errors import ConfigError
from sluiceway.rest.pools import read_pools, settings_file
from sluiceway.settings import load_settings

GOOD = "airflow:\n  pools:\n    - {pool_name: a, pool_slot: 2}\n"


def test_the_declaration_beside_include_is_the_one_that_is_read(setting: Callable[..., None]) -> None:
    setting(config_dir=ROOT / "include" / "config")
    assert [pool.pool_name for pool in read_pools(settings_file(load_settings()))] == ["warehouse", "services"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no such file; name it with --file."),
        ("airflow: [", "is not valid YAML"),
        ("airflow: {}", "has no pools; write them as a list under airflow.pools."),
        ("[]", "has no pools"),
        (GOOD.replace("2", "many"), "airflow.pools[0].pool_slot: is no whole number; write one without quotes"),
        (GOOD.replace("2", "-2"), "airflow.pools[0].pool_slot: must be at least -1"),
        (GOOD.replace("pool_slot", "slots"), "airflow.pools[0].pool_slot: is missing; add it"),
        (GOOD + "    - {pool_name: a, pool_slot: 3}\n", "a pool is declared twice: a, a."),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence_that_says_where(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "airflow_settings.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_pools(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)
