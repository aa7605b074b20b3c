"""What a tag publishes: built for real, and refused in a sentence while tag, version and changelog do not agree."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from dev import release
from dev.environment import ROOT
from dev.errors import ReleaseError

PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
VERSION = re.search(r'(?m)^version = "(.+)"$', PROJECT)[1]  # type: ignore[index]
SECTION = f"## [{VERSION}] - 2026-12-01\n\n### Added\n\n- All of it.\n"
CHANGELOG = f"# Changelog\n\n## [Unreleased]\n\n{SECTION}\n## [0.0.1] - 2025-01-01\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release."""
    return release.release(f"v{VERSION}", tmp_path_factory.mktemp("dist"), project=PROJECT, changelog=CHANGELOG)


def test_the_wheel_bears_the_version_alone_and_its_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"sluiceway-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert f"sluiceway-{VERSION}.dist-info/licenses/LICENSE" in names
    assert "sluiceway/on_airflow/graphs/refresh.py" in names


def test_the_notes_are_the_changelogs_section(built: Path) -> None:
    assert (built / "notes.md").read_text() == "### Added\n\n- All of it.\n"


def test_the_list_of_parts_holds_what_the_lock_installs(built: Path) -> None:
    listed = json.loads((built / f"sluiceway-{VERSION}.cdx.json").read_text())
    assert listed["bomFormat"] == "CycloneDX"
    parts = {each["name"]: each for each in listed["components"]}
    airflow = re.search(r"(?m)^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text())
    assert airflow and parts["apache-airflow"]["version"] == airflow[1]
    assert listed["metadata"]["component"]["name"] == "sluiceway"


def test_every_file_has_its_checksum(built: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (built / "SHA256SUMS").read_text().splitlines())
    files = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(sums) == files and len(files) > 8
    for name, digest in sums.items():
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest


def test_a_wheel_without_what_an_index_asks_for_is_refused(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    bare = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(bare, "w") as archive:
        for name in whole.namelist():
            text = whole.read(name)
            archive.writestr(name, re.sub(rb"(?m)^Summary: .*\n", b"", text) if name.endswith("METADATA") else text)
    with pytest.raises(ReleaseError, match="the metadata lacks Summary; add it to pyproject"):
        release.check_metadata(bare, VERSION)
    shutil.copy(wheel, bare)
    with pytest.raises(ReleaseError, match=f"says version '{re.escape(VERSION)}', not '9.9.9'"):
        release.check_metadata(bare, "9.9.9")


@pytest.mark.parametrize(
    ("tag", "changelog", "sentence"),
    [
        ("0.1.0", CHANGELOG, "'0.1.0' is no version; write v and three numbers, such as v0.1.0"),
        ("v9.9.9", CHANGELOG, f"'v9.9.9' is not the version of pyproject.toml, '{VERSION}'; change one of them"),
        (f"v{VERSION}", "## [Unreleased]\n- x\n", f"has no section \\[{VERSION}\\]; rename \\[Unreleased\\] to"),
        (f"v{VERSION}", f"## [{VERSION}]\n- x\n", "has no date"),
        (f"v{VERSION}", f"## [{VERSION}] - 2026-12-01\n\n## [0.0.1] - 2025-01-01\n- x\n", "is empty"),
        (
            f"v{VERSION}",
            f"## [Unreleased]\n- y\n## [{VERSION}] - 2026-12-01\n- x\n",
            "holds changes that the release has",
        ),
    ],
)
def test_a_tag_that_does_not_agree_with_the_rest_is_refused(tag: str, changelog: str, sentence: str) -> None:
    with pytest.raises(ReleaseError, match=sentence):
        release.version_of(tag, project=PROJECT, changelog=changelog)


def test_the_command_refuses_with_2_and_builds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["v9.9.9", "--output", str(tmp_path)]) == 2
    assert "v9.9.9" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
