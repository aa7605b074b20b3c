"""What our own code is told to give up is an error in every test (`filterwarnings` in pyproject.toml)."""

from __future__ import annotations

import warnings

import pytest


def test_a_deprecation_in_a_test_is_an_error() -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


@pytest.mark.parametrize("module", ["sluiceway.load.table", "dev.stack", "unusual_prefix_0123_master_etl"])
def test_one_in_our_code_is_an_error(module: str) -> None:
    with pytest.raises(DeprecationWarning, match="old"):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)


@pytest.mark.parametrize("module", ["airflow.providers.google", "sluiceways", "developers.dev"])
def test_one_in_somebody_elses_is_shown(module: str) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module=module)
    assert [str(each.message) for each in found] == ["old"]
