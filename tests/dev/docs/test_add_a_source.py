"""docs/how-to/add-a-source.md, followed step by step in a copy of the project: its kind passes the suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.docs.page import DOCS
from dev.environment import ROOT
from tests.sources.conformance.cases import CASES

GUIDE = DOCS / "how-to" / "add-a-source.md"
TEXT = GUIDE.read_text(encoding="utf-8")
FILES = dict(re.findall(r"\n`([\w/]+\.py)`:\n\n```python\n(.*?)```", TEXT, re.DOTALL))
"""Path -> what the guide writes there."""
SUITE = "tests/sources/conformance"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project after the steps 1 to 3."""
    copy = tmp_path / "project"
    for part in ("include", "tests", "dev"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / ".local" / "tmp").mkdir(parents=True)
    ((path, lines),) = re.findall(r"`([\w/]+\.py)` holds .*?```diff\n(.*?)```", TEXT, re.DOTALL)
    before = "".join(line[1:] for line in lines.splitlines(keepends=True) if line[0] != "+")
    after = "".join(line[1:] for line in lines.splitlines(keepends=True) if line[0] != "-")
    code = (copy / path).read_text(encoding="utf-8")
    assert code.count(before) == 1, f"{path} is no longer what the guide changes"
    (copy / path).write_text(code.replace(before, after), encoding="utf-8")
    for path, written in FILES.items():
        (copy / path).write_text(written, encoding="utf-8")
    return copy


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env={**os.environ, "TMPDIR": str(project / ".local" / "tmp"), "PYTHONPATH": f"{project}/include"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_kind_of_the_guide_passes_the_suite_and_is_written_as_ours(project: Path) -> None:
    done = run(project, "pytest", "-q", SUITE, "-k", "ndtext")
    excused, places, policy = 3, 4, 1
    passed = len(CASES) - excused + places + policy
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{passed} passed", done.stdout, re.MULTILINE), done.stdout
    checked = run(project, "ruff", "check", *FILES)
    assert checked.returncode == 0, checked.stdout
    written = run(project, "ruff", "format", "--check", *FILES)
    assert written.returncode == 0, written.stdout


def test_every_file_that_the_guide_points_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []
