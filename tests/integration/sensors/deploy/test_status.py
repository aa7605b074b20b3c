"""`sluiceway status` beside a real Airflow: what deploys and their runs make of it, and the gate before tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.deployment import name_of
from tests.integration.sensors.deploy.staging import Staging

PROGRAM = Path(sys.executable).with_name("sluiceway")


@pytest.fixture
def gate(staging: Staging) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts the gate before tests, which waits for a commit."""
    with ExitStack() as stack:

        def start(commit: str) -> subprocess.Popen[str]:
            command = [str(PROGRAM), "status", "--wait", "--commit", commit, "--timeout", "2m"]
            process = stack.enter_context(
                subprocess.Popen(command, env=_env(staging), stderr=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            return process

        yield start


def test_a_deploy_is_behind_then_in_step_and_a_red_run_is_stale(
    staging: Staging, gate: Callable[[str], subprocess.Popen[str]]
) -> None:
    first = staging.deploy("shown as in step")
    assert staging.wait(staging.enqueue(first)) == "success"
    assert shown(staging) == (0, "in step", first, first)

    second = staging.deploy("shown as behind")
    assert shown(staging) == (0, "behind", second, first)
    with staging.loads_held():
        run_id = staging.enqueue(second)
        staging.until(lambda: True if _said(staging, f"Its run {run_id} is running") else None)
        waits = gate(second[:7])
        assert waits.stderr is not None
        assert f"its run {run_id} goes on" in waits.stderr.readline()
    assert waits.wait(timeout=120) == 0, waits.stderr.read()
    assert shown(staging) == (0, "in step", second, second)

    staging.source(name_of(1), "id,value\n")
    third = staging.deploy("shown as stale")
    waits = gate(third)
    assert staging.wait(staging.enqueue(third)) == "failed"
    assert waits.wait(timeout=120) == 1
    assert shown(staging) == (1, "stale", third, second)
    assert _said(staging, f"Its run deploy__{third} is failed: 1 of 1 table failed: {name_of(1)}")


def shown(staging: Staging) -> tuple[int, str, str, str]:
    """The exit code, the environment's state, the deployed commit and the data's."""
    done, document = _asked(staging)
    environment = document["environment"]
    return done, environment["state"], environment["deployed_commit"], environment["data_commit"]


def _said(staging: Staging, sentence: str) -> bool:
    return sentence in _asked(staging)[1]["environment"]["sentence"]


def _asked(staging: Staging) -> tuple[int, Any]:
    done = subprocess.run(
        [PROGRAM, "status", "--json"], env=_env(staging), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def _env(staging: Staging) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "SLUICEWAY_ENV_FILE": str(staging.config / "none.env"),
        "SLUICEWAY_CONFIG_DIR": str(staging.config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_ENVIRONMENT": "staging",
        "SLUICEWAY_WAREHOUSE_URL": staging.stack.warehouse_url,
    }
