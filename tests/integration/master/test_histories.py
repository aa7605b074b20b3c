"""Lives of runs: whatever is done to a run, ledger, page and `runs show` say what the warehouse holds.

`make histories N=60 SEED=7` lives more of them.
"""

from __future__ import annotations

import os

import pytest

from tests.integration.deployment import Deployment
from tests.integration.master.histories import live

LIVES = int(os.environ.get("HISTORIES", "5"))
SEED = int(os.environ.get("SEED", "14"))


# a life ends within two minutes on two free cores, and five share them with two other processes here
@pytest.mark.timeout(180 * LIVES)
def test_whatever_is_done_to_runs_they_are_called_what_the_warehouse_holds(deployment: Deployment) -> None:
    assert live(deployment, lives=LIVES, seed=SEED) == []
