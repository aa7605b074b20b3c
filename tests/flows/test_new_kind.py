"""The kind of trigger that docs/reference/flows.md shows, from a package that is installed beside Sluiceway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from dev.docs.flows import TRIGGERS
from dev.environment import ROOT
from tests.dev.docs.test_flows import blocks
from tests.flows.configured import configured, flow

(PROJECT,) = [block for block in blocks("toml") if block.startswith("[project]")]
(MODULE,) = [block for block in blocks("python") if "register_trigger" in block]
(USE,) = [block for block in blocks("toml") if 'sensor_type = "heartbeat"' in block]

LOOK = """
import json, sys
from sluiceway.flows import TriggerContext
from sluiceway.flows.files import read_flow

context = TriggerContext()
trigger = read_flow("orders").trigger("importer_is_silent")
for line in sys.stdin:
    fires = trigger.should_trigger(context)
    print(json.dumps([fires, [dict(event.facts) for event in context.events]]), flush=True)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages with this one, as an installer leaves it."""
    return install(tmp_path / "site-packages", MODULE, PROJECT)


def install(folder: Path, module: str, project: str) -> Path:
    declared = tomllib.loads(project)["project"]
    name, version = declared["name"], declared["version"]
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    points = [
        line
        for group, found in declared["entry-points"].items()
        for line in [f"[{group}]", *(f"{kind} = {target}" for kind, target in found.items())]
    ]
    (metadata / "entry_points.txt").write_text("\n".join(points) + "\n", encoding="utf-8")
    (folder / "heartbeat.py").write_text(module, encoding="utf-8")
    return folder


def environment(packages: Path, config: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT / "include")]),
        "SLUICEWAY_CONFIG_DIR": str(config),
    }


def checked(packages: Path, config: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv = ['sluiceway', 'triggers', 'check']; from sluiceway.cli.app import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(packages, config),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_kind_is_shown_in_less_than_fifty_lines() -> None:
    assert len((PROJECT + MODULE + USE).splitlines()) < 50
    assert len(MODULE.splitlines()) > 20
    assert TRIGGERS.path.read_text(encoding="utf-8").count(MODULE) == 1


def test_a_file_may_declare_the_installed_kind(installed: Path, tmp_path: Path) -> None:
    done = checked(installed, configured(tmp_path, orders=flow(USE)).config_dir)
    # the other is the environment that every test of flows has
    assert (done.returncode, done.stdout) == (0, "2 files are valid.\n"), done.stderr


def test_without_the_package_the_kind_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = checked(tmp_path / "empty", configured(tmp_path, orders=flow(USE)).config_dir)
    assert done.returncode == 2
    assert "triggers.importer_is_silent.sensor_type = 'heartbeat': is not one of database, " in done.stderr


def test_the_keys_of_the_installed_kind_are_checked_as_ours_are(installed: Path, tmp_path: Path) -> None:
    done = checked(installed, configured(tmp_path, orders=flow(USE.replace("silent_s", "silent"))).config_dir)
    assert "triggers.importer_is_silent.silent = 120: no such key; did you mean 'silent_s'?" in done.stderr


def test_a_misspelt_kind_names_the_installed_one(installed: Path, tmp_path: Path) -> None:
    wrong = USE.replace('sensor_type = "heartbeat"', 'sensor_type = "hartbeat"')
    done = checked(installed, configured(tmp_path, orders=flow(wrong)).config_dir)
    assert "did you mean 'heartbeat'?" in done.stderr


def test_a_package_whose_module_is_broken_is_named(tmp_path: Path) -> None:
    broken = install(tmp_path / "site-packages", "import nothing_of_that_name", PROJECT)
    done = checked(broken, configured(tmp_path, orders=flow(USE)).config_dir)
    assert done.returncode == 2
    assert "'sensor.heartbeat' of the package sluiceway-heartbeat cannot be loaded from heartbeat:" in done.stderr
    assert "No module named 'nothing_of_that_name'" in done.stderr


def test_a_package_whose_class_is_no_sensor_is_named(tmp_path: Path) -> None:
    other = install(tmp_path / "site-packages", "class HeartbeatTrigger: pass", PROJECT)
    done = checked(other, configured(tmp_path, orders=flow(USE)).config_dir)
    assert "heartbeat:HeartbeatTrigger is no trigger of a sensor" in done.stderr


def test_the_installed_kind_fires_once_per_silence(installed: Path, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    config = configured(tmp_path, orders=flow(USE.replace("/run/importer/alive", str(alive)))).config_dir
    watcher = subprocess.Popen(
        [sys.executable, "-c", LOOK],
        env=environment(installed, config),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def look(touched_s_ago: float) -> list[object]:
        alive.touch()
        at = round(time.time() - touched_s_ago)
        os.utime(alive, (at, at))
        return seen()

    def seen() -> list[object]:
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.write("look\n")
        watcher.stdin.flush()
        fires, facts = json.loads(watcher.stdout.readline())
        return [fires, [each["path"] for each in facts]]

    silent = [True, [str(alive)]]
    with watcher:
        assert look(touched_s_ago=500) == [False, []]  # the first look makes no event
        assert seen() == [False, []]
        assert look(touched_s_ago=0) == [False, []]
        assert look(touched_s_ago=300) == silent
        assert seen() == [False, []]
        assert look(touched_s_ago=0) == [False, []]
        assert look(touched_s_ago=200) == silent
        assert watcher.stdin is not None
        watcher.stdin.close()
    assert watcher.returncode == 0
