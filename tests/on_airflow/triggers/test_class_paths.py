"""Airflow stores a trigger's class path: those of the release before still lead to the class, which stores the new."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

PATHS = {
    "sluiceway.triggers.watch.WatchTrigger": {"flow_id": "orders", "trigger_id": "new"},
    "sluiceway.triggers.deploy_watch.DeployWatchTrigger": {"environment": "staging", "dag_id": "master_etl"},
    "sluiceway.triggers.deployed_commit.DeployedCommitTrigger": {
        "environment": "staging",
        "commit_sha": "a" * 40,
        "dag_id": "master_etl",
        "until": 1.0,
    },
}
"""What Airflow has stored, with the arguments that it gives back."""


@pytest.mark.parametrize("stored", PATHS)
def test_a_stored_class_path_still_makes_the_trigger_which_stores_the_new_one(stored: str) -> None:
    module, _, name = stored.rpartition(".")
    kwargs: dict[str, Any] = PATHS[stored]
    trigger = getattr(import_module(module), name)(**kwargs)
    path, stored_kwargs = trigger.serialize()
    assert path == stored.replace("sluiceway.triggers", "sluiceway.on_airflow.triggers")
    assert kwargs.items() <= stored_kwargs.items()
