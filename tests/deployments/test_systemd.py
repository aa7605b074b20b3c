"""deploy/systemd/: units that systemd takes, for commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deployments.files import SYSTEMD, compose, pools

BIN = "/opt/sluiceway/.venv/bin/"
COMPONENTS = {"api-server", "scheduler", "dag-processor", "triggerer", "celery worker"}
UNITS = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))


def verified(unit: str, folder: Path, suffix: str = ".service") -> str:
    """What systemd says against a unit; its programs stand in the folder, for /opt/sluiceway is not there."""
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is not installed: units are checked where it is (apt-get install systemd)")
    for name in ("airflow", "sluiceway"):
        shutil.copy(str(shutil.which("true")), folder / name)
    path = folder / f"checked{suffix}"
    path.write_text(unit.replace(BIN, f"{folder}/"), encoding="utf-8")
    done = subprocess.run([program, "verify", str(path)], capture_output=True, text=True, check=False)
    return done.stderr or str(done.returncode or "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_takes_every_unit(unit: Path, tmp_path: Path) -> None:
    assert verified(unit.read_text(encoding="utf-8"), tmp_path) == ""


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
def test_systemd_takes_every_timer_beside_the_unit_that_it_starts(timer: Path, tmp_path: Path) -> None:
    service = timer.with_suffix(".service").read_text(encoding="utf-8")
    assert verified(service, tmp_path) == ""
    text = timer.read_text(encoding="utf-8")
    assert verified(text, tmp_path, suffix=".timer") == ""
    assert "Unknown key 'OnBotSec'" in verified(text.replace("OnBootSec", "OnBotSec"), tmp_path, suffix=".timer")


def test_what_is_wrong_in_a_unit_is_found(tmp_path: Path) -> None:
    unit = (SYSTEMD / "airflow-worker.service").read_text(encoding="utf-8")
    assert "Unknown key 'KillMod'" in verified(unit.replace("KillMode", "KillMod"), tmp_path)
    assert "not executable" in verified(unit.replace("airflow celery", "airfow celery"), tmp_path)


def started() -> list[str]:
    """Every command line of the units."""
    return [
        command.removeprefix(BIN)
        for unit in UNITS
        for command in re.findall(r"(?m)^ExecStart=(.*)$", unit.read_text(encoding="utf-8"))
    ]


def test_there_is_a_unit_for_each_component() -> None:
    components = {command.removeprefix("airflow ") for command in started()}
    assert components >= COMPONENTS
    of_compose = {str(service.get("command")) for service in compose()["services"].values()}
    assert of_compose >= COMPONENTS


def test_the_migration_makes_each_pool_that_the_code_names() -> None:
    found = dict(re.findall(r"airflow pools set (\w+) (\d+)", "\n".join(started())))
    assert found == {name: str(slots) for name, slots in pools().items()}


def test_only_the_migration_has_the_owners_address() -> None:
    owner = [unit.name for unit in UNITS if "sluiceway-owner.env" in unit.read_text(encoding="utf-8")]
    assert owner == ["sluiceway-migrate.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_what_a_unit_writes_is_for_its_user_and_group_alone(unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    assert {"UMask=0027", "StateDirectoryMode=0750", "CacheDirectoryMode=0750"} <= set(text.splitlines())
