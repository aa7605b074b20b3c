"""CONTRIBUTING.md's examples, followed to the letter: lint passes, and the graph has the tasks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.environment import ROOT
from tests.dev.docs.markdown import blocks

PAGE = ROOT / "CONTRIBUTING.md"
BINARIES = Path(sys.executable).parent
STEPS, MASTER, REFRESH = (
    Path("include/sluiceway") / each
    for each in ("run/steps.py", "on_airflow/graphs/refresh_tasks.py", "on_airflow/graphs/refresh.py")
)
STUBS = """

def resolve_taxa(_context: Context) -> None:
    \"\"\"Taxa have their accepted names.\"\"\"


def assign_regions(_context: Context) -> None:
    \"\"\"Every place is in a region.\"\"\"
"""
LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.sdk import DAG
from sluiceway.on_airflow.graphs.refresh import refresh
with DAG("orders", schedule=None) as dag:
    refresh()
json.dump({
    "above": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
    "leaves": [task.task_id for task in dag.leaves],
}, sys.stdout)
"""


def parts(path: Path) -> list[str]:
    """What the page says about that file, block by block, without the line that names it."""
    head = f"# {path.as_posix()}\n"
    return [block.text.removeprefix(head) for block in blocks(PAGE) if block.text.startswith(head)]


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"CONTRIBUTING.md replaces what is not in refresh.py once:\n{old}"
    return text.replace(old, new)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library in which somebody has done what the page says."""
    tree = tmp_path_factory.mktemp("followed")
    shutil.copytree(ROOT / "include", tree / "include", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    (work,), (task,) = parts(STEPS), parts(MASTER)
    parallel, phase, arrows = parts(REFRESH)
    for path, added in ((STEPS, work), (MASTER, task + STUBS)):
        with (tree / path).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{added.strip()}\n")
    text = (tree / REFRESH).read_text(encoding="utf-8")
    *kept, new = parallel.splitlines(keepends=True)
    text = replaced(text, "".join(kept), "".join([*kept, new]))
    text = replaced(text, "    verdict = Verdict", f"{phase}\n    verdict = Verdict")
    text = replaced(text, "    [pre, *loads] >> final\n", "")
    last = "    [*begin[1:], *plans.values(), pre, *loads, *cleanup, validate, aggregate] >> verdict\n"
    (tree / REFRESH).write_text(replaced(text, last, arrows), encoding="utf-8")
    return tree


def run(tree: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree / "include"), "AIRFLOW_HOME": str(tree / "airflow")}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ruff_has_nothing_to_say(followed: Path) -> None:
    files = [path.as_posix() for path in (STEPS, MASTER, REFRESH)]
    run(followed, str(BINARIES / "ruff"), "check", "--no-cache", *files)
    run(followed, str(BINARIES / "ruff"), "format", "--no-cache", "--check", *files)


def test_mypy_has_nothing_to_say(followed: Path) -> None:
    files = [path.as_posix() for path in (STEPS, MASTER, REFRESH)]
    # the cache of `make lint`, which has read Airflow where it ran before
    run(followed, sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".local" / "mypy"), *files)


def test_the_graph_has_the_step_and_the_phase_and_the_verdict_waits_for_both(followed: Path) -> None:
    found = json.loads(run(followed, sys.executable, "-c", LOOK).splitlines()[-1])
    above = found["above"]
    assert {"pre.check_disk", "enrich.assign_regions"} <= set(above)
    assert above["pre.check_disk"] == ["plan"]
    assert above["enrich.assign_regions"] == ["enrich.resolve_taxa"]
    assert "enrich.assign_regions" in above["final.validate"]
    assert sorted([*above["verdict"], "verdict"]) == sorted(above)
    assert found["leaves"] == ["verdict"]


def test_the_view_of_the_page_is_a_right_file(tmp_path: Path) -> None:
    from sluiceway.run.views import read_view

    (view,) = [block.text for block in blocks(PAGE) if block.language == "sql"]
    path = tmp_path / "carrier_flight.sql"
    path.write_text(view, encoding="utf-8")
    assert set(read_view(path).tables) == {"flight", "airline"}
